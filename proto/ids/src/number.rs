//! The numbers that order a room's audio and its ownership.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Length of one slot: 20 ms, the Opus frame length that balances overhead and delay (RFC 6716, section 2.1.4).
pub const SLOT_DURATION: Duration = Duration::from_millis(20);
/// Samples of one slot at Opus' 48 kHz.
pub const SLOT_SAMPLES: usize = 960;
/// Slots in a second.
pub const SLOTS_PER_SECOND: u64 = 50;

macro_rules! number {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub u64);

        impl $type {
            /// The number after this one. Saturates, so that a number from a peer can never make it wrap.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, "{}"), self.0)
            }
        }
    };
}

number!(
    /// One 20 ms tick of a room's media clock, numbered from 0 at go-live. Never repeats, never goes back.
    Slot, "s"
);
number!(
    /// The fencing number of a room's ownership, raised by each claim. 0 means "never owned".
    Epoch, "e"
);
number!(
    /// The number of one unbroken encoder history of a room's audio. A listener's lineages only rise.
    Lineage, "l"
);

number!(
    /// A moment in the directory's history, by which the state of a key is named. Compared for equality when a write says
    /// "unchanged since"; only the same directory's revisions can be compared, and one that lost its data starts over.
    Revision, "r"
);

/// Bits of a lineage below those of its epoch: 65 536 take-overs within one ownership.
const LINEAGE_BITS: u32 = 16;

impl Lineage {
    /// The first lineage of an epoch: the epoch in the upper bits and a count in the lower ones, so that lineages rise over
    /// all owners without any of them asking another.
    #[must_use]
    pub const fn of(epoch: Epoch) -> Self {
        Self(epoch.0 << LINEAGE_BITS)
    }

    /// Which one of its epoch's it is, from 0.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0 & ((1 << LINEAGE_BITS) - 1)
    }

    /// The epoch under which the lineage began.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        Epoch(self.0 >> LINEAGE_BITS)
    }
}

impl Slot {
    /// The slot `count` later. Saturates.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// How many slots this one is after `earlier`; 0 if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from go-live to the start of this slot.
    #[must_use]
    pub const fn offset(self) -> Duration {
        Duration::from_millis(self.0.saturating_mul(1000 / SLOTS_PER_SECOND))
    }

    /// The slot that is under way `offset` after go-live.
    #[must_use]
    pub const fn at(offset: Duration) -> Self {
        Self(offset.as_millis() as u64 / (1000 / SLOTS_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_and_its_offset_agree() {
        for slot in [0, 1, 49, 50, 1_000_000].map(Slot) {
            assert_eq!(Slot::at(slot.offset()), slot);
            assert_eq!(Slot::at(slot.offset() + Duration::from_millis(19)), slot);
        }
    }

    #[test]
    fn numbers_from_a_peer_cannot_wrap() {
        assert_eq!(Slot(u64::MAX).next(), Slot(u64::MAX));
        assert_eq!(Slot(3).since(Slot(9)), 0);
        assert!(Slot(u64::MAX).offset() > Duration::from_secs(1));
    }
}
