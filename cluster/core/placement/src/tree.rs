//! The shape of the tree between a room's origins and its edges. Every edge computes its own parents; views may differ
//! for a moment, and nothing depends on their being equal.

use stentor_ids::{NodeId, RoomId};

use crate::{Candidate, rank, rank::ranked};

/// Children a relay is meant to have for one room. It bounds the mean, not each relay: hashing deals unevenly.
pub const FANOUT: usize = 64;

/// Parents each edge takes, so that one may fail unheard.
pub const PARENTS: usize = 2;

/// The relays that carry a room: the first of its ranking, as many as `edges` edges with two parents each need and never
/// fewer than two. With fewer relays in the view, all of them.
#[must_use]
pub fn carriers(room: &RoomId, relays: &[Candidate<'_>], edges: usize) -> Vec<NodeId> {
    let mut carriers = rank(room, relays);
    carriers.truncate(edges.saturating_mul(PARENTS).div_ceil(FANOUT).max(PARENTS));
    carriers
}

/// The two relays that an edge takes a room from, the preferred one first, out of the room's [`carriers`]. Fewer if
/// there are fewer.
#[must_use]
pub fn parents(room: &RoomId, edge: &NodeId, relays: &[Candidate<'_>], edges: usize) -> Vec<NodeId> {
    let mut parents = ranked(&[room.as_str(), edge.as_str()], carriers(room, relays, edges).into_iter());
    parents.truncate(PARENTS);
    parents
}
