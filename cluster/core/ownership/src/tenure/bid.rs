//! This node's bid for a room whose owner is contested: a mirror bids before it claims, the owner in answer.
//!
//! Invariants: one write of a bid is under way at a time; a bid that is not wanted any more is withdrawn, one that is being written
//! when that has ended.

use stentor_ids::Revision;
use stentor_pace::Deadline;

use super::pending::{Pending, Wake};
use crate::Reach;

/// This node's bid, if there is one.
#[derive(Debug, Default)]
pub(super) struct OwnBid {
    pub(super) writing: Option<Writing>,
    pub(super) made: Option<Made>,
}

/// One that is being written.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) pending: Pending,
    pub(super) reach: Reach,
    pub(super) wanted: bool,
}

/// A bid that is in the directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) reach: Reach,
    pub(super) revision: Revision,
}

/// What became of writing a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bidding {
    /// It is in the directory.
    Made,
    /// It may not be.
    Failed,
    /// It is not wanted any more.
    Withdrawn,
}

impl OwnBid {
    /// Whether one is being written.
    pub(super) const fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    pub(super) const fn made(&self) -> Option<Made> {
        self.made
    }

    /// The lease is gone on which it was.
    pub(super) fn gone(&mut self) {
        self.made = None;
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        Pending::deadline(self.writing.as_ref().map(|writing| writing.pending))
    }
}
