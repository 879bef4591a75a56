//! What a listener was given, slot by slot, and the report about it. Pure: the driver says when a frame came.
//!
//! Invariant: `got + missed` is the number of slots from the first to the last, however they came.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::{Time, WallTime};

/// Frames that are kept one by one: two hours, 20 MB. Beyond it the oldest are forgotten; all counts go on, and the
/// percentiles are those of the frames kept.
const KEPT_FRAMES: usize = 360_000;
/// Gaps that are kept one by one. Beyond it they are counted and not told, and what fills one late counts as repeated.
const KEPT_GAPS: usize = 10_000;
/// Epochs and lineages that are kept; a room changes either seldom. Beyond it further ones are not told.
const KEPT_CHANGES: usize = 1_000;

/// One frame as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its slot.
    pub slot: Slot,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its lineage.
    pub lineage: Lineage,
    /// When it arrived, since the listener was started.
    pub arrived: Time,
    /// The same by the wall clock.
    pub at: WallTime,
    /// When its earliest speech was stamped at its edge; none if nobody spoke.
    pub captured: Option<WallTime>,
}

/// What a frame is to the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Above all before it.
    New,
    /// It came before.
    Repeated,
    /// It had been missing, and came after a later one.
    OutOfOrder,
}

/// Slots that were not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub slot: Slot,
    /// How many.
    pub count: u64,
}

/// Times from being spoken to being heard, of the frames in which someone spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Frames it is made of.
    pub frames: usize,
    /// Half of them took no longer.
    pub p50: Duration,
    /// Nine in ten took no longer.
    pub p90: Duration,
    /// 99 in 100 took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// What a listener was given, in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Different slots given.
    pub got: u64,
    /// Slots between the first and the last that were not.
    pub missed: u64,
    /// Of those, how many the edge left out because this listener was too slow.
    pub skipped: u64,
    /// Frames of slots that had been given before.
    pub repeated: u64,
    /// Frames that came after a later one.
    pub out_of_order: u64,
    /// What is missing, by slot.
    pub gaps: Vec<Gap>,
    /// The lowest slot.
    pub first_slot: Option<Slot>,
    /// The highest slot given, or told as missing.
    pub last_slot: Option<Slot>,
    /// Epochs, in the order they came.
    pub epochs: Vec<Epoch>,
    /// Lineages, in the order they came.
    pub lineages: Vec<Lineage>,
    /// The longest time between two frames, one connection after another included.
    pub longest_interval: Duration,
    /// How long it took from mouth to ear; none if nobody spoke.
    pub latency: Option<Latency>,
    /// Connections after the first that replaced a broken one.
    pub reconnects: u64,
    /// Times an edge sent the listener elsewhere.
    pub moves: u64,
}

/// Keeps what a listener is given.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    heard: VecDeque<Heard>,
    /// Missing slots: first and count. Gaps do not touch.
    gaps: BTreeMap<Slot, u64>,
    /// The slot that should come next; none before the first frame.
    next: Option<Slot>,
    last_arrival: Option<Time>,
    /// Everything that is counted as it comes; gaps and latency are filled in by [`Recorder::report`].
    counts: Report,
}

impl Recorder {
    /// Takes a frame.
    pub fn frame(&mut self, heard: Heard) -> Verdict {
        self.note(&heard);
        let next = *self.next.get_or_insert(heard.slot);
        self.counts.first_slot.get_or_insert(heard.slot);
        if heard.slot >= next {
            self.miss_until(heard.slot);
            self.next = Some(heard.slot.next());
            self.counts.last_slot = Some(heard.slot);
            self.counts.got += 1;
            return Verdict::New;
        }
        if self.fill(heard.slot) {
            self.counts.got += 1;
            self.counts.missed -= 1;
            self.counts.out_of_order += 1;
            return Verdict::OutOfOrder;
        }
        self.counts.repeated += 1;
        Verdict::Repeated
    }

    /// Takes the edge's word that slots do not come. `skipped` says that this listener was too slow for them.
    pub fn gap(&mut self, slot: Slot, count: u64, skipped: bool) {
        // Before the first frame there is nothing to miss.
        let Some(next) = self.next else { return };
        let end = slot.plus(count);
        if end > next {
            self.counts.skipped += if skipped { end.since(next.max(slot)) } else { 0 };
            self.miss_until(end);
            self.next = Some(end);
            self.counts.last_slot = Some(Slot(end.0 - 1));
        }
    }

    /// A broken connection was replaced.
    pub(crate) fn reconnected(&mut self) {
        self.counts.reconnects += 1;
    }

    /// An edge sent the listener elsewhere.
    pub(crate) fn moved(&mut self) {
        self.counts.moves += 1;
    }

    /// The frames of the last two hours, in the order they came.
    #[must_use]
    pub fn heard(&self) -> &VecDeque<Heard> {
        &self.heard
    }

    /// Different slots given.
    #[must_use]
    pub const fn got(&self) -> u64 {
        self.counts.got
    }

    /// Slots missing.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.counts.missed
    }

    /// The slot above all that were given or told as missing; none before the first frame.
    #[must_use]
    pub const fn next_slot(&self) -> Option<Slot> {
        self.next
    }

    /// The report as of now.
    #[must_use]
    pub fn report(&self) -> Report {
        let gaps = self.gaps.iter().map(|(&slot, &count)| Gap { slot, count }).collect();
        Report { gaps, latency: latency(&self.heard), ..self.counts.clone() }
    }

    fn note(&mut self, heard: &Heard) {
        if let Some(before) = self.last_arrival.replace(heard.arrived) {
            self.counts.longest_interval = self.counts.longest_interval.max(heard.arrived.since(before));
        }
        add_change(&mut self.counts.epochs, heard.epoch);
        add_change(&mut self.counts.lineages, heard.lineage);
        if self.heard.len() == KEPT_FRAMES {
            self.heard.pop_front();
        }
        self.heard.push_back(*heard);
    }

    fn miss_until(&mut self, end: Slot) {
        let Some(next) = self.next.filter(|next| *next < end) else { return };
        let count = end.since(next);
        self.counts.missed += count;
        let full = self.gaps.len() >= KEPT_GAPS;
        match self.gaps.last_entry() {
            Some(mut last) if last.key().plus(*last.get()) == next => *last.get_mut() += count,
            _ if full => {}
            _ => drop(self.gaps.insert(next, count)),
        }
    }

    /// Takes a slot out of its gap, which may fall into two. Says whether it was in one.
    fn fill(&mut self, slot: Slot) -> bool {
        let Some((&first, &count)) = self.gaps.range(..=slot).next_back() else { return false };
        let end = first.plus(count);
        if slot >= end {
            return false;
        }
        self.gaps.remove(&first);
        if first < slot {
            self.gaps.insert(first, slot.since(first));
        }
        if slot.next() < end {
            self.gaps.insert(slot.next(), end.since(slot.next()));
        }
        true
    }
}

fn add_change<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if list.last() != Some(&value) && list.len() < KEPT_CHANGES {
        list.push(value);
    }
}

fn latency(heard: &VecDeque<Heard>) -> Option<Latency> {
    let mut all: Vec<Duration> =
        heard.iter().filter_map(|heard| heard.captured.map(|captured| heard.at.since(captured))).collect();
    all.sort_unstable();
    let max = *all.last()?;
    // The nearest rank: the smallest value that at least so many per cent do not exceed.
    let rank = |percent: usize| all[(all.len() * percent).div_ceil(100).max(1) - 1];
    Some(Latency { frames: all.len(), p50: rank(50), p90: rank(90), p99: rank(99), max })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(slot: u64, millis: u64) -> Heard {
        Heard {
            slot: Slot(slot),
            epoch: Epoch(1),
            lineage: Lineage(1),
            arrived: Time::from_millis(millis),
            at: WallTime::from_millis(1_000_000 + millis),
            captured: None,
        }
    }

    fn recorded(slots: &[u64]) -> Recorder {
        let mut recorder = Recorder::default();
        for (i, &slot) in slots.iter().enumerate() {
            recorder.frame(at(slot, i as u64 * 20));
        }
        recorder
    }

    #[test]
    fn missing_slots_are_told_where_they_are() {
        let report = recorded(&[10, 11, 14, 15, 20]).report();
        assert_eq!((report.got, report.missed, report.repeated, report.out_of_order), (5, 6, 0, 0));
        assert_eq!(report.gaps, [Gap { slot: Slot(12), count: 2 }, Gap { slot: Slot(16), count: 4 }]);
        assert_eq!((report.first_slot, report.last_slot), (Some(Slot(10)), Some(Slot(20))));
    }

    #[test]
    fn a_late_frame_fills_its_gap_and_a_second_one_is_a_repetition() {
        let mut recorder = recorded(&[0, 5]);
        assert_eq!(recorder.frame(at(2, 100)), Verdict::OutOfOrder);
        assert_eq!(recorder.frame(at(2, 101)), Verdict::Repeated);
        assert_eq!(recorder.frame(at(5, 102)), Verdict::Repeated);
        assert_eq!(recorder.frame(at(6, 103)), Verdict::New);
        let report = recorder.report();
        assert_eq!(report.gaps, [Gap { slot: Slot(1), count: 1 }, Gap { slot: Slot(3), count: 2 }]);
        assert_eq!((report.got, report.missed, report.repeated, report.out_of_order), (4, 3, 2, 1));
    }

    #[test]
    fn what_the_edge_says_is_missing_counts_even_at_the_end_and_only_once() {
        let mut recorder = recorded(&[0, 1]);
        recorder.gap(Slot(2), 3, false);
        recorder.gap(Slot(3), 4, true);
        let report = recorder.report();
        assert_eq!((report.missed, report.skipped, report.last_slot), (5, 2, Some(Slot(6))));
        assert_eq!(report.gaps, [Gap { slot: Slot(2), count: 5 }]);
        let mut deaf = Recorder::default();
        deaf.gap(Slot(2), 3, false);
        assert_eq!(deaf.report(), Report::default());
    }

    #[test]
    fn intervals_epochs_and_lineages_are_told() {
        let mut recorder = recorded(&[0, 1]);
        recorder.frame(Heard { epoch: Epoch(2), lineage: Lineage(4), ..at(2, 520) });
        recorder.frame(Heard { epoch: Epoch(2), lineage: Lineage(4), ..at(3, 530) });
        let report = recorder.report();
        assert_eq!(report.longest_interval, Duration::from_millis(500));
        assert_eq!(report.epochs, [Epoch(1), Epoch(2)]);
        assert_eq!(report.lineages, [Lineage(1), Lineage(4)]);
    }

    #[test]
    fn latency_is_that_of_the_frames_in_which_someone_spoke() {
        let mut recorder = recorded(&[0]);
        assert_eq!(recorder.report().latency, None);
        for i in 1..=100 {
            let frame = at(i, 20 * i);
            recorder.frame(Heard { captured: Some(frame.at - Duration::from_millis(i)), ..frame });
        }
        let latency = recorder.report().latency.unwrap();
        let millis = [latency.p50, latency.p90, latency.p99, latency.max].map(|time| time.as_millis());
        assert_eq!((latency.frames, millis), (100, [50, 90, 99, 100]));
    }

    #[test]
    fn one_frame_has_a_latency_too() {
        let mut recorder = Recorder::default();
        let frame = at(0, 20);
        recorder.frame(Heard { captured: Some(frame.at - Duration::from_millis(7)), ..frame });
        assert_eq!(recorder.report().latency.unwrap().p50, Duration::from_millis(7));
    }

    proptest! {
        #[test]
        fn slots_given_and_missed_are_all_there_are(slots in prop::collection::vec(50_u64..150, 1..200)) {
            let report = recorded(&slots).report();
            let first = report.first_slot.unwrap();
            let last = report.last_slot.unwrap();
            prop_assert_eq!(report.got + report.missed, last.since(first) + 1);
            prop_assert_eq!(report.missed, report.gaps.iter().map(|gap| gap.count).sum::<u64>());
            prop_assert_eq!(report.got + report.repeated, slots.len() as u64);
            let given: BTreeSet<_> = slots.iter().copied().filter(|slot| *slot >= first.0).collect();
            prop_assert_eq!(report.got, given.len() as u64);
        }
    }
}
