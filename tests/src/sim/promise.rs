//! What is to come about in its time: a room that is moved while nothing is wrong goes where it is to, and a key in the
//! directory is a room's that runs.

use std::collections::BTreeMap;

use super::{directory::RoomIx, net::NodeIx};

/// An office of a room: its owner's, or its mirror's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Office {
    Owner,
    Mirror,
}

/// What is waited for.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// Until when something else is wrong than that views are late, and whether nothing was when the last thing struck.
    pub(super) disturbed: u64,
    pub(super) calm: bool,
    /// Moves that are to succeed, by the number of the command: of which room, and to where.
    pub(super) moves: BTreeMap<u64, (RoomIx, NodeIx)>,
    /// Keys that name a living node that does not hold the office, and since when.
    pub(super) idle: BTreeMap<(RoomIx, Office), (NodeIx, u64)>,
}
