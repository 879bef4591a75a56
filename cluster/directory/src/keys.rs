//! The layout of the directory's keys, below the prefix that a store puts in front:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `nodes/{node}` | the node's record | as long as the node's lease |
//! | `rooms/{room}/record` | the room's epoch and record | until deleted |
//! | `rooms/{room}/owner` | who owns the room | as long as the owner's lease |
//! | `rooms/{room}/mirror` | who mirrors the room | as long as the mirror's lease |
//!
//! Names hold no `/` and do not start with a dot (`stentor-ids` checks), so a key is also a safe relative path.

use stentor_ids::{NodeId, RoomId};

/// Above all nodes.
pub(crate) const NODES: &str = "nodes/";
/// Above all rooms.
pub(crate) const ROOMS: &str = "rooms/";

/// What a key names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Node(NodeId),
    Record(RoomId),
    Owner(RoomId),
    Mirror(RoomId),
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
        _ => None,
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
        assert_eq!(parse(&mirror(&r)), Some(Key::Mirror(r)));
        for key in [
            "",
            "nodes/",
            "nodes/a/b",
            "rooms/a",
            "rooms//record",
            "rooms/a/chapters",
            "rooms/../record",
            "x",
        ] {
            assert_eq!(parse(key), None, "{key}");
        }
    }
}
