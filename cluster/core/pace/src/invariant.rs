//! The invariants of the system, by name. A check of one is a function that returns a [`Violation`]: property tests fail
//! on it, production counts it under the invariant's name and goes on.

use std::fmt;

/// What must hold, whatever fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// No record of a room is committed under an epoch lower than the highest ever claimed.
    OneWriter,
    /// A listener is given each slot at most once, in order, and lineages only rise.
    SlotOnce,
    /// With one node or link down, a listener is given every slot.
    NoGap,
    /// Who knows of a claim takes nothing of an older epoch at or above its `from_slot`.
    EpochFence,
    /// A mirror that says it is ready can replay the last half second of all of the stage.
    MirrorReady,
    /// No packet of a participant without the right to speak is mixed, later than one link delay after the decision.
    RoleGate,
    /// A room's count equals the sum over the reporting edges, with coverage stated.
    CountSum,
    /// A room that is moved while nothing is wrong goes where it is to.
    MoveGoes,
    /// While an origin mixes that an edge's parents hear, the edge is given new slots, at latest a bound after they were missing.
    EdgeFed,
    /// No queue is longer than its bound.
    Bounded,
    /// However links are cut, while the directory stands a room's owner changes at most once until they are cut otherwise, and
    /// from a living one only to one that reaches more listeners.
    OwnerSettles,
}

impl Invariant {
    /// Every invariant there is.
    pub const ALL: [Self; 11] = [
        Self::OneWriter,
        Self::SlotOnce,
        Self::NoGap,
        Self::EpochFence,
        Self::MirrorReady,
        Self::RoleGate,
        Self::CountSum,
        Self::MoveGoes,
        Self::EdgeFed,
        Self::Bounded,
        Self::OwnerSettles,
    ];

    /// The name as metrics and logs spell it, in `snake_case`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneWriter => "one_writer",
            Self::SlotOnce => "slot_once",
            Self::NoGap => "no_gap",
            Self::EpochFence => "epoch_fence",
            Self::MirrorReady => "mirror_ready",
            Self::RoleGate => "role_gate",
            Self::CountSum => "count_sum",
            Self::MoveGoes => "move_goes",
            Self::EdgeFed => "edge_fed",
            Self::Bounded => "bounded",
            Self::OwnerSettles => "owner_settles",
        }
    }

    /// That this invariant was found broken, and how.
    #[must_use]
    pub const fn broken(self, detail: String) -> Violation {
        Violation { invariant: self, detail }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An invariant that was found broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// What was seen, with the values.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken: {}", self.invariant, self.detail)
    }
}

impl std::error::Error for Violation {}
