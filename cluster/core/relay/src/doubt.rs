//! What a peer may report of a room, measured by what is known here. Numbers that only rise are believed by whoever hears
//! them, so one that is gone wrong would be believed for ever: the next claim takes the epoch above it, and no owner ever
//! yields to another again.
//!
//! Invariant: no report raises what is known by more than a step.

use stentor_ids::{Epoch, Lineage};

use crate::{Count, MOST};

/// How many claims a peer may know of that are not known here: a room that changes its owner each second for a quarter of
/// an hour, while this node hears neither the directory nor any frame. Lineages hold 2^48 epochs, so whoever reports as
/// much again and again comes to no end.
pub const EPOCHS_AHEAD: u64 = 1000;
/// Most nodes in one child's sum: two hundred times the edges that the tree is made for.
const MOST_EDGES: u32 = 100_000;
/// Most listeners of one edge: as many as Linux lets a process have files (`fs.nr_open`).
const MOST_LISTENERS: u64 = 1 << 20;

/// Whether a room whose highest epoch is `known` here can have come to `said`. Where nothing is known, anything can be.
#[must_use]
pub const fn can_be_epoch(known: Epoch, said: Epoch) -> bool {
    known.0 == 0 || said.0 <= known.0.saturating_add(EPOCHS_AHEAD)
}

/// The same of a lineage, by the epoch that it began under.
#[must_use]
pub const fn can_be_lineage(known: Epoch, said: Lineage) -> bool {
    can_be_epoch(known, said.epoch())
}

impl Count {
    /// Whether a child's sum can be true.
    #[must_use]
    pub fn can_be(&self) -> bool {
        let edges = u64::from(self.reporting);
        self.known <= MOST_EDGES
            && self.reporting <= self.known
            && self.listeners <= edges * MOST_LISTENERS
            && self.filled <= edges * MOST.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_number_far_above_all_that_is_known_cannot_be() {
        assert!(can_be_epoch(Epoch(7), Epoch(7 + EPOCHS_AHEAD)));
        assert!(!can_be_epoch(Epoch(7), Epoch(8 + EPOCHS_AHEAD)));
        assert!(!can_be_epoch(Epoch(7), Epoch(u64::MAX)));
        assert!(can_be_epoch(Epoch(0), Epoch(5_000)), "nothing is known");
        assert!(can_be_lineage(Epoch(7), Lineage::of(Epoch(8))));
        assert!(!can_be_lineage(Epoch(7), Lineage(u64::MAX)));
    }

    #[test]
    fn a_sum_that_no_edges_can_have_cannot_be() {
        let sum = |listeners, reporting, known, filled| {
            Count { listeners, age: Duration::ZERO, reporting, known, filled }.can_be()
        };
        assert!(sum(0, 0, 0, 0) && sum(0, 0, 3, 0) && sum(1_000_000, 1, 1, 500));
        assert!(sum(500 * MOST_LISTENERS, 500, 500, u64::from(u32::MAX)));
        assert!(!sum(1, 0, 3, 0), "listeners of nobody");
        assert!(!sum(0, 4, 3, 0), "more than there are");
        assert!(!sum(u64::MAX, 1, 1, 0) && !sum(0, 1, u32::MAX, 0) && !sum(0, 1, 1, u64::MAX));
    }
}
