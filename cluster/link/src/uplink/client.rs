//! The edge's side.

use std::sync::Arc;

use bytes::Bytes;
use stentor_ids::{Fault, NodeId, Role, RoomId};
use stentor_pace::WallTime;
use stentor_telemetry::NodeMetrics;
use tokio::sync::mpsc;

use super::{Attached, Speaker, SpeakerEvent};
use crate::{Locator, Pool, Topology};

/// The uplinks of an edge. Clones share them.
#[derive(Clone)]
pub struct Uplinks(#[allow(dead_code)] Arc<()>);

impl Uplinks {
    /// No uplink yet, for the edge `me`.
    #[must_use]
    pub fn new(
        _me: NodeId,
        _pool: Pool,
        _locator: Locator,
        _topology: Arc<dyn Topology>,
        _metrics: NodeMetrics,
    ) -> Self {
        todo!()
    }

    /// Takes a speaker's seat with the room's owner.
    ///
    /// # Errors
    /// The owner's refusal, or `NoOwner`/`NodeUnavailable` if it did not answer in time.
    pub async fn attach(&self, _room: &RoomId, _speaker: Speaker) -> Result<SpeakerSession, Fault> {
        todo!()
    }
}

/// A speaker's seat, kept over changes of the room's owner. Dropping it gives the seat up.
pub struct SpeakerSession {
    attached: Attached,
    events: mpsc::Receiver<SpeakerEvent>,
}

impl SpeakerSession {
    /// The stream number that this connection has.
    #[must_use]
    pub fn stream(&self) -> u64 {
        self.attached.stream
    }

    /// The role that the owner gave.
    #[must_use]
    pub fn role(&self) -> Role {
        self.attached.role
    }

    /// Whether the seat was muted when it was taken.
    #[must_use]
    pub fn muted(&self) -> bool {
        self.attached.muted
    }

    /// Sends a packet on its way. Never waits: beyond 200 ms of packets the oldest go.
    pub fn send(&self, _seq: u64, _opus: Bytes, _captured: WallTime) {
        todo!()
    }

    /// What the owner says. Bounded: monitor frames that nobody takes are let go. Ends after `Ended` and `Lost`.
    pub fn events(&mut self) -> &mut mpsc::Receiver<SpeakerEvent> {
        &mut self.events
    }
}
