//! Carrier.

use std::sync::Arc;

use async_trait::async_trait;
use stentor_ids::{Fault, NodeId, RoomId};
use stentor_telemetry::{NodeMetrics, Tier};
use tokio_util::sync::CancellationToken;

use crate::{Carry, Feed, Pool, Topology};

/// Who carries rooms.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// `Relay` takes a room from its owner, `Edge` from two relays.
    pub tier: Tier,
}

/// Carries rooms.
#[derive(Clone)]
pub struct Carrier(#[allow(dead_code)] Arc<()>);

impl Carrier {
    /// A carrier of no room yet.
    #[must_use]
    pub fn new(_config: Config, _pool: Pool, _topology: Arc<dyn Topology>, _metrics: NodeMetrics) -> Self {
        todo!()
    }

    /// Runs until `shutdown`.
    pub async fn run(self, _shutdown: CancellationToken) {
        todo!()
    }

    /// This node's own listeners of a room.
    pub fn report_listeners(&self, _room: &RoomId, _listeners: u64) {
        todo!()
    }
}

#[async_trait]
impl Carry for Carrier {
    async fn feed(&self, _room: &RoomId) -> Result<Feed, Fault> {
        todo!()
    }
}
