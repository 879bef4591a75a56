//! What a listener was given, slot by slot, and the report about it. Pure: the driver says when a frame came.
//!
//! Invariant: `got + missed` is the number of slots from the first to the last, however they came.

use std::collections::{BTreeMap, VecDeque};

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::{Time, WallTime};

use crate::report::{Change, Gap, Latency, Report};

/// Frames that are kept one by one: two hours, 20 MB. Beyond it the oldest are forgotten; all counts go on, and the
/// percentiles are those of the frames kept.
const KEPT_FRAMES: usize = 360_000;
/// Gaps that are kept one by one. Beyond it they are counted and not told, and what fills one late counts as repeated.
const KEPT_GAPS: usize = 10_000;
/// Epochs, lineages and their changes that are kept; a room changes seldom. Beyond it further ones are not told.
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

/// Keeps what a listener is given.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// At most `kept`, the newest.
    heard: VecDeque<Heard>,
    kept: usize,
    /// Missing slots: first and count. Gaps do not touch.
    gaps: BTreeMap<Slot, u64>,
    /// The slot that should come next; none before the first frame.
    next: Option<Slot>,
    last: Option<Heard>,
    /// Everything that is counted as it comes; gaps and latency are filled in by [`Recorder::report`].
    counts: Report,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::keeping(KEPT_FRAMES)
    }
}

impl Recorder {
    /// A record that keeps so many frames one by one; of 0, counts and gaps alone, without latency.
    #[must_use]
    pub fn keeping(frames: usize) -> Self {
        Self {
            heard: VecDeque::new(),
            kept: frames,
            gaps: BTreeMap::new(),
            next: None,
            last: None,
            counts: Report::default(),
        }
    }

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
        if self.counts.repeats.len() < KEPT_GAPS {
            self.counts.repeats.push(heard.slot);
        }
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

    /// The frames that are kept, in the order they came: those of the last two hours, unless it was told otherwise.
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
        Report { gaps, latency: self.latency(), ..self.counts.clone() }
    }

    /// The same for the slots from this one on alone, as far as their frames are kept, and without connections: for what
    /// one fault did. The first interval is that from the frame before.
    #[must_use]
    pub fn report_from(&self, slot: Slot) -> Report {
        let mut part = Self::keeping(self.kept);
        part.last = self.heard.iter().rfind(|heard| heard.slot < slot).copied();
        part.next = part.last.map(|_| slot);
        part.counts.first_slot = part.next;
        for heard in self.heard.iter().filter(|heard| heard.slot >= slot) {
            part.frame(*heard);
        }
        if let Some(next) = self.next {
            part.gap(next, 0, false);
        }
        part.report()
    }

    fn latency(&self) -> Option<Latency> {
        let spoken = self.heard.iter().filter_map(|heard| Some(heard.at.since(heard.captured?)));
        Latency::of(spoken.collect())
    }

    fn note(&mut self, heard: &Heard) {
        if let Some(before) = self.last.replace(*heard) {
            let interval = heard.arrived.since(before.arrived);
            if interval > self.counts.longest_interval {
                self.counts.longest_interval = interval;
                self.counts.longest_before = Some(heard.slot);
            }
            if heard.lineage != before.lineage && self.counts.changes.len() < KEPT_CHANGES {
                let Heard { slot, epoch, lineage, arrived, .. } = *heard;
                self.counts.changes.push(Change { slot, epoch, lineage, arrived });
            }
            self.counts.lineages_back += u64::from(heard.lineage < before.lineage);
        }
        add_change(&mut self.counts.epochs, heard.epoch);
        add_change(&mut self.counts.lineages, heard.lineage);
        self.heard.push_back(*heard);
        if self.heard.len() > self.kept {
            self.heard.pop_front();
        }
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

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

    #[test]
    fn lineages_are_told_where_they_change_and_repeats_by_slot() {
        let mut recorder = recorded(&[0, 1]);
        let on = |lineage, slot| Heard { lineage: Lineage(lineage), ..at(slot, slot * 20) };
        for (lineage, slot) in [(3, 2), (3, 3), (3, 3), (2, 4)] {
            recorder.frame(on(lineage, slot));
        }
        let report = recorder.report();
        let change = |slot: u64, lineage| Change {
            slot: Slot(slot),
            epoch: Epoch(1),
            lineage: Lineage(lineage),
            arrived: Time::from_millis(slot * 20),
        };
        assert_eq!(report.changes, [change(2, 3), change(4, 2)]);
        assert_eq!((report.lineages_back, report.repeats), (1, vec![Slot(3)]));
    }

    #[test]
    fn what_came_from_a_slot_on_is_told_alone() {
        let mut recorder = recorded(&[0, 3, 4, 5]);
        recorder.frame(at(9, 500));
        recorder.gap(Slot(10), 2, false);
        let all = recorder.report();
        assert_eq!((all.missed, all.longest_before), (7, Some(Slot(9))));
        assert_eq!(recorder.report_from(Slot(0)), Report { latency: None, ..all });
        let part = recorder.report_from(Slot(7));
        assert_eq!(
            (part.got, part.missed, part.first_slot, part.last_slot),
            (1, 4, Some(Slot(7)), Some(Slot(11)))
        );
        assert_eq!(part.gaps, [Gap { slot: Slot(7), count: 2 }, Gap { slot: Slot(10), count: 2 }]);
        assert_eq!(part.longest_interval, Duration::from_millis(440));
        let none = recorder.report_from(Slot(50));
        assert_eq!((none.got, none.missed, none.last_slot), (0, 0, None));
    }

    #[test]
    fn a_record_keeps_no_more_frames_than_it_is_told_to() {
        let mut recorder = Recorder::keeping(10);
        for slot in 0..100 {
            recorder.frame(at(slot, slot * 20));
        }
        assert_eq!((recorder.heard().len(), recorder.heard()[0].slot, recorder.got()), (10, Slot(90), 100));
        let mut counts = Recorder::keeping(0);
        counts.frame(at(1, 0));
        counts.frame(at(3, 40));
        assert_eq!((counts.heard().len(), counts.report().missed), (0, 1));
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
