//! Which of a room's two origins mixes. Both run this: one *leads*, the other *keeps*, passing on what the leader emits,
//! until a slot does not come. It does not know who owns the room, nor how one mixes.
//!
//! | while | told | then |
//! |---|---|---|
//! | keeping | a slot has not come [`GRACE`] after it was due | leads from that slot, under the next lineage of its side |
//! | keeping | to lead from a slot, and that is due | leads, without a grace |
//! | keeping | it was asleep itself | waits a grace anew: its own pause says nothing of the other, nor of when slots are due |
//! | leading | a slot of a higher lineage, in time | keeps |
//! | leading | one that a link or its own pause held up | goes on: it does not say that the other mixes now |
//! | leading | to yield at a slot, and has come to it | keeps |
//!
//! Both may lead while they do not hear each other. Their lineages differ, listeners stay on one of them, and when they hear
//! each other again the lower one keeps.
//!
//! Invariants: the lineages that one side begins rise, and are never those of the other side; a leader emits each slot
//! once, in order; the state is a few numbers, whatever the other sends.

use std::{collections::VecDeque, ops::RangeInclusive, time::Duration};

use stentor_ids::{Lineage, SLOT_DURATION, Slot};
use stentor_pace::{Deadline, Time};

use crate::{Due, Grid};

/// How late a slot may be until the other origin goes on: one and a half slots. Longer than a scheduler's hiccup on a
/// machine with work to do, and with a replay (8 ms) and two hops well within the seam buffer of 60 ms.
pub const GRACE: Duration = Duration::from_millis(30);
/// The same once the stream of the other has ended: then nothing more will come by it.
const GRACE_LOST: Duration = Duration::from_millis(10);
/// How late one may be oneself and still judge the other. Beyond it both may have been starved by one machine, or this one
/// was paused, and what the other sent meanwhile is still to be read.
const ASLEEP: Duration = Duration::from_millis(40);
/// Arrivals that the grid of the other is read from: 200 ms.
const ARRIVALS: usize = 10;
/// Between which times slots come that are not a backlog.
const PACED: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(40);
/// How far the wall clock may pull a grid that is taken over, so that transit times do not add up over many take-overs.
const PULL_MICROS: i64 = 10_000;

const SLOT_MICROS: i64 = SLOT_DURATION.as_micros() as i64;

/// Which of a room's two origins one is. It decides which lineages one may begin, so that the two never begin the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The owner of the epoch: even numbers.
    Owner,
    /// Its mirror: odd numbers.
    Mirror,
}

impl Side {
    /// The first lineage of this side above one that was seen.
    #[must_use]
    pub const fn after(self, seen: Lineage) -> Lineage {
        let odd = matches!(self, Self::Mirror) as u64;
        let next = seen.next().0;
        if next % 2 == odd { Lineage(next) } else { Lineage(next.saturating_add(1)) }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Make ready to mix from this slot on, by replaying what was kept. [`Act::Emit`] follows.
    TakeOver {
        /// The first slot to mix.
        slot: Slot,
    },
    /// Mix this slot and emit it.
    Emit {
        /// The slot, and how late it is.
        due: Due,
        /// Under this.
        lineage: Lineage,
    },
    /// The slot at which to yield has come: nothing more is emitted.
    Yielded,
}

/// What a slot of the other origin means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heard {
    /// It leads: pass the slot on.
    Follow,
    /// It leads from now on, and this one keeps: pass the slot on.
    StepDown,
    /// It has not heard yet that this one leads.
    Behind,
}

/// Why [`Duty::poll`] is to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// A slot is to be mixed.
    Slot,
    /// A slot of the other should have come by now.
    Missing,
    /// The slot from which one is to lead.
    Begin,
}

/// The duty of one of a room's two origins.
#[derive(Debug)]
pub struct Duty {
    side: Side,
    role: Role,
    /// The highest lineage led or heard.
    highest: Lineage,
    /// When slot 0 was due by the wall clock, on the monotonic one, in microseconds.
    anchor: i64,
    grace: Duration,
    /// To lead from this slot on, under this lineage.
    begin: Option<(Slot, Lineage)>,
    /// To yield at this slot.
    end: Option<Slot>,
    /// One that leads emits nothing below this.
    floor: Slot,
    /// When the last slot of the other came, and how many came late in a row, at the pace of a grid.
    came: Time,
    late: usize,
}

#[derive(Debug)]
enum Role {
    Lead { lineage: Lineage, grid: Grid },
    Keep(Keep),
}

#[derive(Debug, Default)]
struct Keep {
    /// What the other leads, as last heard.
    lineage: Lineage,
    /// Arrival of a slot less its place on the grid, in microseconds; the newest last.
    arrivals: VecDeque<i64>,
    /// Where the grid was led before, until there are arrivals.
    led: Option<i64>,
    /// The first slot that has not come; `None` before any came.
    next: Option<Slot>,
    /// The stream of the other has ended.
    lost: bool,
    /// Until then nothing is concluded.
    awake: Time,
}

impl Duty {
    /// One that keeps. It leads only after it has heard the other, or when it is told to. `now` is the moment at which the
    /// room is `live` for so long.
    #[must_use]
    pub fn keeping(side: Side, now: Time, live: Duration) -> Self {
        let (role, highest) = (Role::Keep(Keep::default()), Lineage::default());
        let anchor = micros(now) - i64::try_from(live.as_micros()).unwrap_or(i64::MAX);
        Self {
            side,
            role,
            highest,
            anchor,
            grace: GRACE,
            begin: None,
            end: None,
            floor: Slot(0),
            came: Time::default(),
            late: 0,
        }
    }

    /// One that leads from the grid's next slot on.
    #[must_use]
    pub fn leading(side: Side, lineage: Lineage, grid: Grid) -> Self {
        let anchor = micros(grid.at()) - place(grid.next());
        let role = Role::Lead { lineage, grid };
        Self {
            side,
            role,
            highest: lineage,
            anchor,
            grace: GRACE,
            begin: None,
            end: None,
            floor: Slot(0),
            came: Time::default(),
            late: 0,
        }
    }

    /// The same with another grace.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Which origin this one is from now on: that of a new owner's epoch, for one.
    pub const fn become_side(&mut self, side: Side) {
        self.side = side;
    }

    /// The lineage that this one leads, if it leads.
    #[must_use]
    pub const fn leads(&self) -> Option<Lineage> {
        match self.role {
            Role::Lead { lineage, .. } => Some(lineage),
            Role::Keep(_) => None,
        }
    }

    /// The highest lineage led or heard.
    #[must_use]
    pub const fn lineage(&self) -> Lineage {
        self.highest
    }

    /// The next slot to lead, or to come; `None` for one that keeps and has heard nothing.
    #[must_use]
    pub fn next(&self) -> Option<Slot> {
        match &self.role {
            Role::Lead { grid, .. } => Some(grid.next().max(self.floor)),
            Role::Keep(keep) => keep.next,
        }
    }

    /// Somebody has seen this lineage: what is begun from now on is above it.
    pub fn saw(&mut self, lineage: Lineage) {
        self.highest = self.highest.max(lineage);
    }

    /// Goes on above a slot that somebody has seen, and under a lineage above one that somebody has seen.
    pub fn lift(&mut self, slot: Slot, seen: Lineage) {
        self.saw(seen);
        if let Role::Lead { lineage, .. } = &mut self.role {
            self.floor = self.floor.max(slot);
            if *lineage < seen {
                *lineage = self.side.after(seen);
                self.highest = *lineage;
            }
        }
    }

    /// Leads from this slot on under this lineage, whether it leads already or keeps.
    pub fn lead_from(&mut self, slot: Slot, lineage: Lineage) {
        self.begin = Some((slot, lineage));
        self.end = None;
    }

    /// Leads up to this slot and then keeps.
    pub const fn yield_at(&mut self, slot: Slot) {
        self.begin = None;
        self.end = Some(slot);
    }

    /// A slot of the other came.
    pub fn heard(&mut self, now: Time, slot: Slot, lineage: Lineage) -> Heard {
        let behind = match &self.role {
            Role::Lead { lineage: own, .. } => lineage <= *own,
            Role::Keep(keep) => lineage < keep.lineage,
        };
        if behind {
            return Heard::Behind;
        }
        let leads = self.leads().is_some();
        self.highest = self.highest.max(lineage);
        let late = self.is_late(now, slot);
        if let Role::Lead { grid, .. } = &self.role {
            // What it mixed a while ago does not say that it mixes now.
            if late {
                return Heard::Behind;
            }
            let led = Some(micros(grid.at()) - place(grid.next()));
            self.role = Role::Keep(Keep { led, ..Keep::default() });
        }
        if let Role::Keep(keep) = &mut self.role {
            keep.lineage = lineage;
            keep.heard(now, slot, if late { Some(self.grace) } else { None });
        }
        if leads { Heard::StepDown } else { Heard::Follow }
    }

    /// A slot that comes late was held up: by a link that was cut, or by a pause of one's own. It says that the other lives,
    /// and not where its grid is, unless late ones come for so long at the pace of a grid that it has shifted.
    fn is_late(&mut self, now: Time, slot: Slot) -> bool {
        let base = match &self.role {
            Role::Lead { grid, .. } => Some(micros(grid.at()) - place(grid.next())),
            Role::Keep(keep) => keep.base(),
        };
        let paced = PACED.contains(&now.since(std::mem::replace(&mut self.came, now)));
        let late = base.is_some_and(|base| micros(now) - place(slot) > base + ASLEEP.as_micros() as i64);
        self.late = if late && (paced || self.late == 0) { self.late + 1 } else { 0 };
        let shifted = self.late > ARRIVALS;
        if shifted && let Role::Keep(keep) = &mut self.role {
            (keep.led, self.late) = (None, 0);
            keep.arrivals.clear();
        }
        late && !shifted
    }

    /// The stream of the other has ended.
    pub const fn lost(&mut self) {
        if let Role::Keep(keep) = &mut self.role {
            keep.lost = true;
        }
    }

    /// What to do now; call it until it says nothing, after anything was told and at each deadline.
    pub fn poll(&mut self, now: Time) -> Option<Act> {
        match &mut self.role {
            Role::Lead { lineage, grid } => {
                if self.end.is_some_and(|end| grid.next() >= end) {
                    let keep = Keep::after(*lineage, grid.next(), grid.at());
                    (self.role, self.end) = (Role::Keep(keep), None);
                    return Some(Act::Yielded);
                }
                grid.lift(now, std::mem::take(&mut self.floor));
                let due = grid.poll(now)?;
                if let Some((_, raised)) = self.begin.take_if(|(slot, _)| due.slot >= *slot) {
                    *lineage = raised.max(*lineage);
                    self.highest = self.highest.max(*lineage);
                }
                Some(Act::Emit { due, lineage: *lineage })
            }
            Role::Keep(keep) => {
                let next = keep.next;
                let deadline = self.deadline()?;
                let asleep = now.since(deadline.at) > ASLEEP;
                if !deadline.is_due(now) {
                    return None;
                }
                if let Role::Keep(keep) = &mut self.role
                    && asleep
                    && deadline.why == Wake::Missing
                {
                    keep.awake = now + self.grace;
                    return None;
                }
                self.end = None;
                let begin = self.begin.take_if(|_| deadline.why == Wake::Begin);
                let slot = begin.map_or(next, |(slot, _)| next.max(Some(slot)))?;
                let lineage = begin.map_or_else(|| self.side.after(self.highest), |(_, lineage)| lineage);
                let lineage = if lineage > self.highest { lineage } else { self.side.after(self.highest) };
                let grid = Grid::resumed(slot, self.due(slot));
                (self.role, self.highest) = (Role::Lead { lineage, grid }, lineage);
                Some(Act::TakeOver { slot })
            }
        }
    }

    /// When to poll next, and why; `None` for one that keeps and has heard nothing.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline<Wake>> {
        let keep = match &self.role {
            Role::Lead { grid, .. } => return Some(Deadline::new(grid.at(), Wake::Slot)),
            Role::Keep(keep) => keep,
        };
        if let Some((slot, _)) = self.begin
            && keep.next.is_none_or(|next| next >= slot)
        {
            return Some(Deadline::new(self.due(keep.next.unwrap_or(slot)), Wake::Begin));
        }
        let grace = if keep.lost { GRACE_LOST.min(self.grace) } else { self.grace };
        let late = self.due(keep.next?) + grace;
        Some(Deadline::new(late.max(keep.awake), Wake::Missing))
    }

    /// When a slot is due: by the arrivals of those before it, and the wall clock within bounds.
    fn due(&self, slot: Slot) -> Time {
        let base = match &self.role {
            Role::Lead { grid, .. } => micros(grid.at()) - place(grid.next()),
            Role::Keep(keep) => keep.base().unwrap_or(self.anchor),
        };
        let base = self.anchor.clamp(base - PULL_MICROS, base);
        Time::from_micros(u64::try_from(base + place(slot)).unwrap_or_default())
    }
}

impl Keep {
    /// One that has led up to `next`, which is due `at`.
    fn after(lineage: Lineage, next: Slot, at: Time) -> Self {
        Self { lineage, led: Some(micros(at) - place(next)), next: Some(next), ..Self::default() }
    }

    /// Where the grid of the other is, as far as is known.
    fn base(&self) -> Option<i64> {
        self.arrivals.iter().copied().min().or(self.led)
    }

    /// A slot came; too late to tell of the grid, if a grace is given in which others may come.
    fn heard(&mut self, now: Time, slot: Slot, late: Option<Duration>) {
        if self.next.is_some_and(|next| slot < next) {
            return;
        }
        self.next = Some(slot.next());
        self.lost = false;
        if let Some(grace) = late {
            self.awake = now + grace;
            return;
        }
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(micros(now) - place(slot));
    }
}

fn micros(at: Time) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

/// Where a slot stands on the grid, in microseconds. Far enough from the end that sums do not overflow.
fn place(slot: Slot) -> i64 {
    i64::try_from(slot.0).unwrap_or(i64::MAX).min(i64::MAX / (4 * SLOT_MICROS)) * SLOT_MICROS
}

#[cfg(test)]
mod tests {
    use stentor_ids::Epoch;

    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_millis(100_000 + millis)
    }

    /// A mirror of a room that went live at `at(0)`, which has heard slots 0 to 9 on time.
    fn mirror() -> Duty {
        let mut duty = Duty::keeping(Side::Mirror, at(0), Duration::ZERO);
        for slot in 0..10 {
            assert_eq!(duty.heard(at(20 * slot), Slot(slot), Lineage(2)), Heard::Follow);
        }
        duty
    }

    /// What it does at a moment: `T` takes over, `E` emits a slot under a lineage, `Y` has yielded.
    fn acts(duty: &mut Duty, millis: u64) -> String {
        let acts = std::iter::from_fn(|| duty.poll(at(millis))).map(|act| match act {
            Act::TakeOver { slot } => format!("T{slot}"),
            Act::Emit { due, lineage } => format!("E{}:{lineage}", due.slot),
            Act::Yielded => "Y".to_owned(),
        });
        acts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_two_sides_never_begin_the_same_lineage() {
        for seen in 0..100 {
            let [owner, mirror] = [Side::Owner, Side::Mirror].map(|side| side.after(Lineage(seen)).0);
            assert!(owner > seen && owner % 2 == 0 && mirror > seen && mirror % 2 == 1);
        }
        assert_eq!(Lineage::of(Epoch(7)).epoch(), Epoch(7));
    }

    #[test]
    fn a_keeper_goes_on_from_the_slot_that_did_not_come_and_on_the_same_grid() {
        let mut duty = mirror();
        assert_eq!(duty.deadline(), Some(Deadline::new(at(230), Wake::Missing)));
        assert_eq!(acts(&mut duty, 229), "");
        assert_eq!(acts(&mut duty, 230), "T10 E10:3 E11:3");
        assert_eq!(acts(&mut duty, 239), "");
        assert_eq!(acts(&mut duty, 240), "E12:3");
    }

    #[test]
    fn a_keeper_that_has_heard_nothing_waits() {
        let mut duty = Duty::keeping(Side::Mirror, at(0), Duration::ZERO);
        assert_eq!((duty.deadline(), acts(&mut duty, 60_000)), (None, String::new()));
    }

    #[test]
    fn a_broken_stream_shortens_the_grace() {
        let mut duty = mirror();
        duty.lost();
        assert_eq!(acts(&mut duty, 209), "");
        assert_eq!(acts(&mut duty, 210), "T10 E10:3");
    }

    #[test]
    fn one_that_was_paused_itself_does_not_judge_the_other() {
        let mut duty = mirror();
        assert_eq!(acts(&mut duty, 5_000), "");
        for slot in 10..251 {
            assert_eq!(duty.heard(at(5_001), Slot(slot), Lineage(2)), Heard::Follow);
        }
        assert_eq!(acts(&mut duty, 5_002), "");
        assert_eq!(acts(&mut duty, 5_060), "T251 E251:3 E252:3 E253:3");
    }

    #[test]
    fn what_a_cut_link_held_up_does_not_shift_the_grid_and_a_grid_that_shifts_is_followed() {
        let mut duty = Duty::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0)));
        assert_eq!(acts(&mut duty, 140), "E0:2 E1:2 E2:2 E3:2 E4:2 E5:2 E6:2 E7:2");
        // The first slots of one that took over while the link was cut, and then those of now.
        assert_eq!(duty.heard(at(150), Slot(2), Lineage(3)), Heard::Behind);
        assert_eq!(duty.heard(at(155), Slot(3), Lineage(3)), Heard::Behind);
        assert_eq!(acts(&mut duty, 160), "E8:2");
        assert_eq!(duty.heard(at(165), Slot(7), Lineage(3)), Heard::StepDown);
        assert_eq!(acts(&mut duty, 189), "");
        // One whose grid is 100 ms later.
        for slot in 8..60 {
            duty.heard(at(100 + 20 * slot), Slot(slot), Lineage(5));
            acts(&mut duty, 100 + 20 * slot);
        }
        assert_eq!(acts(&mut duty, 1_319), "");
        assert!(acts(&mut duty, 1_320).starts_with("T60 E60:6"));
    }

    #[test]
    fn what_is_read_after_a_pause_of_ones_own_does_not_shift_the_grid() {
        let mut duty = Duty::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0)));
        assert_eq!(acts(&mut duty, 20), "E0:2 E1:2");
        // Paused for two seconds, of which the first half has come; then the link breaks too.
        for slot in 2..50 {
            assert_eq!(duty.heard(at(2_020), Slot(slot), Lineage(3)), Heard::Behind);
        }
        assert_eq!(acts(&mut duty, 2_020), "E101:2");
        assert_eq!(duty.heard(at(2_025), Slot(50), Lineage(3)), Heard::Behind);
        assert_eq!(acts(&mut duty, 2_040), "E102:2");
        // It does not, and this one hears what is mixed now.
        assert_eq!(duty.heard(at(2_055), Slot(102), Lineage(3)), Heard::StepDown);
        assert_eq!(acts(&mut duty, 2_100), "T103 E103:4 E104:4");
    }

    #[test]
    fn who_leads_steps_down_for_a_higher_lineage_and_only_for_that() {
        let mut duty = Duty::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0)));
        assert_eq!(acts(&mut duty, 20), "E0:2 E1:2");
        assert_eq!(duty.heard(at(21), Slot(1), Lineage(1)), Heard::Behind);
        assert_eq!(duty.heard(at(41), Slot(2), Lineage(3)), Heard::StepDown);
        assert_eq!(duty.heard(at(61), Slot(3), Lineage(3)), Heard::Follow);
        assert_eq!(acts(&mut duty, 70), "");
        // And goes on when that one is gone, above it.
        assert_eq!(acts(&mut duty, 111), "T4 E4:4 E5:4");
        assert_eq!(duty.heard(at(112), Slot(4), Lineage(3)), Heard::Behind);
    }

    #[test]
    fn one_that_keeps_goes_on_keeping_a_lineage_below_what_somebody_has_seen() {
        let mut duty = mirror();
        duty.saw(Lineage::of(Epoch(2)));
        assert_eq!(duty.heard(at(200), Slot(10), Lineage(2)), Heard::Follow);
        assert_eq!(acts(&mut duty, 249), "");
        assert_eq!(acts(&mut duty, 250), format!("T11 E11:{0} E12:{0}", Lineage(131_073)));
    }

    #[test]
    fn what_was_seen_during_a_pause_of_ones_own_lifts_it_no_further_than_to_now() {
        let mut duty = Duty::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0)));
        assert_eq!(acts(&mut duty, 0), "E0:2");
        duty.lift(Slot(250), Lineage(2));
        assert_eq!(duty.next(), Some(Slot(250)));
        assert_eq!(acts(&mut duty, 5_000), "E250:2");
        duty.lift(Slot(300), Lineage(2));
        assert_eq!(acts(&mut duty, 5_020), "E300:2");
    }

    #[test]
    fn a_planned_change_happens_at_its_slot_without_a_grace() {
        let (mut old, mut new) =
            (Duty::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0))), mirror());
        old.yield_at(Slot(10));
        assert!(acts(&mut old, 200).ends_with("E9:2 Y"));
        let next = Lineage::of(Epoch(2));
        new.become_side(Side::Owner);
        new.lead_from(Slot(10), next);
        assert_eq!(new.deadline(), Some(Deadline::new(at(200), Wake::Begin)));
        assert_eq!(acts(&mut new, 200), format!("T10 E10:{next}"));
        assert_eq!(old.heard(at(201), Slot(10), next), Heard::Follow);
        assert_eq!(acts(&mut old, 220), "");
    }

    #[test]
    fn a_planned_change_that_comes_too_late_goes_on_where_the_old_one_fell_silent() {
        let mut duty = mirror();
        duty.lead_from(Slot(12), Lineage::of(Epoch(2)));
        assert_eq!(acts(&mut duty, 229), "");
        assert!(acts(&mut duty, 230).starts_with("T10 E10:3 E11:3"));
        assert_eq!(acts(&mut duty, 240), format!("E12:{}", Lineage::of(Epoch(2))));
    }

    #[test]
    fn one_that_leads_changes_its_lineage_with_its_epoch_and_loses_no_slot() {
        let mut duty = mirror();
        acts(&mut duty, 230);
        duty.lead_from(Slot(13), Lineage::of(Epoch(2)));
        assert_eq!(acts(&mut duty, 260), format!("E12:3 E13:{}", Lineage::of(Epoch(2))));
    }
}
