//! What a node claims, as it stands. What it does about it is in `claims`.

use std::collections::BTreeMap;

use stentor_ids::Epoch;
use stentor_ownership::Candidacy;
use stentor_placement::{Claims, OfficeKind};

use super::{
    directory::{Book, Mirror, Owner, Revision, RoomIx},
    message::Ask,
    net::NodeIx,
};

/// A claim under way.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) serial: u64,
    pub(super) office: OfficeKind,
    pub(super) candidacy: Candidacy,
    pub(super) preempt: Option<Revision>,
    pub(super) won: Option<Won>,
    /// The owner that asked for it: who is answered.
    pub(super) asker: Option<(NodeIx, Ask)>,
    /// The view is to show the owner's claim by this epoch, until when.
    pub(super) awaits: Option<(Epoch, u64)>,
}

/// What was claimed.
#[derive(Debug, Clone)]
pub(super) enum Won {
    Owner(Owner, Book),
    Mirror(Mirror),
}

/// What a node claims.
#[derive(Debug, Default)]
pub(super) struct Candidacies {
    pub(super) claims: Claims<Revision>,
    pub(super) under_way: BTreeMap<RoomIx, Candidate>,
    /// When to look at what is empty.
    pub(super) look_at: u64,
}
