//! What this node answers other nodes: rooms by its host, if it has one; itself by its own drain.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use stentor_host::HostHandle;
use stentor_ids::{Code, Fault, NodeId, RoomId};
use stentor_link::{Locator, control::Handler};
use stentor_proto::v1;

use super::leave::{Here, Leave};

/// The composed answers.
pub(super) struct NodeControl {
    id: NodeId,
    locator: Locator,
    here: Here,
    /// A call that is under way does not keep the membership of a node that is gone.
    leave: Weak<Leave>,
}

impl NodeControl {
    pub(super) fn new(id: NodeId, locator: Locator, here: Here, leave: &Arc<Leave>) -> Self {
        Self { id, locator, here, leave: Arc::downgrade(leave) }
    }

    fn host(&self, room: &RoomId) -> Result<&HostHandle, Fault> {
        let none = || Fault::new(Code::NotOwner, format!("{} runs no rooms, and so not {room}", self.id));
        self.here.host.as_ref().ok_or_else(none)
    }
}

#[tonic::async_trait]
impl Handler for NodeControl {
    async fn locate(&self, room: RoomId) -> Result<v1::LocateResponse, Fault> {
        self.locator.status(&room).await
    }

    async fn command(&self, room: RoomId, command: v1::CommandRequest) -> Result<v1::CommandReply, Fault> {
        self.host(&room)?.command(&room, command).await
    }

    async fn hands(&self, room: RoomId, request: v1::HandsRequest) -> Result<v1::HandsReply, Fault> {
        self.host(&room)?.hands(&room, request).await
    }

    async fn take_over(
        &self,
        room: RoomId,
        request: v1::TakeOverRequest,
    ) -> Result<v1::TakeOverResponse, Fault> {
        self.host(&room)?.take_over(&room, &request).await
    }

    async fn probe(&self, room: Option<RoomId>) -> Result<v1::ProbeResponse, Fault> {
        let host = self.here.host.as_ref();
        let owned = host.zip(room.as_ref()).and_then(|(host, room)| host.owns(room));
        Ok(v1::ProbeResponse {
            node: self.id.to_string(),
            owns: owned.is_some(),
            heard_ms_ago: None,
            // The link tells it.
            now_us: 0,
        })
    }

    async fn heard(&self, room: &RoomId, from: &NodeId) -> Option<Duration> {
        self.here.carrier.as_ref()?.heard(room, from)
    }

    async fn mirror(&self, room: RoomId, request: v1::MirrorRequest) -> Result<v1::MirrorResponse, Fault> {
        self.host(&room)?.mirror(&room, &request).await
    }

    async fn drain(&self, draining: bool) -> Result<v1::DrainResponse, Fault> {
        let gone = || Fault::new(Code::Draining, format!("{} has left", self.id));
        self.leave.upgrade().ok_or_else(gone)?.ask(draining).await
    }

    async fn hand_off(&self, room: RoomId, to: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault> {
        self.host(&room)?.hand_off(&room, to.as_ref()).await
    }
}
