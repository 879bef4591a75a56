//! Serves the other origin of a room.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use futures::{Stream, StreamExt};
use stentor_ids::{Epoch, Fault, NodeId, RoomId};
use stentor_proto::{
    status_of,
    v1::{self, mirror_service_server},
};
use stentor_telemetry::propagation;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::{Instrument, info_span};

use super::FollowStream;
use crate::{Carry, bad_name};

/// Serves the rooms that this node owns or mirrors.
pub(crate) struct Server {
    pub(crate) own: Arc<dyn Carry>,
    pub(crate) stop: CancellationToken,
}

#[async_trait]
impl mirror_service_server::MirrorService for Server {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<v1::FollowResponse, Status>> + Send>>;

    async fn follow(
        &self,
        request: Request<v1::FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let span = info_span!("follow", room = request.get_ref().room, mirror = request.get_ref().node);
        propagation::adopt(&span, request.metadata());
        let log = self.log(request.into_inner()).instrument(span).await.map_err(|fault| status_of(&fault))?;
        Ok(Response::new(Box::pin(log.map(Ok).take_until(self.stop.clone().cancelled_owned()))))
    }
}

impl Server {
    async fn log(&self, request: v1::FollowRequest) -> Result<FollowStream, Fault> {
        let room = RoomId::new(&request.room).map_err(bad_name)?;
        let by = NodeId::new(&request.node).map_err(bad_name)?;
        self.own.follow(&room, by, Epoch(request.epoch)).await
    }
}
