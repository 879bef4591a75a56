//! The owner's side.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use stentor_ids::{Epoch, Fault, NodeId, ParticipantId, Role, RoomId, Slot};
use stentor_proto::v1::{self, uplink_service_server::UplinkServiceServer};
use tokio::sync::mpsc;

use super::{Packet, Speaker};

/// Takes the speakers of the rooms that this node owns.
#[async_trait]
pub trait Ingest: Send + Sync + 'static {
    /// An edge brings speakers for a room.
    ///
    /// # Errors
    /// `NotOwner` if this node does not own the room, or under a lower epoch than the edge has seen; `UnknownRoom`,
    /// `RoomEnded`.
    async fn open(&self, opening: Opening) -> Result<Opened, Fault>;
}

/// An edge's stream for a room, as it opens.
pub struct Opening {
    /// The room.
    pub room: RoomId,
    /// The edge.
    pub edge: NodeId,
    /// Highest epoch that the edge has seen for the room.
    pub epoch: Epoch,
    /// The way back to the edge, for as long as the stream lasts.
    pub edge_side: ToEdge,
}

/// An edge's stream that was taken.
pub struct Opened {
    /// Takes what the edge sends. It is dropped when the stream ends, and all its speakers are gone with it.
    pub session: Arc<dyn IngestSession>,
    /// The epoch under which this node owns the room.
    pub epoch: Epoch,
    /// The room as it is.
    pub status: Arc<v1::RoomStatus>,
}

/// One edge's stream for one room, on the owner's side.
#[async_trait]
pub trait IngestSession: Send + Sync + 'static {
    /// A speaker takes its seat; `stream` is what it had under an earlier owner, 0 if nothing. Several may be under way
    /// at once, and packets of others go on meanwhile.
    ///
    /// # Errors
    /// Why it may not speak here.
    async fn attach(&self, speaker: Speaker, stream: u64) -> Result<Attached, Fault>;
    /// A packet of a speaker that attached through this session. Never waits: it goes into a bounded ring.
    fn packet(&self, packet: Packet);
    /// A speaker's connection went.
    fn detach(&self, participant: &ParticipantId, stream: u64);
}

/// A seat that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// What to stamp packets with.
    pub stream: u64,
    /// The role.
    pub role: Role,
    /// Whether the seat is muted.
    pub muted: bool,
}

/// The way back to an edge. Bounded; nothing waits: what does not fit is let go, and the call says false. When the last
/// clone is dropped, the stream ends and the edge looks for the owner anew.
#[derive(Clone)]
pub struct ToEdge(#[allow(dead_code)] mpsc::Sender<Result<v1::UplinkResponse, tonic::Status>>);

#[allow(clippy::must_use_candidate)]
impl ToEdge {
    /// The stage without the participant's own voice.
    pub fn monitor(&self, _participant: &ParticipantId, _slot: Slot, _opus: Bytes) -> bool {
        todo!()
    }

    /// Something happened to a participant of this edge.
    pub fn event(&self, _event: v1::ParticipantEvent) -> bool {
        todo!()
    }

    /// The room has a new owner: connect there.
    pub fn moved(&self, _node: &NodeId, _epoch: Epoch) -> bool {
        todo!()
    }

    /// The room has ended.
    pub fn ended(&self) -> bool {
        todo!()
    }

    /// Whether the edge is gone.
    pub fn is_closed(&self) -> bool {
        todo!()
    }
}

/// The service that hands edges' speakers to `ingest`.
#[must_use]
pub fn server(_ingest: Arc<dyn Ingest>) -> UplinkServiceServer<Server> {
    todo!()
}

/// Answers edges by an [`Ingest`].
pub struct Server(#[allow(dead_code)] Arc<dyn Ingest>);
