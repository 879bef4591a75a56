//! The layout of the directory's keys, below the prefix that a store puts in front:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `bans/{room}/{part}` | a part of who is banned from the room | until deleted |
//! | `nodes/{node}` | the node's record | as long as the node's lease |
//! | `rooms/{room}/record` | the room's epoch and record | until deleted |
//! | `rooms/{room}/owner` | who owns the room | as long as the owner's lease |
//! | `rooms/{room}/mirror` | who mirrors the room | as long as the mirror's lease |
//! | `rooms/{room}/bid/{node}` | what the node reaches of a room whose owner is contested | as long as the node's lease |
//!
//! Names hold no `/` and do not start with a dot (`stentor-ids` checks), so a key is also a safe relative path.
//!
//! What a node reads and watches is one range of the keys, its [`Scope`], so that a change of several keys comes to it whole
//! and in order. Keys that only a few nodes need therefore have a first part that stands before `nodes/` or after `rooms/`: bans
//! are read by who takes a room, and watched by nobody.

use stentor_ids::{NodeId, RoomId};

use crate::{NodeRole, Roles};

/// Above all bans.
const BANS: &str = "bans/";
/// Above all nodes.
pub(crate) const NODES: &str = "nodes/";
/// Above all rooms.
pub(crate) const ROOMS: &str = "rooms/";

/// A range of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first key.
    pub(crate) from: String,
    /// The first key after all of them.
    pub(crate) to: String,
}

impl Range {
    /// All keys that start with `prefix`, which is not empty.
    pub(crate) fn prefix(prefix: &str) -> Self {
        Self { from: prefix.to_owned(), to: after(prefix) }
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        (self.from.as_str()..self.to.as_str()).contains(&key)
    }
}

/// The first text after all that start with `prefix`.
fn after(prefix: &str) -> String {
    let mut after = prefix.to_owned();
    // Keys are ASCII, so the next character is there.
    let next = after.pop().and_then(|last| char::from_u32(u32::from(last) + 1));
    after.extend(next);
    after
}

/// What a node has to know of the directory, by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Who is in the cluster: all that an edge needs.
    Nodes,
    /// The rooms too, and who holds their offices.
    Rooms,
}

impl Scope {
    /// What a node of these roles needs: what any of them does.
    pub(crate) fn of(roles: Roles) -> Self {
        if roles.iter().all(|role| role == NodeRole::Edge) { Self::Nodes } else { Self::Rooms }
    }

    pub(crate) fn range(self) -> Range {
        let last = match self {
            Self::Nodes => NODES,
            Self::Rooms => ROOMS,
        };
        Range { from: NODES.to_owned(), to: after(last) }
    }
}

/// What a key names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Node(NodeId),
    Record(RoomId),
    Owner(RoomId),
    Mirror(RoomId),
    Bid(RoomId, NodeId),
}

pub(crate) fn node(id: &NodeId) -> String {
    format!("{NODES}{id}")
}

/// Above the keys of one room.
pub(crate) fn room(id: &RoomId) -> String {
    format!("{ROOMS}{id}/")
}

pub(crate) fn record(id: &RoomId) -> String {
    format!("{ROOMS}{id}/record")
}

pub(crate) fn owner(id: &RoomId) -> String {
    format!("{ROOMS}{id}/owner")
}

pub(crate) fn mirror(id: &RoomId) -> String {
    format!("{ROOMS}{id}/mirror")
}

pub(crate) fn bid(id: &RoomId, node: &NodeId) -> String {
    format!("{ROOMS}{id}/bid/{node}")
}

/// Above the bans of one room.
pub(crate) fn bans(room: &RoomId) -> String {
    format!("{BANS}{room}/")
}

pub(crate) fn ban_part(room: &RoomId, number: usize) -> String {
    format!("{BANS}{room}/{number:02}")
}

/// The number of a part of a room's bans; `None` for a key that is none.
pub(crate) fn ban_number(room: &RoomId, key: &str) -> Option<usize> {
    let number = key.strip_prefix(&bans(room))?.parse().ok()?;
    (ban_part(room, number) == key).then_some(number)
}

/// What `key` names; `None` for a key that this build does not know, which is a newer build's affair.
pub(crate) fn parse(key: &str) -> Option<Key> {
    if let Some(node) = key.strip_prefix(NODES) {
        return NodeId::new(node).ok().map(Key::Node);
    }
    let (room, leaf) = key.strip_prefix(ROOMS)?.split_once('/')?;
    let room = RoomId::new(room).ok()?;
    match leaf {
        "record" => Some(Key::Record(room)),
        "owner" => Some(Key::Owner(room)),
        "mirror" => Some(Key::Mirror(room)),
        _ => NodeId::new(leaf.strip_prefix("bid/")?).ok().map(|node| Key::Bid(room, node)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_parse_as_they_are_made_and_unknown_ones_are_none() {
        let (n, r) = (NodeId::new("n-1").unwrap(), RoomId::new("r.1").unwrap());
        assert_eq!(parse(&node(&n)), Some(Key::Node(n)));
        assert_eq!(parse(&record(&r)), Some(Key::Record(r.clone())));
        assert_eq!(parse(&owner(&r)), Some(Key::Owner(r.clone())));
        assert_eq!([0, 7, 63].map(|n| ban_number(&r, &ban_part(&r, n))), [Some(0), Some(7), Some(63)]);
        for key in ["bans/r.1/", "bans/r.1/7", "bans/r.1/+7", "bans/r.1/07/x", "bans/r.10/07"] {
            assert_eq!(ban_number(&r, key), None, "{key}");
        }
        assert_eq!(parse(&mirror(&r)), Some(Key::Mirror(r.clone())));
        let n = NodeId::new("n-1").unwrap();
        assert_eq!(parse(&bid(&r, &n)), Some(Key::Bid(r, n)));
        for key in [
            "",
            "nodes/",
            "nodes/a/b",
            "rooms/a",
            "rooms//record",
            "rooms/a/chapters",
            "rooms/a/bid",
            "rooms/a/bid/",
            "rooms/a/bid/b/c",
            "rooms/../record",
            "x",
        ] {
            assert_eq!(parse(key), None, "{key}");
        }
    }

    #[test]
    fn the_roles_of_a_node_say_which_keys_it_reads() {
        let (n, r) = (node(&NodeId::new("zz").unwrap()), record(&RoomId::new("zz").unwrap()));
        let reads = |roles: &str| {
            let range = Scope::of(roles.parse().unwrap()).range();
            ["a/b", &n, &r, "rooms0", "z"].map(|key| range.contains(key))
        };
        assert_eq!(reads("edge"), [false, true, false, false, false]);
        for roles in ["relay", "origin", "admin", "edge,relay", "origin,relay,edge,admin"] {
            assert_eq!(reads(roles), [false, true, true, false, false], "{roles}");
        }
        assert_eq!(Scope::of(Roles::all()), Scope::Rooms);
    }
}
