//! How many listen below a node: the sum of what its children report and of its own listeners, with its age and its
//! coverage, and whether any of them is stuck. It does not know how a report travels.
//!
//! Who is stuck says so itself. Of those below, the one on the highest lineage is told on: what is above that is above all of
//! them. Who is not stuck says nothing, so that no sum can make it so.
//!
//! Invariants: `CountSum`; at most [`MAX_CHILDREN`] children; somebody is told to be stuck if and only if somebody says so
//! who can be, and on no lower lineage than any.

use std::{collections::BTreeMap, time::Duration};

use stentor_ids::Lineage;
use stentor_pace::Time;

use crate::{Stuck, can_be_stuck};

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
    children: BTreeMap<u64, Option<(Time, Count, Option<Stuck>)>>,
    own: Option<u64>,
    filled: u64,
    /// When a slot was taken here last, and the highest lineage that was.
    took: Option<(Time, Lineage)>,
    /// What this node itself is stuck on, if it plays the room.
    plays: Option<Stuck>,
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

    /// A child reported the sum below it, and who is stuck there. A report of a child that is not there is let go.
    pub fn report(&mut self, now: Time, child: u64, count: Count, stuck: Option<Stuck>) {
        if let Some(last) = self.children.get_mut(&child) {
            *last = Some((now, count, stuck));
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

    /// A slot was taken here that is new; `lineage` is the highest that was taken.
    pub fn took(&mut self, now: Time, lineage: Lineage) {
        self.took = Some((now, lineage));
    }

    /// What this node's own listeners are stuck on, if they are.
    pub fn plays(&mut self, stuck: Option<Stuck>) {
        self.plays = stuck;
    }

    /// Who is stuck here or below, on the highest lineage that can be true where `known` is the highest known, and for how
    /// long at least. A report that is stale says nothing.
    #[must_use]
    pub fn stuck(&self, now: Time, known: Lineage) -> Option<Stuck> {
        let taken = self.took.and_then(|(at, lineage)| Stuck::on(lineage, now.since(at)));
        let fresh = self.children.values().flatten().filter(|(at, ..)| now.since(*at) <= REPORT_STALE);
        let told =
            fresh.filter_map(|(.., stuck)| *stuck).filter_map(|told| Stuck::on(told.lineage, told.stood));
        let all = told.chain(self.plays).chain(taken);
        all.filter(|stuck| can_be_stuck(known, stuck.lineage)).max()
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
        let reports = self.children.values().flatten().filter(|(at, ..)| now.since(*at) <= within);
        reports.fold((self.own.unwrap_or_default(), 0), |(listeners, children), (_, count, _)| {
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
            Some((at, count, _)) => {
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

    /// The first lineage of an epoch.
    const LINE: u64 = 7 << 16;

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
        counts.report(start, 0, edge(10), None);
        counts.report(start, 1, edge(5), None);
        let later = start + Duration::from_secs(2);
        counts.report(later, 1, edge(6), None);
        let sum = counts.sum(later);
        assert_eq!((sum.listeners, sum.reporting, sum.known, sum.filled), (16, 2, 3, 8));
        assert_eq!(sum.age, Duration::from_secs(2));
        let much_later = start + Duration::from_millis(5_001);
        assert_eq!(counts.sum(much_later).listeners, 6);
        counts.leave(1);
        assert_eq!(counts.sum(much_later).known, 2);
    }

    fn stuck(count: u64, secs: u64) -> Option<Stuck> {
        Some(Stuck { lineage: Lineage(LINE + count), stood: Duration::from_secs(secs) })
    }

    #[test]
    fn of_those_that_are_stuck_the_highest_lineage_is_told_and_the_longest_time_of_it() {
        let mut counts = Counts::default();
        let (now, known) = (Time::from_millis(9_000), Lineage(LINE));
        assert_eq!(counts.stuck(now, known), None);
        for n in 0..5 {
            assert!(counts.join(n));
        }
        counts.report(now, 0, edge(1), None);
        counts.report(now, 1, edge(1), stuck(1, 9));
        counts.report(now, 2, Count::default(), stuck(3, 2));
        assert_eq!(
            counts.stuck(now, known),
            stuck(3, 2),
            "of an edge that counts its listeners elsewhere as well"
        );
        counts.report(now, 3, edge(1), stuck(3, 5));
        assert_eq!(counts.stuck(now, known), stuck(3, 5));
        counts.report(now, 4, edge(1), stuck(5, 0));
        assert_eq!(counts.stuck(now, known), stuck(3, 5), "a slot may be late");
        counts.leave(2);
        counts.report(now, 3, edge(1), None);
        assert_eq!(counts.stuck(now, known), stuck(1, 9));
        assert_eq!(counts.stuck(now + REPORT_STALE + Duration::from_millis(1), known), None);
    }

    #[test]
    fn a_child_that_cannot_be_stuck_there_hides_nobody_who_is() {
        let mut counts = Counts::default();
        let now = Time::from_millis(9_000);
        assert!(counts.join(0) && counts.join(1));
        counts.report(now, 0, edge(1), stuck(1, 2));
        for lie in [1 << 14, 0xffff, 1 << 16, u64::MAX - LINE] {
            counts.report(now, 1, edge(1), stuck(lie, 3_600));
            assert_eq!(counts.stuck(now, Lineage(LINE)), stuck(1, 2), "{lie}");
        }
    }

    #[test]
    fn a_node_is_stuck_itself_when_it_takes_nothing_or_its_listeners_are_given_nothing() {
        let mut counts = Counts::default();
        let (at, known) = (Time::from_millis(9_000), Lineage(LINE + 1));
        counts.took(at, known);
        assert_eq!(counts.stuck(at + Duration::from_millis(999), known), None);
        assert_eq!(counts.stuck(at + Duration::from_secs(1), known), stuck(1, 1));
        counts.took(at + Duration::from_secs(1), known);
        counts.plays(stuck(1, 4));
        assert_eq!(counts.stuck(at + Duration::from_secs(1), known), stuck(1, 4));
        counts.plays(None);
        assert_eq!(counts.stuck(at + Duration::from_secs(1), known), None);
    }

    #[test]
    fn a_child_that_was_cut_off_a_moment_ago_is_counted_and_not_reached() {
        let (mut counts, start) = (Counts::default(), Time::from_millis(1000));
        counts.own(1);
        assert!((0..3).all(|n| counts.join(n)));
        counts.report(start, 0, edge(10), None);
        let later = start + Duration::from_millis(1_501);
        counts.report(later, 1, edge(5), None);
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
        counts.report(Time::default(), MAX_CHILDREN as u64, edge(7), None);
        assert_eq!(counts.sum(Time::default()).listeners, 0);
    }

    proptest! {
        /// Edges under relays under an origin: somebody is stuck at the top if and only if an edge is, on the highest of theirs.
        #[test]
        fn no_sum_hides_who_is_stuck_nor_makes_anyone_so(relays in prop::collection::vec(
            prop::collection::vec((0_u64..40, 0_u64..3_000), 0..6), 0..6,
        )) {
            let (now, known) = (Time::from_millis(9_000), Lineage(LINE));
            let said = |(count, ms): &(u64, u64)| {
                Stuck { lineage: Lineage(LINE + count), stood: Duration::from_millis(*ms) }
            };
            let mut top = Counts::default();
            for (r, edges) in (0..).zip(&relays) {
                let mut relay = Counts::default();
                for (e, one) in (0..).zip(edges) {
                    prop_assert!(relay.join(e));
                    relay.report(now, e, edge(1), Some(said(one)));
                }
                prop_assert!(top.join(r));
                top.report(now, r, relay.sum(now), relay.stuck(now, known));
            }
            let all = relays.iter().flatten().map(said);
            prop_assert_eq!(top.stuck(now, known), all.filter(|one| one.stood >= crate::STUCK).max());
        }

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
                    relay.report(now, e, own.sum(now), None);
                }
                prop_assert!(top.join(r));
                top.report(now, r, relay.sum(now), None);
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
