//! How many listen below a node: the sum of what its children report and of its own listeners, with its age and its
//! coverage. It does not know how a report travels.
//!
//! Invariants: `CountSum`; at most [`MAX_CHILDREN`] children.

use std::{collections::BTreeMap, time::Duration};

use stentor_pace::Time;

/// Children of one room at one node. The design's fan-out is 64 with two parents each; an origin without relays serves
/// every edge. A child beyond it is refused.
pub const MAX_CHILDREN: usize = 1024;

/// A report older than this is left out of the sum, and lowers the coverage: children report every second.
pub const REPORT_STALE: Duration = Duration::from_secs(5);

/// How many listen, with how sure we are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Listeners at the edges that the sum covers.
    pub listeners: u64,
    /// Age of the oldest part of the sum.
    pub age: Duration,
    /// Edges in the sum.
    pub reporting: u32,
    /// Edges that carry the room, as far as is known.
    pub known: u32,
    /// Slots that the edges in the sum had to fill, because nobody had them in time.
    pub filled: u64,
}

/// The counts of one room at one node. A child is a number: two that call themselves the same are two.
#[derive(Debug, Default)]
pub struct Counts {
    /// The last report of each child and when it came.
    children: BTreeMap<u64, Option<(Time, Count)>>,
    own: Option<u64>,
    filled: u64,
}

impl Counts {
    /// A child is there. Until it reports, it is known and does not count.
    ///
    /// Returns false, and takes no note of it, at [`MAX_CHILDREN`].
    pub fn join(&mut self, child: u64) -> bool {
        let room = self.children.len() < MAX_CHILDREN || self.children.contains_key(&child);
        if room {
            self.children.entry(child).or_default();
        }
        room
    }

    /// A child reported the sum below it. A report of a child that is not there is let go.
    pub fn report(&mut self, now: Time, child: u64, count: Count) {
        if let Some(last) = self.children.get_mut(&child) {
            *last = Some((now, count));
        }
    }

    /// A child is gone.
    pub fn leave(&mut self, child: u64) {
        self.children.remove(&child);
    }

    /// The node's own listeners: makes it an edge of its own sum.
    pub fn own(&mut self, listeners: u64) {
        self.own = Some(listeners);
    }

    /// Slots that this node itself had to fill, if it is an edge of its own sum.
    pub fn filled(&mut self, slots: u64) {
        self.filled = slots;
    }

    /// How many children are there.
    #[must_use]
    pub fn children(&self) -> usize {
        self.children.len()
    }

    /// How many listen below this node, and how many of its children say so, by reports that came within this time; its own
    /// listeners among them. What lies beyond a cut is in the [`sum`](Self::sum) for longer.
    #[must_use]
    pub fn reached(&self, now: Time, within: Duration) -> (u64, u32) {
        let reports = self.children.values().flatten().filter(|(at, _)| now.since(*at) <= within);
        reports.fold((self.own.unwrap_or_default(), 0), |(listeners, children), (_, count)| {
            (listeners.saturating_add(count.listeners), children + 1)
        })
    }

    /// The sum as of now. Saturates, so that no report can make it wrap.
    #[must_use]
    pub fn sum(&self, now: Time) -> Count {
        let own = u32::from(self.own.is_some());
        let start = Count {
            listeners: self.own.unwrap_or_default(),
            age: Duration::ZERO,
            reporting: own,
            known: own,
            filled: if self.own.is_some() { self.filled } else { 0 },
        };
        self.children.values().fold(start, |sum, last| match last {
            None => Count { known: sum.known.saturating_add(1), ..sum },
            Some((at, count)) => {
                let known = sum.known.saturating_add(count.known);
                let age = count.age.saturating_add(now.since(*at));
                if age > REPORT_STALE || count.reporting == 0 {
                    return Count { known, ..sum };
                }
                Count {
                    listeners: sum.listeners.saturating_add(count.listeners),
                    age: sum.age.max(age),
                    reporting: sum.reporting.saturating_add(count.reporting),
                    known,
                    filled: sum.filled.saturating_add(count.filled),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stentor_pace::check;

    use super::*;

    fn edge(listeners: u64) -> Count {
        Count { listeners, age: Duration::ZERO, reporting: 1, known: 1, filled: listeners / 2 }
    }

    #[test]
    fn a_child_that_is_silent_lowers_the_coverage_and_not_the_truth() {
        let mut counts = Counts::default();
        let start = Time::from_millis(1000);
        for n in 0..3 {
            assert!(counts.join(n));
        }
        counts.report(start, 0, edge(10));
        counts.report(start, 1, edge(5));
        let later = start + Duration::from_secs(2);
        counts.report(later, 1, edge(6));
        let sum = counts.sum(later);
        assert_eq!((sum.listeners, sum.reporting, sum.known, sum.filled), (16, 2, 3, 8));
        assert_eq!(sum.age, Duration::from_secs(2));
        let much_later = start + Duration::from_millis(5_001);
        assert_eq!(counts.sum(much_later).listeners, 6);
        counts.leave(1);
        assert_eq!(counts.sum(much_later).known, 2);
    }

    #[test]
    fn a_child_that_was_cut_off_a_moment_ago_is_counted_and_not_reached() {
        let (mut counts, start) = (Counts::default(), Time::from_millis(1000));
        counts.own(1);
        assert!((0..3).all(|n| counts.join(n)));
        counts.report(start, 0, edge(10));
        let later = start + Duration::from_millis(1_501);
        counts.report(later, 1, edge(5));
        let within = Duration::from_millis(1_500);
        assert_eq!((counts.sum(later).listeners, counts.reached(later, within)), (16, (6, 1)));
        assert_eq!(counts.reached(start, within), (16, 2));
    }

    #[test]
    fn a_child_beyond_the_bound_is_refused_and_reports_of_strangers_are_let_go() {
        let mut counts = Counts::default();
        assert!((0..MAX_CHILDREN as u64).all(|n| counts.join(n)));
        assert!(!counts.join(MAX_CHILDREN as u64));
        assert!(counts.join(0));
        counts.report(Time::default(), MAX_CHILDREN as u64, edge(7));
        assert_eq!(counts.sum(Time::default()).listeners, 0);
    }

    proptest! {
        /// Edges under relays under an origin: the sum at the top is the sum over the edges.
        #[test]
        fn sums_of_sums_are_the_sum_over_the_edges(relays in prop::collection::vec(
            prop::collection::vec(0_u64..1_000_000, 0..6), 0..6,
        )) {
            let now = Time::from_millis(5);
            let mut top = Counts::default();
            for (r, edges) in (0..).zip(&relays) {
                let mut relay = Counts::default();
                for (e, listeners) in (0..).zip(edges) {
                    let mut own = Counts::default();
                    own.own(*listeners);
                    own.filled(listeners / 3);
                    prop_assert!(relay.join(e));
                    relay.report(now, e, own.sum(now));
                }
                prop_assert!(top.join(r));
                top.report(now, r, relay.sum(now));
            }
            let sum = top.sum(now);
            let all = relays.iter().flatten().copied();
            prop_assert_eq!(check::count_sum(sum.listeners, sum.reporting as usize, all), Ok(()));
            prop_assert_eq!(sum.reporting, sum.known);
            let filled: u64 = relays.iter().flatten().map(|listeners| listeners / 3).sum();
            prop_assert_eq!(sum.filled, filled);
        }
    }
}
