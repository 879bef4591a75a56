//! Calls between nodes that are not audio, each with a deadline.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use stentor_ids::{Fault, NodeId, RoomId};
use stentor_proto::v1::{self, control_service_server::ControlServiceServer};

use crate::Pool;

/// What a node answers other nodes.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Who carries a room, as this node sees it.
    async fn locate(&self, room: RoomId) -> Result<v1::LocateResponse, Fault>;
    /// A command for a room that this node should own.
    async fn command(&self, room: RoomId, command: v1::CommandRequest) -> Result<v1::CommandReply, Fault>;
    /// Take a room over at a named slot.
    async fn take_over(
        &self,
        room: RoomId,
        request: v1::TakeOverRequest,
    ) -> Result<v1::TakeOverResponse, Fault>;
    /// Is this node alive, and what does it own of the room, if one is named?
    async fn probe(&self, room: Option<RoomId>) -> Result<v1::ProbeResponse, Fault>;
    /// Start or stop draining.
    async fn drain(&self, draining: bool) -> Result<v1::DrainResponse, Fault>;
    /// Hand a room that this node owns to another: the named one, or the best by placement.
    async fn hand_off(&self, room: RoomId, to: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault>;
}

/// The service that hands other nodes' calls to `handler`.
#[must_use]
pub fn server(_handler: Arc<dyn Handler>) -> ControlServiceServer<Server> {
    todo!()
}

/// Answers other nodes' calls by a [`Handler`].
pub struct Server(#[allow(dead_code)] Arc<dyn Handler>);

/// Calls other nodes. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Client(#[allow(dead_code)] ());

#[allow(missing_docs, clippy::unused_async)]
impl Client {
    /// A client over the pool's connections.
    #[must_use]
    pub fn new(_pool: Pool) -> Self {
        todo!()
    }
    pub async fn locate(&self, _link_addr: &str, _room: &RoomId) -> Result<v1::LocateResponse, Fault> {
        todo!()
    }
    pub async fn command(
        &self,
        _link_addr: &str,
        _command: v1::CommandRequest,
    ) -> Result<v1::CommandReply, Fault> {
        todo!()
    }
    pub async fn take_over(
        &self,
        _link_addr: &str,
        _request: v1::TakeOverRequest,
    ) -> Result<v1::TakeOverResponse, Fault> {
        todo!()
    }
    pub async fn probe(&self, _link_addr: &str, _room: Option<&RoomId>) -> Result<v1::ProbeResponse, Fault> {
        todo!()
    }
    /// `within`: how long the asked node may take, since it hands its rooms over first.
    pub async fn drain(&self, _link_addr: &str, _draining: bool) -> Result<v1::DrainResponse, Fault> {
        todo!()
    }
    pub async fn hand_off(
        &self,
        _link_addr: &str,
        _room: &RoomId,
        _to: Option<&NodeId>,
    ) -> Result<v1::TakeOverResponse, Fault> {
        todo!()
    }
    fn _deadline() -> Duration {
        Duration::from_secs(2)
    }
}
