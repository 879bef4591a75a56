//! The unit that travels: the packet that fills one slot of a room.

use bytes::Bytes;
use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::WallTime;

/// The Opus packet of one slot. A clone shares the packet's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Ownership under which the slot was emitted.
    pub epoch: Epoch,
    /// Encoder history that the packet continues.
    pub lineage: Lineage,
    /// The tick of the room's media clock that it fills.
    pub slot: Slot,
    /// One Opus packet of 20 ms (RFC 6716).
    pub opus: Bytes,
    /// When the earliest speech in it was stamped by its ingest edge; zero if nobody spoke.
    pub captured: WallTime,
}
