//! A room as the directory keeps it: an opaque record under an epoch, and who owns it.
//!
//! The record's key is durable. Its value is one line of JSON with what the directory itself needs, then the record's
//! own bytes: `{"epoch":7}\n...`. So a claim can raise the epoch without knowing what a record says, and a person
//! can read it with `etcdctl get`. The owner's key hangs on the owner's lease; its value is JSON.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use stentor_ids::{Epoch, NodeId, RoomId, Slot};
use tokio::sync::Mutex;

use crate::{
    Revision, keys,
    store::{Entry, Op},
};

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
}

/// A part of who is banned from a room; what it says is the room's affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanPart {
    /// Its number, at most two digits.
    pub number: usize,
    /// What it says; nothing if nobody of the part is banned.
    pub value: Bytes,
}

impl BanPart {
    /// What stores it.
    pub(crate) fn op(&self, room: &RoomId) -> Op {
        let key = keys::ban_part(room, self.number);
        if self.value.is_empty() { Op::Delete(key) } else { Op::put(key, self.value.clone()) }
    }
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

/// A moment in the directory's history by which a key was written, as [`View::is_after`](crate::View::is_after) compares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Which of the histories that this process has seen: one that lost its data, or went back, begins another.
    pub(crate) history: u64,
    pub(crate) revision: Revision,
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

    /// The value of the owner key.
    pub(crate) fn value(&self) -> Bytes {
        encode_owner(&self.owner.node, self.owner.epoch, self.owner.from_slot)
    }
}

#[derive(Serialize, Deserialize)]
struct RecordHead {
    epoch: Epoch,
}

#[derive(Serialize, Deserialize)]
struct OwnerValue {
    node: NodeId,
    epoch: Epoch,
    from_slot: Slot,
}

#[derive(Serialize, Deserialize)]
struct MirrorValue {
    node: NodeId,
}

/// The value of a record's key.
pub(crate) fn encode_record(epoch: Epoch, record: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(record.len() + 32);
    value.extend_from_slice(format!("{{\"epoch\":{epoch}}}\n").as_bytes());
    value.extend_from_slice(record);
    value.freeze()
}

/// A record's epoch and own bytes; the bytes share the value's memory.
pub(crate) fn decode_record(value: &Bytes) -> Result<(Epoch, Bytes), String> {
    let end = value.iter().position(|byte| *byte == b'\n').ok_or("it has no first line")?;
    let head: RecordHead = serde_json::from_slice(&value[..end]).map_err(|error| error.to_string())?;
    Ok((head.epoch, value.slice(end + 1..)))
}

/// The value of an owner's key.
pub(crate) fn encode_owner(node: &NodeId, epoch: Epoch, from_slot: Slot) -> Bytes {
    let value = OwnerValue { node: node.clone(), epoch, from_slot };
    serde_json::to_vec(&value).expect("names and numbers are JSON").into()
}

/// The owner that an owner's key names.
pub(crate) fn decode_owner(entry: &Entry) -> Result<Owner, String> {
    let value: OwnerValue = serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
    let OwnerValue { node, epoch, from_slot } = value;
    Ok(Owner { node, epoch, from_slot, revision: entry.revision })
}

/// The value of a mirror's key.
pub(crate) fn encode_mirror(node: &NodeId) -> Bytes {
    let value = MirrorValue { node: node.clone() };
    serde_json::to_vec(&value).expect("names are JSON").into()
}

/// The mirror that a mirror's key names.
pub(crate) fn decode_mirror(entry: &Entry) -> Result<Mirror, String> {
    let value: MirrorValue = serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
    Ok(Mirror { node: value.node, revision: entry.revision })
}

/// A room from the entry of its record and who holds its offices.
pub(crate) fn decode_room(
    id: RoomId,
    record: &Entry,
    owner: Option<Owner>,
    mirror: Option<Mirror>,
) -> Result<Room, String> {
    debug_assert_eq!(record.key, keys::record(&id));
    let (epoch, bytes) = decode_record(&record.value)?;
    Ok(Room { id, record: bytes, epoch, revision: record.revision, owner, mirror })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_its_bytes_whatever_they_are() {
        for bytes in [&b""[..], b"\n", b"{}\n{}", &[0, 255, 10, 13]] {
            let value = encode_record(Epoch(7), bytes);
            assert_eq!(decode_record(&value).unwrap(), (Epoch(7), Bytes::copy_from_slice(bytes)));
        }
        let newer = Bytes::from_static(b"{\"epoch\":7,\"sealed\":true}\nx");
        assert_eq!(decode_record(&newer).unwrap().1, "x");
    }

    #[test]
    fn garbage_is_no_record() {
        for garbage in ["", "x", "\n", "{}\n", "{\"epoch\":-1}\n", "{\"epoch\":\"7\"}\nabc"] {
            assert!(decode_record(&Bytes::from(garbage)).is_err(), "{garbage:?}");
        }
    }
}
