//! What a feed keeps of each child.

use stentor_ids::{Epoch, Lineage, NodeId, Slot};

/// The highest that a child said it has seen, so that a new owner goes on above it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reported {
    /// Highest slot.
    pub slot: Slot,
    /// Highest epoch.
    pub epoch: Epoch,
    /// Highest lineage.
    pub lineage: Lineage,
}

impl Reported {
    /// The higher of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            slot: self.slot.max(other.slot),
            epoch: self.epoch.max(other.epoch),
            lineage: self.lineage.max(other.lineage),
        }
    }
}

/// What is kept of a child.
pub(super) struct Kid {
    pub(super) node: NodeId,
    pub(super) reported: Reported,
    /// It has reported a count.
    pub(super) counts: bool,
    /// Reports since a newer stream of the same name has reported.
    pub(super) beside: u32,
}
