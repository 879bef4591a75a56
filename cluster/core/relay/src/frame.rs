//! The unit that travels: the packet that fills one slot of a room.

use bytes::Bytes;
use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::WallTime;

/// A packet of 20 ms that is no longer than this holds no sound: one or two bytes are an encoder's "nothing was said" (RFC 6716,
/// section 3.1 and RFC 7587, section 3.1.3), and three are a CELT frame that says "silence", which is what mixers at rest send.
pub const SILENT_BYTES: usize = 3;

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

impl Frame {
    /// Whether there is nothing to hear in it.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.opus.len() <= SILENT_BYTES
    }
}
