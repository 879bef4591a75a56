//! The shape of the tree between a room's origins and its edges. Every edge computes its own parents; views may differ
//! for a moment, and nothing depends on their being equal.

use stentor_ids::{NodeId, RoomId};

use crate::{
    Candidate,
    rank::{ids, ranked},
};

/// Children a relay is meant to have for one room. It bounds the mean, not each relay: hashing deals unevenly.
pub const FANOUT: usize = 64;

/// Parents each edge takes, so that one may fail unheard.
pub const PARENTS: usize = 2;

/// The relays that carry a room: the first of its ranking, as many as `edges` edges with two parents each need and never
/// fewer than two. With fewer relays in the view, all of them. Where there are zones, the second is the first one of
/// another zone, so that no zone's failure takes all.
#[must_use]
pub fn carriers(room: &RoomId, relays: &[Candidate<'_>], edges: usize) -> Vec<NodeId> {
    ids(&carrying(room, relays, edges))
}

/// The two relays that an edge takes a room from, the preferred one first, out of the room's [`carriers`]: where the zones
/// of those allow, one of the edge's own zone and one of another. Fewer if there are fewer.
#[must_use]
pub fn parents(
    room: &RoomId,
    edge: &NodeId,
    edge_zone: &str,
    relays: &[Candidate<'_>],
    edges: usize,
) -> Vec<NodeId> {
    let carriers = carrying(room, relays, edges);
    let mut parents = ranked(&[room.as_str(), edge.as_str()], &carriers);
    to_front(&mut parents, 0, |relay| relay.zone == edge_zone);
    second_apart(&mut parents);
    parents.truncate(PARENTS);
    ids(&parents)
}

/// Where someone who is connected to a leaving edge goes, out of the edges: each to one of their own, so that all of them
/// spread by weight. `None` if no edge stays.
#[must_use]
pub fn refuge(who: &str, edges: &[Candidate<'_>]) -> Option<NodeId> {
    ranked(&[who], edges).first().map(|edge| edge.id.clone())
}

fn carrying<'a>(room: &RoomId, relays: &[Candidate<'a>], edges: usize) -> Vec<Candidate<'a>> {
    let mut carriers = ranked(&[room.as_str()], relays);
    second_apart(&mut carriers);
    carriers.truncate(edges.saturating_mul(PARENTS).div_ceil(FANOUT).max(PARENTS));
    carriers
}

/// Makes the best one of another zone than the first the second, if there is one.
fn second_apart(nodes: &mut [Candidate<'_>]) {
    let Some(first) = nodes.first().map(|first| first.zone) else { return };
    to_front(nodes, 1, |node| node.zone != first);
}

/// Moves the first node from `place` on that is `wanted` to `place`, the others keeping their order.
fn to_front(nodes: &mut [Candidate<'_>], place: usize, wanted: impl Fn(&Candidate<'_>) -> bool) {
    let rest = nodes.get_mut(place..).unwrap_or_default();
    if let Some(found) = rest.iter().position(wanted) {
        rest[..=found].rotate_right(1);
    }
}
