//! A room as the directory keeps it: an opaque record under an epoch, and who owns it.

use std::sync::Arc;

use bytes::Bytes;
use stentor_ids::{Epoch, NodeId, RoomId, Slot};
use tokio::sync::Mutex;

use crate::Revision;

/// Longest record of a room, in bytes. A third of what etcd takes in one request by default (1.5 MiB); a longer one is
/// refused with [`Error::TooLarge`](crate::Error::TooLarge).
pub const MAX_RECORD_BYTES: usize = 512 * 1024;

/// A room in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its name.
    pub id: RoomId,
    /// Its record; what it says is the room's affair.
    pub record: Bytes,
    /// The highest epoch that the room was ever claimed at; 0 if it never was.
    pub epoch: Epoch,
    /// When the record was last written.
    pub revision: Revision,
    /// Who owns the room, if anyone.
    pub owner: Option<Owner>,
    /// Who mirrors it, if anyone. Never the owner.
    pub mirror: Option<Mirror>,
    /// What nodes reach of it, while its owner is contested.
    pub bids: Vec<Bid>,
}

/// A part of who is banned from a room; what it says is the room's affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanPart {
    /// Its number, at most two digits.
    pub number: usize,
    /// What it says; nothing if nobody of the part is banned.
    pub value: Bytes,
}

/// Who owns a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The first slot that is its own.
    pub from_slot: Slot,
    /// When the owner key was last written: what a claim that means to pre-empt this owner names.
    pub revision: Revision,
}

/// Who mirrors a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The node.
    pub node: NodeId,
    /// When the mirror key was last written: what a claim of the office that means to pre-empt this mirror names.
    pub revision: Revision,
}

/// What a node reaches of a room whose owner is contested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bid {
    /// The node.
    pub node: NodeId,
    /// The epoch of the owner that is contested.
    pub epoch: Epoch,
    /// Listeners that it reaches.
    pub listeners: u64,
    /// Children that it reaches.
    pub children: u32,
    /// When the bid was last written.
    pub revision: Revision,
}

/// The office of a room's mirror, for as long as the mirror key stays as this claim wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorKey {
    pub(crate) room: RoomId,
    pub(crate) mirror: Mirror,
    pub(crate) history: u64,
}

impl MirrorKey {
    /// The room that is mirrored.
    #[must_use]
    pub const fn room(&self) -> &RoomId {
        &self.room
    }

    /// The mirror key as this claim wrote it. Still the mirror while a view shows the same.
    #[must_use]
    pub const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// When the key was written.
    #[must_use]
    pub const fn written(&self) -> Written {
        Written { history: self.history, revision: self.mirror.revision }
    }
}

/// A moment in the directory's history: when a key was written, or of when a view is ([`View::at`](crate::View::at)). Moments are
/// in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written {
    /// Which of the histories that this process has seen: one that lost its data, or went back, begins another.
    pub history: u64,
    /// Where in it.
    pub revision: Revision,
}

/// The right to commit a room's record, for as long as the owner key stays as this claim wrote it. Clones are the same
/// ownership.
#[derive(Debug, Clone)]
pub struct Ownership {
    pub(crate) room: RoomId,
    pub(crate) owner: Owner,
    pub(crate) history: u64,
    /// When this owner last wrote the record. A commit holds the lock, so that commits take effect in the order in which
    /// they were asked for.
    pub(crate) record_revision: Arc<Mutex<Revision>>,
}

impl Ownership {
    pub(crate) fn new(room: RoomId, owner: Owner, history: u64) -> Self {
        // Owner key and record are written together.
        let record_revision = Arc::new(Mutex::new(owner.revision));
        Self { room, owner, history, record_revision }
    }

    /// The room that is owned.
    #[must_use]
    pub const fn room(&self) -> &RoomId {
        &self.room
    }

    /// The epoch it is owned at.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.owner.epoch
    }

    /// The first slot that is this owner's.
    #[must_use]
    pub const fn from_slot(&self) -> Slot {
        self.owner.from_slot
    }

    /// The owner key as this ownership wrote it. Still the owner while a view shows the same revision.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// When the key was written.
    #[must_use]
    pub const fn written(&self) -> Written {
        Written { history: self.history, revision: self.owner.revision }
    }
}
