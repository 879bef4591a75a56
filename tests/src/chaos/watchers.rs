//! The room as operators see it, over a connection that stays, and when they first see another owner.

use std::time::Duration;

use anyhow::Result;
use stentor_ids::Epoch;
use stentor_proto::v1::{
    CreateRoomRequest, Lifecycle, MuteRequest, Room, RoomRequest, RoomSpec, Visibility,
    admin_service_client::AdminServiceClient,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::cluster::Cluster;

/// How often each admin node is asked while another owner is expected.
const EVERY: Duration = Duration::from_millis(50);
/// How long an answer may take; an admin node that asks a dead owner is not waited for longer.
const ANSWER: Duration = Duration::from_millis(400);

/// An operator at one admin node.
#[derive(Debug, Clone)]
pub struct Operator {
    client: AdminServiceClient<Channel>,
    bearer: MetadataValue<Ascii>,
}

impl Operator {
    /// At the admin node that is this edge. It connects when it first asks, and again when the connection breaks.
    ///
    /// # Errors
    /// When the cluster's token is none.
    pub fn at(cluster: &Cluster, edge: usize) -> Result<Self> {
        let url = format!("http://127.0.0.1:{}", cluster.admin_port(edge));
        let channel = Endpoint::from_shared(url)?.tcp_nodelay(true).connect_lazy();
        let bearer = format!("Bearer {}", cluster.admin_token()).parse()?;
        Ok(Self { client: AdminServiceClient::new(channel), bearer })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    /// The room as it is.
    ///
    /// # Errors
    /// When the node refuses, or does not answer within 400 ms.
    pub async fn room(&self, room: &str) -> Result<Room> {
        let request = self.request(RoomRequest { room: room.to_owned() });
        Ok(timeout(ANSWER, self.client.clone().get_room(request)).await??.into_inner())
    }

    /// Creates a public room and opens its doors.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn open(&self, room: &str) -> Result<()> {
        let spec = RoomSpec { visibility: Visibility::Public.into(), ..RoomSpec::default() };
        let create = CreateRoomRequest { room: room.to_owned(), spec: Some(spec), open: true };
        self.client.clone().create_room(self.request(create)).await?;
        Ok(())
    }

    /// Creates a public room whose doors stay closed: for later, or for good if it is over.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn plan(&self, room: &str, over: bool) -> Result<()> {
        let spec = RoomSpec { visibility: Visibility::Public.into(), ..RoomSpec::default() };
        let create = CreateRoomRequest { room: room.to_owned(), spec: Some(spec), open: false };
        self.client.clone().create_room(self.request(create)).await?;
        if over {
            let request = self.request(RoomRequest { room: room.to_owned() });
            self.client.clone().end_room(request).await?;
        }
        Ok(())
    }

    /// Puts an open room on the air.
    ///
    /// # Errors
    /// When the node refuses; it does while nobody owns the room.
    pub async fn go_live(&self, room: &str) -> Result<()> {
        let request = self.request(RoomRequest { room: room.to_owned() });
        self.client.clone().take_room_live(request).await?;
        Ok(())
    }

    /// Mutes somebody on the stage, or lets them be heard again.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn mute(&self, room: &str, participant: &str, muted: bool) -> Result<()> {
        let request = MuteRequest { room: room.to_owned(), participant: participant.to_owned(), muted };
        self.client.clone().mute_participant(self.request(request)).await?;
        Ok(())
    }
}

/// When an operator first saw the room under a higher epoch. Dropping it ends the watch.
#[derive(Debug)]
pub struct AnotherOwner {
    start: Instant,
    seen: watch::Receiver<Option<Instant>>,
    _tasks: JoinSet<()>,
}

impl AnotherOwner {
    /// Asks every operator, from now on, until one sees an epoch above this one.
    #[must_use]
    pub fn expect(operators: &[Operator], room: &str, above: Epoch) -> Self {
        let (tell, seen) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for operator in operators.iter().cloned() {
            tasks.spawn(ask(operator, room.to_owned(), above, tell.clone()));
        }
        Self { start: Instant::now(), seen, _tasks: tasks }
    }

    /// How long it took; none if nobody has seen it yet.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.seen.borrow().map(|at| at - self.start)
    }
}

async fn ask(operator: Operator, room: String, above: Epoch, tell: watch::Sender<Option<Instant>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while tell.borrow().is_none() {
        ticks.tick().await;
        let seen = operator.room(&room).await.is_ok_and(|status| Epoch(status.epoch) > above);
        if seen {
            tell.send_if_modified(|first| first.is_none() && first.replace(Instant::now()).is_none());
        }
    }
}

/// Whether a room has an owner, a mirror that could go on, and both voices.
pub(super) fn is_well(status: &Room, mirrored: bool) -> bool {
    let connected = status.stage.iter().filter(|one| one.connected()).count();
    let mirrored = !mirrored || status.mirror_ready();
    status.lifecycle() == Lifecycle::Live && !status.owner.is_empty() && mirrored && connected == 2
}
