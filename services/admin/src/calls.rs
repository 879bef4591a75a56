//! Which request leads to what. Each call runs in a span that names the operator and carries its trace on; what changes
//! something is logged and told as a happening, under the operator's name.

use stentor_admission::Operator;
use stentor_ids::{Code, Fault, ParticipantId, RoomId};
use stentor_link::Journal;
use stentor_proto::{
    status_of,
    v1::{
        CreateRoomRequest, DeleteRoomResponse, GainRequest, Hands, InviteRequest, ListNodesRequest,
        ListNodesResponse, ListParticipantsResponse, ListRoomsRequest, ListRoomsResponse, MoveRoomRequest,
        MuteRequest, Node, NodeRequest, OperatorCall, RoleRequest, Room, RoomRequest, TargetRequest,
        UnbanRequest, UpdateRoomRequest, WatchRequest, WatchRoomsRequest, admin_service_server::AdminService,
        happening::What,
    },
};
use stentor_telemetry::{NodeMetrics, propagation};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};
use tracing::{Instrument, info, info_span};

use crate::{
    Cluster,
    act::Act,
    happenings::{Happenings, Told},
    nodes::Nodes,
    parse,
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
    journal: Journal,
}

/// Who calls what.
struct Caller {
    operator: Operator,
    call: &'static str,
    journal: Journal,
}

impl Caller {
    /// Tells that it is done: to this room, or to a target that is no room or in it.
    fn done(&self, room: Option<&RoomId>, target: &str) {
        let Self { operator, call, journal } = self;
        let of = room.map(RoomId::as_str).unwrap_or_default();
        info!(%operator, call, room = of, target, "an operator's call is done");
        let (name, call, target) = (operator.to_string(), (*call).to_owned(), target.to_owned());
        journal.tell(room, What::Operator(OperatorCall { name, call, target }));
    }
}

impl Calls {
    pub(crate) fn new(cluster: Cluster, metrics: NodeMetrics, shutdown: CancellationToken) -> Self {
        let rooms = Rooms::new(cluster.clone());
        let places = Places::new(shutdown);
        let watches = Watches::new(cluster.clone(), rooms.clone(), places.clone());
        let happenings = Happenings::new(cluster.clone(), places);
        let journal = cluster.journal.clone();
        Self { rooms, nodes: Nodes::new(cluster), watches, happenings, metrics, journal }
    }

    async fn answer<Q, A>(
        &self,
        call: &'static str,
        request: Request<Q>,
        answer: impl AsyncFnOnce(Q, Caller) -> Result<A, Fault>,
    ) -> Result<Response<A>, Status> {
        let caller = self.caller(call, &request);
        let operator = caller.as_ref().map(|caller| caller.operator.as_str()).unwrap_or_default();
        let span = info_span!("admin", call, operator);
        propagation::adopt(&span, request.metadata());
        let answer = async { answer(request.into_inner(), caller?).await }.instrument(span).await;
        answer.map(Response::new).map_err(|fault| {
            self.metrics.refusal(fault.code);
            status_of(&fault)
        })
    }

    fn caller<Q>(&self, call: &'static str, request: &Request<Q>) -> Result<Caller, Fault> {
        let operator = request.extensions().get::<Operator>().cloned();
        let unguarded = || Fault::new(Code::Internal, "a call came past the guard");
        Ok(Caller { operator: operator.ok_or_else(unguarded)?, call, journal: self.journal.clone() })
    }

    async fn act(
        &self,
        call: &'static str,
        request: Request<impl Sized>,
        parsed: Result<(RoomId, Act), Fault>,
    ) -> Result<Response<Room>, Status> {
        self.answer(call, request, async |_, caller| {
            let (room, act) = parsed?;
            let status = self.rooms.act(&room, &act).await?;
            caller.done(Some(&room), act.target().map(ParticipantId::as_str).unwrap_or_default());
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
        self.answer(call, request, async |asked, caller| {
            let id = parse::node(&asked.node)?;
            let node = self.nodes.drain(&id, draining).await?;
            caller.done(None, id.as_str());
            Ok(node)
        })
        .await
    }
}

#[async_trait]
impl AdminService for Calls {
    async fn create_room(&self, request: Request<CreateRoomRequest>) -> Result<Response<Room>, Status> {
        self.answer("create_room", request, async |asked, caller| {
            let (room, spec) = (parse::room(&asked.room)?, parse::spec(asked.spec)?);
            let status = self.rooms.create(&room, spec, asked.open).await?;
            caller.done(Some(&room), "");
            Ok(status)
        })
        .await
    }

    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        self.answer("list_rooms", request, async |asked, _| {
            let (size, after) = parse::page(&asked)?;
            let (rooms, next) = self.rooms.list(size, after).await?;
            let next_page_token = next.map(|last| last.to_string()).unwrap_or_default();
            Ok(ListRoomsResponse { rooms, next_page_token })
        })
        .await
    }

    async fn get_room(&self, request: Request<RoomRequest>) -> Result<Response<Room>, Status> {
        self.answer("get_room", request, async |asked, _| self.rooms.get(&parse::room(&asked.room)?).await)
            .await
    }

    async fn update_room(&self, request: Request<UpdateRoomRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::update(request.get_ref().clone());
        self.act("update_room", request, parsed).await
    }

    async fn delete_room(
        &self,
        request: Request<RoomRequest>,
    ) -> Result<Response<DeleteRoomResponse>, Status> {
        self.answer("delete_room", request, async |asked, caller| {
            let room = parse::room(&asked.room)?;
            self.rooms.delete(&room).await?;
            caller.done(Some(&room), "");
            Ok(DeleteRoomResponse {})
        })
        .await
    }

    type WatchRoomsStream = Statuses;

    async fn watch_rooms(&self, request: Request<WatchRoomsRequest>) -> Result<Response<Statuses>, Status> {
        self.answer("watch_rooms", request, async |asked, _| {
            self.watches.watch(parse::optional_room(&asked.room)?).await
        })
        .await
    }

    type WatchHappeningsStream = Told;

    async fn watch_happenings(&self, request: Request<WatchRequest>) -> Result<Response<Told>, Status> {
        self.answer("watch_happenings", request, async |asked, _| {
            self.happenings.watch(parse::optional_room(&asked.room)?).await
        })
        .await
    }

    async fn open_room(&self, request: Request<RoomRequest>) -> Result<Response<Room>, Status> {
        self.answer("open_room", request, async |asked, caller| {
            let room = parse::room(&asked.room)?;
            let status = self.rooms.open(&room).await?;
            caller.done(Some(&room), "");
            Ok(status)
        })
        .await
    }

    async fn take_room_live(&self, request: Request<RoomRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::room(&request.get_ref().room).map(|room| (room, Act::GoLive));
        self.act("take_room_live", request, parsed).await
    }

    async fn end_room(&self, request: Request<RoomRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::room(&request.get_ref().room).map(|room| (room, Act::End));
        self.act("end_room", request, parsed).await
    }

    async fn list_participants(
        &self,
        request: Request<RoomRequest>,
    ) -> Result<Response<ListParticipantsResponse>, Status> {
        self.answer("list_participants", request, async |asked, _| {
            let room = parse::room(&asked.room)?;
            let told = self.rooms.get(&room).await?;
            let hands = match told.hands {
                None if !told.owner.is_empty() => None,
                None | Some(0) => Some(Hands::default()),
                Some(_) => self.rooms.hands(&room).await,
            };
            Ok(ListParticipantsResponse { stage: told.stage, hands, listeners: told.listeners })
        })
        .await
    }

    async fn invite_participant(&self, request: Request<InviteRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::invite(request.get_ref());
        self.act("invite_participant", request, parsed).await
    }

    async fn mute_participant(&self, request: Request<MuteRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::mute(request.get_ref());
        let call = if request.get_ref().muted { "mute_participant" } else { "unmute_participant" };
        self.act(call, request, parsed).await
    }

    async fn remove_participant(&self, request: Request<TargetRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::remove(request.get_ref().clone());
        self.act("remove_participant", request, parsed).await
    }

    async fn ban_participant(&self, request: Request<TargetRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::ban(request.get_ref().clone());
        self.act("ban_participant", request, parsed).await
    }

    async fn unban_participant(&self, request: Request<UnbanRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::unban(request.get_ref());
        self.act("unban_participant", request, parsed).await
    }

    async fn set_participant_role(&self, request: Request<RoleRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::set_role(request.get_ref());
        self.act("set_participant_role", request, parsed).await
    }

    async fn set_participant_gain(&self, request: Request<GainRequest>) -> Result<Response<Room>, Status> {
        let parsed = parse::set_gain(request.get_ref());
        self.act("set_participant_gain", request, parsed).await
    }

    async fn move_room(&self, request: Request<MoveRoomRequest>) -> Result<Response<Room>, Status> {
        self.answer("move_room", request, async |asked, caller| {
            let (room, to) = (parse::room(&asked.room)?, parse::optional_node(&asked.to)?);
            if let Some(to) = &to {
                self.nodes.require_origin(to)?;
            }
            let status = self.rooms.transfer(&room, to.as_ref()).await?;
            caller.done(Some(&room), &asked.to);
            Ok(status)
        })
        .await
    }

    async fn list_nodes(
        &self,
        request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        self.answer("list_nodes", request, async |_, _| Ok(ListNodesResponse { nodes: self.nodes.list()? }))
            .await
    }

    async fn drain_node(&self, request: Request<NodeRequest>) -> Result<Response<Node>, Status> {
        self.drain("drain_node", request, true).await
    }

    async fn undrain_node(&self, request: Request<NodeRequest>) -> Result<Response<Node>, Status> {
        self.drain("undrain_node", request, false).await
    }
}
