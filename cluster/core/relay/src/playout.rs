//! Gives each slot out once, in order, behind a buffer that hides what happens upstream: two parents, reordering, a
//! take-over. It does not know what is done with a slot, nor what fills a gap.
//!
//! An adaptive buffer waits when a slot's time has come and nothing at all is there: everything is late then, and the slot
//! most likely too. It plays that much later from then on, until there is a silence, in which it plays a little faster. A
//! slot that is missing while later ones are there is given up at its deadline: links bring slots in order.
//!
//! Invariants: `SlotOnce`; what is held is bounded; a jump forward is one gap and no loop over its slots; an adaptive buffer
//! grows no further than told, shrinks in silence alone, and is as short as a fixed one while nothing is late.

use std::{collections::BTreeMap, time::Duration};

use stentor_ids::{Lineage, Slot};
use stentor_pace::Time;

use crate::{Frame, RING_SLOTS, Stuck, seam::Seam};

/// Frames that wait for their deadline: two lineages of as many slots as a ring holds, which is far above any buffer.
/// Beyond it the oldest frame goes, and its slot will be a gap.
pub const PENDING_FRAMES: usize = 2 * RING_SLOTS;

/// What to do with a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Play this.
    Play(Frame),
    /// Nobody had these slots in time: fill them.
    Gap {
        /// The first of them.
        slot: Slot,
        /// How many, at least one.
        count: u64,
    },
}

/// What became of a frame given to a playout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pushed {
    /// It waits for its deadline.
    Taken,
    /// The slot of this lineage waits already.
    Duplicate,
    /// Its slot has been given out, or given up.
    Late,
    /// The playout has moved to a higher lineage.
    OldLineage,
}

/// The playout of one room at one edge.
#[derive(Debug)]
pub struct Playout {
    seam: Seam,
    pending: BTreeMap<(Slot, Lineage), Frame>,
    /// The lineage that was played last.
    lineage: Option<Lineage>,
    /// When a slot was played last.
    played: Time,
    /// The next slot to give out, once there is one.
    next: Option<Slot>,
    /// The highest slot that came: a first copy above it tells of the grid, one below it may be a refill.
    highest: Option<Slot>,
    started: bool,
}

impl Playout {
    /// A playout that gives each slot out `buffer` after the earliest moment at which it could come. A buffer shorter than
    /// the jitter of the arrivals gives up slots that are still on their way.
    #[must_use]
    pub fn new(buffer: Duration) -> Self {
        Self::adaptive(buffer, buffer)
    }

    /// The same with a buffer that grows up to `most` while everything is late.
    #[must_use]
    pub fn adaptive(buffer: Duration, most: Duration) -> Self {
        Self {
            seam: Seam::new(buffer, most),
            pending: BTreeMap::new(),
            lineage: None,
            played: Time::default(),
            next: None,
            highest: None,
            started: false,
        }
    }

    /// Takes a frame that came now. Until the first output the playout begins at the lowest slot that came.
    pub fn push(&mut self, now: Time, frame: Frame) -> Pushed {
        let key = (frame.slot, frame.lineage);
        if self.highest.is_none_or(|highest| frame.slot > highest) {
            self.highest = Some(frame.slot);
            self.seam.arrived(now, frame.slot);
        }
        if self.lineage.is_some_and(|current| frame.lineage < current) {
            return Pushed::OldLineage;
        }
        match self.next {
            Some(next) if frame.slot < next && self.started => return Pushed::Late,
            Some(next) => self.next = Some(next.min(frame.slot)),
            None => self.next = Some(frame.slot),
        }
        if self.pending.contains_key(&key) {
            return Pushed::Duplicate;
        }
        if self.pending.len() == PENDING_FRAMES {
            self.pending.pop_first();
        }
        self.pending.insert(key, frame);
        Pushed::Taken
    }

    /// Appends what is due to `out`, in order.
    pub fn poll(&mut self, now: Time, out: &mut Vec<Output>) {
        while let Some((next, due)) = self.due(now) {
            self.started = true;
            if self.pending.is_empty() && self.seam.grow() {
                continue;
            }
            match self.take(due) {
                Some(frame) => {
                    let slot = frame.slot;
                    if frame.is_silent() {
                        self.seam.give_back();
                    }
                    if slot > next {
                        out.push(Output::Gap { slot: next, count: slot.since(next) });
                    }
                    out.push(Output::Play(frame));
                    self.played = now;
                    self.next = Some(slot.next());
                }
                None => {
                    out.push(Output::Gap { slot: next, count: due.since(next) });
                    self.next = Some(due);
                }
            }
        }
    }

    /// When the next slot is due, so that [`poll`](Self::poll) has something to give; `None` before the first frame.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.next.map(|next| self.seam.deadline(next))
    }

    /// When a slot is given out, or given up; `None` before the first frame.
    #[must_use]
    pub fn deadline_of(&self, slot: Slot) -> Option<Time> {
        self.next.map(|_| self.seam.deadline(slot))
    }

    /// On which lineage it is stuck, if it has played nothing for too long.
    #[must_use]
    pub fn stuck(&self, now: Time) -> Option<Stuck> {
        self.lineage.and_then(|lineage| Stuck::on(lineage, now.since(self.played)))
    }

    /// How many frames wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// How long the buffer is now.
    #[must_use]
    pub fn depth(&self) -> Duration {
        self.seam.depth()
    }

    /// The next slot and the first one that is not due yet, if the next one is.
    fn due(&self, now: Time) -> Option<(Slot, Slot)> {
        let (next, first) = (self.next?, self.seam.first_after(now));
        (first > next).then_some((next, first))
    }

    /// The frame to play of the earliest slot below `end` that has one: of the lineage played so far if it is there, else
    /// of the highest.
    fn take(&mut self, end: Slot) -> Option<Frame> {
        let (&(slot, lowest), _) = self.pending.first_key_value()?;
        if slot >= end {
            return None;
        }
        let of_slot = (slot, lowest)..=(slot, Lineage(u64::MAX));
        let highest = self.pending.range(of_slot).next_back().map_or(lowest, |((_, lineage), _)| *lineage);
        // Lower lineages than the one played do not wait, so the lowest is it if it is there at all.
        let chosen = if self.lineage == Some(lowest) { lowest } else { highest };
        let frame = self.pending.remove(&(slot, chosen));
        self.lineage = Some(chosen);
        self.pending.retain(|(other, lineage), _| *other > slot && *lineage >= chosen);
        frame
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stentor_ids::Epoch;
    use stentor_pace::WallTime;

    use super::*;

    const BUFFER: Duration = Duration::from_millis(60);

    fn frame(slot: u64, lineage: u64) -> Frame {
        Frame {
            epoch: Epoch(1),
            lineage: Lineage(lineage),
            slot: Slot(slot),
            opus: Bytes::new(),
            captured: WallTime::default(),
        }
    }

    /// Plays up to `millis` and tells what came: a slot and its lineage, or a gap as `first+count`.
    fn play(playout: &mut Playout, millis: u64) -> String {
        let mut out = Vec::new();
        playout.poll(Time::from_millis(millis), &mut out);
        let told = out.iter().map(|output| match output {
            Output::Play(frame) => format!("{}:{}", frame.slot, frame.lineage),
            Output::Gap { slot, count } => format!("{slot}+{count}"),
        });
        told.collect::<Vec<_>>().join(" ")
    }

    fn push(playout: &mut Playout, millis: u64, slot: u64, lineage: u64) -> Pushed {
        playout.push(Time::from_millis(millis), frame(slot, lineage))
    }

    #[test]
    fn slots_come_out_in_order_a_buffer_after_the_earliest_arrival() {
        let mut playout = Playout::new(BUFFER);
        assert_eq!(playout.next_deadline(), None);
        push(&mut playout, 1000, 50, 1);
        push(&mut playout, 1038, 52, 1);
        push(&mut playout, 1039, 51, 1);
        assert_eq!(push(&mut playout, 1040, 51, 1), Pushed::Duplicate);
        assert_eq!(playout.next_deadline(), Some(Time::from_millis(1058)));
        assert_eq!(play(&mut playout, 1057), "");
        assert_eq!(play(&mut playout, 1058), "50:1");
        assert_eq!(play(&mut playout, 1100), "51:1 52:1");
        assert_eq!(push(&mut playout, 1101, 51, 1), Pushed::Late);
    }

    #[test]
    fn a_slot_that_nobody_has_is_a_gap_at_its_deadline() {
        let mut playout = Playout::new(BUFFER);
        push(&mut playout, 0, 0, 1);
        push(&mut playout, 40, 2, 1);
        assert_eq!(play(&mut playout, 60), "0:1");
        assert_eq!(playout.next_deadline(), Some(Time::from_millis(80)));
        assert_eq!(play(&mut playout, 80), "1+1");
        assert_eq!(play(&mut playout, 140), "2:1 3+2");
    }

    #[test]
    fn a_long_jump_forward_is_one_gap() {
        let mut playout = Playout::new(BUFFER);
        push(&mut playout, 0, 0, 1);
        assert_eq!(play(&mut playout, 60), "0:1");
        push(&mut playout, 61, 1 << 60, 1);
        assert_eq!(play(&mut playout, 121), format!("1+{} {}:1", (1_u64 << 60) - 1, 1_u64 << 60));
    }

    #[test]
    fn it_stays_on_its_lineage_while_that_delivers_and_never_goes_back() {
        let mut playout = Playout::new(BUFFER);
        for slot in 0..4 {
            push(&mut playout, slot * 20, slot, 1);
        }
        for slot in 2..7 {
            push(&mut playout, slot * 20 + 10, slot, 2);
        }
        assert_eq!(play(&mut playout, 120), "0:1 1:1 2:1 3:1");
        assert_eq!(play(&mut playout, 140), "4:2");
        assert_eq!(push(&mut playout, 141, 5, 1), Pushed::OldLineage);
        assert_eq!(play(&mut playout, 180), "5:2 6:2");
    }

    #[test]
    fn who_gets_slots_of_lower_lineages_alone_is_stuck_until_a_higher_one_comes() {
        let mut playout = Playout::new(BUFFER);
        assert_eq!(playout.stuck(Time::from_millis(9_000)), None, "nothing was played");
        for slot in 0..5 {
            push(&mut playout, slot * 20, slot, 3);
        }
        assert_eq!(play(&mut playout, 140), "0:3 1:3 2:3 3:3 4:3");
        let mut stuck = Vec::new();
        for slot in 5..80 {
            push(&mut playout, slot * 20, slot, 2);
            play(&mut playout, slot * 20 + 60);
            stuck.extend(playout.stuck(Time::from_millis(slot * 20 + 60)).map(|stuck| (slot, stuck)));
        }
        let first = Stuck { lineage: Lineage(3), stood: crate::STUCK };
        assert_eq!((stuck[0], stuck.len()), ((54, first), 26), "{stuck:?}");
        push(&mut playout, 1_600, 80, 4);
        assert_eq!(play(&mut playout, 1_660), "80:4");
        assert_eq!(playout.stuck(Time::from_millis(1_660)), None);
    }

    #[test]
    fn a_grid_that_shifts_later_costs_a_few_slots_and_not_the_buffer() {
        let mut playout = Playout::new(BUFFER);
        let mut told = String::new();
        for slot in 0..40 {
            let arrival = slot * 20 + if slot < 10 { 0 } else { 100 };
            told += &play(&mut playout, arrival);
            told += " ";
            push(&mut playout, arrival, slot, 1);
        }
        let played = told.matches(":1").count();
        assert!(played >= 24, "{told}");
        // After the shift the buffer is whole again: the last slot has its full time.
        let due = playout.deadline_of(Slot(39)).unwrap();
        assert_eq!(due, Time::from_millis(39 * 20 + 100 + 60));
    }

    #[test]
    fn a_late_burst_does_not_slow_the_playout() {
        let mut playout = Playout::new(BUFFER);
        for slot in 0..10 {
            push(&mut playout, slot * 20, slot, 1);
        }
        for slot in 10..20 {
            push(&mut playout, 19 * 20, slot, 1);
        }
        assert_eq!(playout.deadline_of(Slot(20)), Some(Time::from_millis(20 * 20 + 60)));
    }
}
