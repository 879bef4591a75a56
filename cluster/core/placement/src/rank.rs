//! Ranking nodes for a room.

use std::{cmp::Reverse, hash::Hasher, time::Duration};

use stentor_ids::{NodeId, RoomId};
use twox_hash::XxHash64;

/// Seed of the hash. It is part of the protocol between nodes, as are the hash (XXH64) and the way the names are laid
/// out: builds that differ in any of them would place the same room differently.
const SEED: u64 = u64::from_be_bytes(*b"stentor1");

/// What the node at each further rank waits longer before it claims a room that nobody owns: time for the one before it
/// to claim and for the watch to tell.
pub const CLAIM_STEP: Duration = Duration::from_millis(300);

/// A node as placement sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name.
    pub id: &'a NodeId,
    /// Whether it is leaving: then it is given nothing.
    pub draining: bool,
}

/// The nodes that may own a room, best first. A node that is named twice counts once.
///
/// ```
/// # use stentor_ids::{NodeId, RoomId};
/// # use stentor_placement::{Candidate, rank};
/// let [a, b] = ["a", "b"].map(|name| NodeId::new(name).unwrap());
/// let room = RoomId::new("town-hall").unwrap();
/// let nodes = [Candidate { id: &a, draining: false }, Candidate { id: &b, draining: true }];
/// assert_eq!(rank(&room, &nodes), [a.clone()]);
/// ```
#[must_use]
pub fn rank(room: &RoomId, nodes: &[Candidate<'_>]) -> Vec<NodeId> {
    let ids = nodes.iter().filter(|node| !node.draining).map(|node| node.id.clone());
    ranked(&[room.as_str()], ids)
}

/// How long the node at this place of the ranking, counted from 0, waits before it claims an unowned room.
#[must_use]
pub const fn claim_delay(place: usize) -> Duration {
    CLAIM_STEP.saturating_mul(if place > u32::MAX as usize { u32::MAX } else { place as u32 })
}

/// The nodes by falling score for the key; of equal scores the first by name.
pub(crate) fn ranked(key: &[&str], ids: impl Iterator<Item = NodeId>) -> Vec<NodeId> {
    let mut scored: Vec<_> = ids.map(|id| (Reverse(score(key, &id)), id)).collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().map(|(_, id)| id).collect()
}

/// XXH64 of the key's parts and the node, each followed by a zero byte, which no name holds.
fn score(key: &[&str], node: &NodeId) -> u64 {
    let mut hash = XxHash64::with_seed(SEED);
    for part in key.iter().copied().chain([node.as_str()]) {
        hash.write(part.as_bytes());
        hash.write(&[0]);
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of the reference implementation of XXH64 (python-xxhash).
    #[test]
    fn the_score_is_the_same_in_every_build() {
        let score = |room, node| score(&[room], &NodeId::new(node).unwrap());
        assert_eq!(score("demo", "origin-1"), 0x5039_d8b6_907b_9309);
        assert_eq!(score("demo", "origin-2"), 0x7782_d046_29b6_60db);
        assert_eq!(score("a-room-whose-name-fills-a-stripe-of-the-hash", "n"), 0x6c5d_9339_63d6_d41b);
    }

    #[test]
    fn each_place_waits_one_step_longer() {
        assert_eq!([0, 1, 7].map(|place| claim_delay(place).as_millis()), [0, 300, 2100]);
        assert!(claim_delay(usize::MAX) > Duration::from_secs(60));
    }
}
