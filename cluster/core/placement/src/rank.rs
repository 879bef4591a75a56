//! Ranking nodes for a room.

use std::{cmp::Reverse, hash::Hasher};

use stentor_ids::{NodeId, RoomId};
use twox_hash::XxHash64;

use crate::Labels;

/// Seed of the hash. It is part of the protocol between nodes, as are the hash (XXH64) and the way the names are laid
/// out: builds that differ in any of them would place the same room differently.
const SEED: u64 = u64::from_be_bytes(*b"stentor1");

/// A node as placement sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name.
    pub id: &'a NodeId,
    /// Whether it is leaving: then it is given nothing.
    pub draining: bool,
    /// Its failure domain; empty where there are none.
    pub zone: &'a str,
    /// Its share beside other nodes. At 0 it is given nothing.
    pub weight: u32,
    /// Rooms that it owns.
    pub load: u32,
    /// The highest schema of rooms' records that it reads.
    pub schema: u32,
}

impl<'a> Candidate<'a> {
    /// A node of weight 1 that stays, in no zone, owns nothing, and reads every record.
    #[must_use]
    pub const fn new(id: &'a NodeId) -> Self {
        Self { id, draining: false, zone: "", weight: 1, load: 0, schema: u32::MAX }
    }

    /// A node by its labels, and how many rooms it owns.
    #[must_use]
    pub fn of(id: &'a NodeId, labels: &'a Labels, load: u32) -> Self {
        let Labels { zone, capacity, draining, schema } = labels;
        Self { id, draining: *draining, zone, weight: *capacity, load, schema: *schema }
    }

    const fn takes(&self) -> bool {
        !self.draining && self.weight > 0
    }
}

/// The nodes that may own a room, best first. A node that is named twice counts once, as first named.
///
/// A node that owns as many rooms as its bound, which is a quarter above its weighted share of all rooms and one more, stands
/// behind all others. It may still be given a room when nobody before it takes it.
///
/// ```
/// # use stentor_ids::{NodeId, RoomId};
/// # use stentor_placement::{Candidate, rank};
/// let [a, b] = ["a", "b"].map(|name| NodeId::new(name).unwrap());
/// let room = RoomId::new("town-hall").unwrap();
/// let nodes = [Candidate::new(&a), Candidate { draining: true, ..Candidate::new(&b) }];
/// assert_eq!(rank(&room, &nodes), [a.clone()]);
/// ```
#[must_use]
pub fn rank(room: &RoomId, nodes: &[Candidate<'_>]) -> Vec<NodeId> {
    ids(&bounded(room, nodes))
}

/// The same, with the nodes of other zones than `zone` first: who should hold the second office of a room whose first
/// is there. Nodes of no zone count as of one zone.
#[must_use]
pub fn rank_apart(room: &RoomId, nodes: &[Candidate<'_>], zone: &str) -> Vec<NodeId> {
    let mut ranked = bounded(room, nodes);
    ranked.sort_by_key(|node| node.zone == zone);
    ids(&ranked)
}

/// The nodes that may take a room besides its owner, the first one first: those that read its record, of other zones than the
/// owner's before those of its own.
#[must_use]
pub fn heirs(room: &RoomId, nodes: &[Candidate<'_>], schema: u32, owner: &NodeId) -> Vec<NodeId> {
    let zone = nodes.iter().find(|node| node.id == owner).map_or("", |node| node.zone);
    let mut ranked = rank_apart(room, &readers(nodes, schema), zone);
    ranked.retain(|node| node != owner);
    ranked
}

/// The nodes that read a record of this schema. Builds mix while a cluster is upgraded, and a room is for none of those that
/// would leave out what its record says.
pub(crate) fn readers<'a>(nodes: &[Candidate<'a>], schema: u32) -> Vec<Candidate<'a>> {
    nodes.iter().filter(|node| node.schema >= schema).copied().collect()
}

/// The nodes by name.
fn once<'a>(nodes: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
    let mut nodes = nodes.to_vec();
    nodes.sort_by_key(|node| node.id);
    nodes.dedup_by_key(|node| node.id);
    nodes
}

pub(crate) fn ids(nodes: &[Candidate<'_>]) -> Vec<NodeId> {
    nodes.iter().map(|node| node.id.clone()).collect()
}

/// The nodes by falling score for the key, whatever their load; of equal scores the first by name.
pub(crate) fn ranked<'a>(key: &[&str], nodes: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
    let score = |node: &Candidate<'_>| {
        let hash = hash(key, node.id);
        (turn(hash, node.weight), Reverse(hash))
    };
    let taking = once(nodes).into_iter().filter(Candidate::takes);
    let mut scored: Vec<_> = taking.map(|node| (score(&node), node)).collect();
    scored.sort_by(|((one, hash), _), ((other, other_hash), _)| {
        one.total_cmp(other).then_with(|| hash.cmp(other_hash))
    });
    scored.into_iter().map(|(_, node)| node).collect()
}

/// The nodes by falling score for the room, those at their bound behind the others.
fn bounded<'a>(room: &RoomId, nodes: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
    let mut ranked = ranked(&[room.as_str()], nodes);
    // What a leaving node owns comes to those that stay.
    let rooms = once(nodes).iter().map(|node| u64::from(node.load)).sum();
    let weights = ranked.iter().map(|node| u64::from(node.weight)).sum();
    ranked.sort_by_key(|node| u128::from(node.load) >= bound(rooms, node.weight, weights));
    ranked
}

/// Most rooms that a node of this weight is given while another could take them.
fn bound(rooms: u64, weight: u32, weights: u64) -> u128 {
    let share = u128::from(rooms) * u128::from(weight);
    (share * 5).div_ceil(u128::from(weights.max(1)) * 4) + 1
}

/// When a node's turn comes: -ln(u) / weight for the share u of the hash in its range, so that the first of several is
/// each with a probability in proportion to its weight. Nodes of one weight take turns by falling hash.
fn turn(hash: u64, weight: u32) -> f64 {
    const RANGE: f64 = 18_446_744_073_709_551_616.0; // 2^64
    #[expect(clippy::cast_precision_loss, reason = "what is lost of the hash decides equal turns")]
    let rest = (!hash as f64 / RANGE).clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
    -(-rest).ln_1p() / f64::from(weight)
}

/// XXH64 of the key's parts and the node, each followed by a zero byte, which no name holds.
fn hash(key: &[&str], node: &NodeId) -> u64 {
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
    fn the_hash_is_the_same_in_every_build() {
        let hash = |room, node| hash(&[room], &NodeId::new(node).unwrap());
        assert_eq!(hash("demo", "origin-1"), 0x5039_d8b6_907b_9309);
        assert_eq!(hash("demo", "origin-2"), 0x7782_d046_29b6_60db);
        assert_eq!(hash("a-room-whose-name-fills-a-stripe-of-the-hash", "n"), 0x6c5d_9339_63d6_d41b);
    }

    #[test]
    fn a_turn_comes_sooner_with_a_higher_hash_and_with_more_weight() {
        let hashes =
            [0, 1, 1 << 20, 1 << 40, u64::MAX / 2, u64::MAX - (1 << 40), u64::MAX - (1 << 12), u64::MAX];
        let turns = hashes.map(|hash| turn(hash, 1));
        assert!(turns.windows(2).all(|pair| pair[0] >= pair[1]), "{turns:?}");
        assert!(turns.iter().all(|turn| turn.is_finite() && *turn > 0.0), "{turns:?}");
        assert!((turn(u64::MAX / 2, 1) - std::f64::consts::LN_2).abs() < 1e-9);
        assert!((turn(u64::MAX / 2, 4) - std::f64::consts::LN_2 / 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_bound_is_a_quarter_above_the_share_and_one_more() {
        let table = [(0, 1, 2, 1), (1, 1, 2, 2), (8, 1, 2, 6), (9, 1, 2, 7), (100, 3, 4, 95), (10, 1, 0, 14)];
        for (rooms, weight, weights, expected) in table {
            assert_eq!(bound(rooms, weight, weights), expected, "{rooms} {weight}/{weights}");
        }
        assert!(bound(u64::MAX, u32::MAX, 1) > 0);
    }
}
