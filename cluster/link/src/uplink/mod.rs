//! Speakers up to the origins of their room: one stream to the owner and one to the mirror, for each edge and room.
//!
//! | module | has |
//! |---|---|
//! | `client`, `shared` | what an edge's sessions hold, and what they share |
//! | `attachment`, `queue`, `lane`, `way` | what is shared for one room: its speakers, and what is on its way to each origin |
//! | `link`, `to_owner`, `to_mirror` | the task that holds both ways |
//! | `connection` | one stream to one origin |
//! | `server` | an origin's side |

mod attachment;
mod client;
mod connection;
mod lane;
mod link;
mod queue;
mod server;
mod shared;
mod to_mirror;
mod to_owner;
mod way;

use bytes::Bytes;
use stentor_ids::{Fault, ParticipantId, Role, Slot};
use stentor_pace::WallTime;
use stentor_proto::v1;

pub use client::{SpeakerSession, Uplinks};
pub(crate) use server::Server;
pub use server::{Attached, Ingest, IngestSession, MAX_OPUS, Opened, Opening, ToEdge};

/// A speaker's connection at an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// Who.
    pub participant: ParticipantId,
    /// Name for people.
    pub name: String,
    /// Role in its ticket.
    pub role: Role,
    /// Whether it wants to hear the others.
    pub monitor: bool,
}

/// One packet of one speaker, stamped once by its ingest edge. A clone shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Who spoke.
    pub participant: ParticipantId,
    /// Grows at each reconnect of the participant; the highest wins.
    pub stream: u64,
    /// Grows by one a packet.
    pub seq: u64,
    /// One Opus packet of 10, 20, 40 or 60 ms.
    pub opus: Bytes,
    /// When the edge got it.
    pub captured: WallTime,
}

/// What the owner of a room says to a speaker.
#[derive(Debug, Clone, PartialEq)]
pub enum SpeakerEvent {
    /// Something happened to this participant.
    Event(v1::ParticipantEvent),
    /// The stage without the speaker's own voice.
    Monitor {
        /// The slot it was heard in.
        slot: Slot,
        /// One Opus packet of 20 ms.
        opus: Bytes,
    },
    /// The room has ended; nothing follows.
    Ended,
    /// The speaker is on the stage no more, and why; nothing follows.
    Lost(Fault),
}
