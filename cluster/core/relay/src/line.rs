//! How far a room has come at one node, for whoever goes on from there: the highest slot that was emitted or passed on, and
//! when. It asks no wall clock, which may have been set meanwhile, or counts from another moment.

use stentor_ids::Slot;
use stentor_pace::Time;

use crate::GRACE;

/// The slots of a room that were at a node. It does not know under whose term they were.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line(Option<(Slot, Time)>);

impl Line {
    /// A slot was emitted or passed on.
    pub fn passed(&mut self, now: Time, slot: Slot) {
        if self.0.is_none_or(|(last, _)| slot > last) {
            self.0 = Some((slot, now));
        }
    }

    /// The highest slot that was here.
    #[must_use]
    pub fn newest(&self) -> Option<Slot> {
        self.0.map(|(slot, _)| slot)
    }

    /// The slot that comes next on the room's grid and when it is due; `None` if none was here. One that is late by less
    /// than [`GRACE`] is still to come: the other origin has not gone on with it, and whoever began with the one after it
    /// would leave it out.
    #[must_use]
    pub fn under_way(&self, now: Time) -> Option<(Slot, Time)> {
        let (last, at) = self.0?;
        let next = Slot::at(now.since(at).saturating_sub(GRACE)).next();
        Some((last.plus(next.0), at + next.offset()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_slot_is_the_one_that_is_due_until_the_other_origin_takes_it() {
        let at = Time::from_millis;
        let mut line = Line::default();
        assert_eq!((line.newest(), line.under_way(at(0))), (None, None));
        line.passed(at(1_000), Slot(7));
        line.passed(at(1_015), Slot(6));
        assert_eq!(line.newest(), Some(Slot(7)), "an older one says nothing");
        for now in [1_000, 1_019, 1_020, 1_049] {
            assert_eq!(line.under_way(at(now)), Some((Slot(8), at(1_020))), "at {now}");
        }
        assert_eq!(line.under_way(at(1_050)), Some((Slot(9), at(1_040))));
        assert_eq!(line.under_way(at(2_030)), Some((Slot(58), at(2_020))));
    }
}
