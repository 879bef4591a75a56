//! How a room is written into the directory's keys.
//!
//! The record's key is durable. Its value is one line of JSON with what the directory itself needs, then the record's
//! own bytes: `{"epoch":7}\n...`. So a claim can raise the epoch without knowing what a record says, and a person
//! can read it with `etcdctl get`. The owner's key hangs on the owner's lease; its value is JSON.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use stentor_ids::{Epoch, NodeId, RoomId, Slot};

use crate::{
    BanPart, Bid, Mirror, Owner, Ownership, Room, keys,
    store::{Entry, Op},
};

impl BanPart {
    /// What stores it.
    pub(crate) fn op(&self, room: &RoomId) -> Op {
        let key = keys::ban_part(room, self.number);
        if self.value.is_empty() { Op::Delete(key) } else { Op::put(key, self.value.clone()) }
    }
}

impl Ownership {
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

#[derive(Serialize, Deserialize)]
struct BidValue {
    epoch: Epoch,
    listeners: u64,
    children: u32,
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

/// The value of a bid's key; whose it is says the key.
pub(crate) fn encode_bid(epoch: Epoch, listeners: u64, children: u32) -> Bytes {
    let value = BidValue { epoch, listeners, children };
    serde_json::to_vec(&value).expect("numbers are JSON").into()
}

/// A node's bid.
pub(crate) fn decode_bid(node: NodeId, entry: &Entry) -> Result<Bid, String> {
    let value: BidValue = serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
    let BidValue { epoch, listeners, children } = value;
    Ok(Bid { node, epoch, listeners, children, revision: entry.revision })
}

/// A room from the entry of its record and who holds its offices.
pub(crate) fn decode_room(
    id: RoomId,
    record: &Entry,
    owner: Option<Owner>,
    mirror: Option<Mirror>,
    bids: Vec<Bid>,
) -> Result<Room, String> {
    debug_assert_eq!(record.key, keys::record(&id));
    let (epoch, bytes) = decode_record(&record.value)?;
    Ok(Room { id, record: bytes, epoch, revision: record.revision, owner, mirror, bids })
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
