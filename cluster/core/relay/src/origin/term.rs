//! Under whose claim slots are emitted, and from where on.

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::{Time, WallTime};

use crate::{Grid, Side};

/// Under which epoch slots are emitted, and what this origin is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The epoch of the claim.
    pub epoch: Epoch,
    /// The epoch's first slot.
    pub from: Slot,
    /// Whether this origin claimed it, or mirrors who did.
    pub side: Side,
}

/// From where on an origin leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The first slot to lead.
    pub slot: Slot,
    /// Under this lineage, or one above it if a higher one was heard.
    pub lineage: Lineage,
    /// Go-live time.
    pub since: WallTime,
    /// The slot that comes next on the room's grid and when it is due, where slots of the room were here already.
    pub line: Option<(Slot, Time)>,
}

impl Begin {
    /// When which slot is due: on the beat of the slots that were here, and where none were by the wall clock, which is
    /// `wall` at `now`. A clock may have been set since go-live; a line has not.
    pub(super) fn grid(&self, now: Time, wall: WallTime) -> Grid {
        match self.line {
            Some(line) => Grid::going_on(self.slot, line),
            None => Grid::new(self.slot, self.since, wall, now),
        }
    }
}
