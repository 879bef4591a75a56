//! Which of a room's two origins mixes. Both run this: one *leads*, the other *keeps*, passing on what the leader emits,
//! until a slot does not come. It does not know who owns the room, nor how one mixes.
//!
//! | while | told | then |
//! |---|---|---|
//! | keeping | a slot has not come [`GRACE`] after it was due | leads from that slot, under the next lineage of its side |
//! | keeping | to lead from a slot, and that is due | leads, without a grace |
//! | keeping | its process stood still | waits a grace anew: its own pause says nothing of the other, nor of when slots are due |
//! | keeping | its turn came late, others being served first | goes on at once: what the other has sent is read before |
//! | leading | a slot of a higher lineage, in time | keeps |
//! | leading | one that a link or its own pause held up | goes on: it does not say that the other mixes now |
//! | leading | to yield at a slot, and has come to it | keeps |
//!
//! Both may lead while they do not hear each other. Their lineages differ, listeners stay on one of them, and when they hear
//! each other again the lower one keeps.
//!
//! Invariants: the lineages that one side begins rise, and are never those of the other side; a leader emits each slot
//! once, in order; the state is a few numbers, whatever the other sends.

mod keep;
#[cfg(test)]
mod tests;

use std::{ops::RangeInclusive, time::Duration};

use stentor_ids::{Lineage, Slot};
use stentor_pace::{Deadline, Time};

use self::keep::{ARRIVALS, Keep, micros, place};
use crate::{Due, Grid};

/// How late a slot may be until the other origin goes on: one and a half slots. Longer than a scheduler's hiccup on a
/// machine with work to do, and with a replay (8 ms) and two hops well within the seam buffer of 60 ms.
pub const GRACE: Duration = Duration::from_millis(30);
/// The same once the stream of the other has ended: then nothing more will come by it.
const GRACE_LOST: Duration = Duration::from_millis(10);
/// How late a slot is that was held up: two slots, which is more than links and schedulers take in good times. It tells
/// nothing of the grid of the one that sent it.
const HELD_UP: Duration = Duration::from_millis(40);
/// Between which times slots come that are not a backlog.
const PACED: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(40);
/// How far the wall clock may pull a grid that is taken over, so that transit times do not add up over many take-overs.
const PULL_MICROS: i64 = 10_000;

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
        /// When that was due.
        due: Time,
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

/// Why [`Leadership::poll`] is to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// A slot is to be mixed.
    Slot,
    /// A slot of the other should have come by now.
    Missing,
    /// The slot from which one is to lead.
    Begin,
}

/// Which of a room's two origins leads, as one of the two knows it.
#[derive(Debug)]
pub struct Leadership {
    side: Side,
    role: Role,
    /// The highest lineage led or heard.
    highest: Lineage,
    /// When slot 0 was due by the wall clock, on the monotonic one, in microseconds.
    anchor: i64,
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

impl Leadership {
    /// One that keeps. It leads only after it has heard the other, or when it is told to. `now` is the moment at which the
    /// room is `live` for so long.
    #[must_use]
    pub fn keeping(side: Side, now: Time, live: Duration) -> Self {
        let anchor = micros(now) - i64::try_from(live.as_micros()).unwrap_or(i64::MAX);
        Self::new(side, Role::Keep(Keep::default()), Lineage::default(), anchor)
    }

    /// One that leads from the grid's next slot on.
    #[must_use]
    pub fn leading(side: Side, lineage: Lineage, grid: Grid) -> Self {
        let anchor = micros(grid.at()) - place(grid.next());
        Self::new(side, Role::Lead { lineage, grid }, lineage, anchor)
    }

    const fn new(side: Side, role: Role, highest: Lineage, anchor: i64) -> Self {
        let (floor, came) = (Slot(0), Time::from_micros(0));
        Self { side, role, highest, anchor, begin: None, end: None, floor, came, late: 0 }
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
            keep.heard(now, slot, if late { Some(GRACE) } else { None });
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
        let late = base.is_some_and(|base| micros(now) - place(slot) > base + HELD_UP.as_micros() as i64);
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

    /// This process stood still until then, so that what the other has sent meanwhile is still to be read. It may be said
    /// again and again.
    pub fn stood_still(&mut self, until: Time) {
        if let Role::Keep(keep) = &mut self.role {
            keep.awake = keep.awake.max(until + GRACE);
        }
    }

    /// What to do now; call it until it says nothing, after anything was told and at each deadline. What the
    /// other has sent is to be told before.
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
                let deadline = self.deadline().filter(|deadline| deadline.is_due(now))?;
                let begin = self.begin.take_if(|_| deadline.why == Wake::Begin);
                let slot = begin.map_or(next, |(slot, _)| next.max(Some(slot)))?;
                self.end = self.end.filter(|end| slot < *end);
                let lineage = begin.map_or_else(|| self.side.after(self.highest), |(_, lineage)| lineage);
                let lineage = if lineage > self.highest { lineage } else { self.side.after(self.highest) };
                let due = self.due(slot);
                let grid = Grid::resumed(slot, due);
                (self.role, self.highest) = (Role::Lead { lineage, grid }, lineage);
                Some(Act::TakeOver { slot, due })
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
        let grace = if keep.lost { GRACE_LOST.min(GRACE) } else { GRACE };
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
