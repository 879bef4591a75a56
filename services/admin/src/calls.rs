//! Which request leads to what. Each call runs in a span that carries the operator's trace on; what changes something is
//! logged.

use std::fmt::Display;

use stentor_ids::{Fault, RoomId};
use stentor_proto::{
    status_of,
    v1::{
        CreateRoomRequest, InviteRequest, ListNodesRequest, ListNodesResponse, ListParticipantsResponse,
        ListRoomsRequest, ListRoomsResponse, MoveRoomRequest, MuteRequest, Node, NodeRequest, RoomRequest,
        RoomStatus, TargetRequest, UnbanRequest, WatchRequest, WatchRoomsRequest,
        admin_service_server::AdminService,
    },
};
use stentor_telemetry::{NodeMetrics, propagation};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};
use tracing::{Instrument, info, info_span};

use crate::{
    Cluster,
    act::Act,
    door,
    happenings::{Happenings, Told},
    nodes::Nodes,
    places::Places,
    rooms::Rooms,
    watch::{Statuses, Watches},
};

pub(crate) struct Calls {
    rooms: Rooms,
    nodes: Nodes,
    watches: Watches,
    happenings: Happenings,
    metrics: NodeMetrics,
}

impl Calls {
    pub(crate) fn new(cluster: Cluster, metrics: NodeMetrics, shutdown: CancellationToken) -> Self {
        let rooms = Rooms::new(cluster.clone());
        let places = Places::new(shutdown);
        let watches = Watches::new(cluster.clone(), rooms.clone(), places.clone());
        let happenings = Happenings::new(cluster.clone(), places);
        Self { rooms, nodes: Nodes::new(cluster), watches, happenings, metrics }
    }

    async fn answer<Q, A>(
        &self,
        call: &'static str,
        request: Request<Q>,
        answer: impl AsyncFnOnce(Q) -> Result<A, Fault>,
    ) -> Result<Response<A>, Status> {
        let span = info_span!("admin", call);
        propagation::adopt(&span, request.metadata());
        let answer = answer(request.into_inner()).instrument(span).await;
        answer.map(Response::new).map_err(|fault| {
            self.metrics.refusal(fault.code);
            status_of(&fault)
        })
    }

    async fn act(
        &self,
        call: &'static str,
        request: Request<impl Sized>,
        parsed: Result<(RoomId, Act), Fault>,
    ) -> Result<Response<RoomStatus>, Status> {
        self.answer(call, request, async |_| {
            let (room, act) = parsed?;
            let status = self.rooms.act(&room, &act).await?;
            done(call, &room);
            Ok(status)
        })
        .await
    }

    async fn drain(
        &self,
        call: &'static str,
        request: Request<NodeRequest>,
        draining: bool,
    ) -> Result<Response<Node>, Status> {
        self.answer(call, request, async |asked| {
            let id = door::node(&asked.node)?;
            let node = self.nodes.drain(&id, draining).await?;
            done(call, &id);
            Ok(node)
        })
        .await
    }
}

fn done(call: &str, what: &impl Display) {
    info!(call, %what, "an operator's call is done");
}

#[async_trait]
impl AdminService for Calls {
    async fn create_room(&self, request: Request<CreateRoomRequest>) -> Result<Response<RoomStatus>, Status> {
        self.answer("create_room", request, async |asked| {
            let (room, spec) = (door::room(&asked.room)?, door::spec(asked.spec)?);
            let status = self.rooms.create(&room, spec, asked.open).await?;
            done("create_room", &room);
            Ok(status)
        })
        .await
    }

    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        self.answer("list_rooms", request, async |asked| {
            let (size, after) = door::page(&asked)?;
            let (rooms, next) = self.rooms.list(size, after).await?;
            let next_page_token = next.map(|last| last.to_string()).unwrap_or_default();
            Ok(ListRoomsResponse { rooms, next_page_token })
        })
        .await
    }

    async fn get_room(&self, request: Request<RoomRequest>) -> Result<Response<RoomStatus>, Status> {
        self.answer("get_room", request, async |asked| self.rooms.get(&door::room(&asked.room)?).await).await
    }

    type WatchRoomsStream = Statuses;

    async fn watch_rooms(&self, request: Request<WatchRoomsRequest>) -> Result<Response<Statuses>, Status> {
        self.answer("watch_rooms", request, async |asked| {
            self.watches.watch(door::optional_room(&asked.room)?).await
        })
        .await
    }

    type WatchStream = Told;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Told>, Status> {
        self.answer("watch", request, async |asked| {
            self.happenings.watch(door::optional_room(&asked.room)?).await
        })
        .await
    }

    async fn open_room(&self, request: Request<RoomRequest>) -> Result<Response<RoomStatus>, Status> {
        self.answer("open_room", request, async |asked| {
            let room = door::room(&asked.room)?;
            let status = self.rooms.open(&room).await?;
            done("open_room", &room);
            Ok(status)
        })
        .await
    }

    async fn go_live(&self, request: Request<RoomRequest>) -> Result<Response<RoomStatus>, Status> {
        let parsed = door::room(&request.get_ref().room).map(|room| (room, Act::GoLive));
        self.act("go_live", request, parsed).await
    }

    async fn end_room(&self, request: Request<RoomRequest>) -> Result<Response<RoomStatus>, Status> {
        let parsed = door::room(&request.get_ref().room).map(|room| (room, Act::End));
        self.act("end_room", request, parsed).await
    }

    async fn list_participants(
        &self,
        request: Request<RoomRequest>,
    ) -> Result<Response<ListParticipantsResponse>, Status> {
        self.answer("list_participants", request, async |asked| {
            let room = door::room(&asked.room)?;
            let status = self.rooms.get(&room).await?;
            let hands = if status.hands > 0 { self.rooms.hands(&room).await } else { Vec::new() };
            Ok(ListParticipantsResponse { stage: status.stage, hands, count: status.count })
        })
        .await
    }

    async fn invite(&self, request: Request<InviteRequest>) -> Result<Response<RoomStatus>, Status> {
        let parsed = door::invite(request.get_ref());
        self.act("invite", request, parsed).await
    }

    async fn mute(&self, request: Request<MuteRequest>) -> Result<Response<RoomStatus>, Status> {
        let parsed = door::mute(request.get_ref());
        self.act("mute", request, parsed).await
    }

    async fn remove(&self, request: Request<TargetRequest>) -> Result<Response<RoomStatus>, Status> {
        let parsed = door::remove(request.get_ref().clone());
        self.act("remove", request, parsed).await
    }

    async fn ban(&self, request: Request<TargetRequest>) -> Result<Response<RoomStatus>, Status> {
        let parsed = door::ban(request.get_ref().clone());
        self.act("ban", request, parsed).await
    }

    async fn unban(&self, request: Request<UnbanRequest>) -> Result<Response<RoomStatus>, Status> {
        let parsed = door::unban(request.get_ref());
        self.act("unban", request, parsed).await
    }

    async fn move_room(&self, request: Request<MoveRoomRequest>) -> Result<Response<RoomStatus>, Status> {
        self.answer("move_room", request, async |asked| {
            let (room, to) = (door::room(&asked.room)?, door::optional_node(&asked.to)?);
            if let Some(to) = &to {
                self.nodes.require_origin(to)?;
            }
            let status = self.rooms.hand_over(&room, to.as_ref()).await?;
            done("move_room", &room);
            Ok(status)
        })
        .await
    }

    async fn list_nodes(
        &self,
        request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        self.answer("list_nodes", request, async |_| Ok(ListNodesResponse { nodes: self.nodes.list()? }))
            .await
    }

    async fn drain_node(&self, request: Request<NodeRequest>) -> Result<Response<Node>, Status> {
        self.drain("drain_node", request, true).await
    }

    async fn undrain_node(&self, request: Request<NodeRequest>) -> Result<Response<Node>, Status> {
        self.drain("undrain_node", request, false).await
    }
}
