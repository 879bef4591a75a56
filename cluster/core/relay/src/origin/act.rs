//! What an origin is to do, and why it is to be asked.

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::Time;

#[cfg(doc)]
use super::Origin;
use crate::Due;

/// What to do now. `P` is where the other origin is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act<P> {
    /// Read all that the other origin has sent, then tell by [`Origin::has_read`]: what it sent last is about to be missing.
    Read,
    /// Make ready to mix from this slot on. [`Act::Emit`] follows.
    TakeOver {
        /// The first slot to mix.
        slot: Slot,
        /// When that was due.
        due: Time,
        /// This origin has said that it could.
        promised: bool,
    },
    /// Mix this slot and emit it, then tell by [`Origin::emitted`].
    Emit {
        /// The slot, and how late it is.
        due: Due,
        /// Of this epoch.
        epoch: Epoch,
        /// Under this lineage.
        lineage: Lineage,
    },
    /// Mix no more: the slot at which to yield has come.
    Yield,
    /// Hear this origin from now on, and tell it this epoch.
    Follow {
        /// The other origin, if there is one.
        peer: Option<P>,
        /// The epoch that this one knows.
        epoch: Epoch,
        /// It is another one than was heard before.
        another: bool,
    },
    /// Tell the other origin what [`Origin::say`] returns.
    Say,
    /// The end has come: there is nothing more to do here.
    Over,
}

/// What follows from what was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<P> {
    /// It cannot be: nothing of it was believed.
    Refused,
    /// Nothing of an older epoch is passed on from this slot on.
    Fence {
        /// The epoch that begins there.
        epoch: Epoch,
        /// Its first slot.
        from: Slot,
    },
    /// The other origin owns the room, which this one takes for its own.
    Claimed {
        /// Who.
        by: P,
        /// Under this epoch.
        epoch: Epoch,
        /// From this slot on.
        from: Slot,
    },
    /// Mix no more, and say so: the other origin leads.
    StepDown {
        /// As this slot of it tells,
        slot: Slot,
        /// under this lineage.
        lineage: Lineage,
    },
}

/// What to do with a frame of the other origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Pass it on, and tell by [`Origin::heard`] what came of it.
    Pass,
    /// It is of an epoch that is over, or cannot be true by now.
    Drop,
    /// It says what cannot be.
    Refuse,
}

/// Why [`Origin::poll`] is to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// A slot is to be mixed.
    Slot,
    /// A slot of the other should have come by now.
    Missing,
    /// The slot from which one is to lead.
    Begin,
    /// It is time to say how this origin stands.
    Say,
}
