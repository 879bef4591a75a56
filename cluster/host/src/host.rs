//! The driver of a node's rooms, and the handle that links and services call.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ractor::{ActorRef, rpc::CallResult};
use stentor_admission::Class;
use stentor_directory::{Directory, Session};
use stentor_ids::{Code, Epoch, Fault, NodeId, RoomId, Slot};
use stentor_link::{Carry, Feed, FollowStream, Journal, Pool, Topology, control};
use stentor_ownership::{Event, refusal::restarting};
use stentor_pace::Time;
use stentor_placement::Standing;
use stentor_proto::v1;
use stentor_room::Actor;
use stentor_telemetry::{NodeMetrics, Tier};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use crate::{
    Config, EngineFactory, Error, asked,
    command::{self, Request},
    engine,
    hosted::Hosted,
    message::{Message, Reply, Start},
    mirror,
    origin::Origin,
    pulse::Pulse,
    registry::{Registry, Running},
    replays::Replays,
    rooms::Rooms,
    supervisor::Supervisor,
    watch::Watch,
};

/// Longest that a command is waited for: the directory gives up well before.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long rooms have to stop when the node does.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Runs the rooms of one origin.
pub struct Host {
    rooms: Arc<Rooms>,
}

/// Calls a [`Host`]. Clones are the same host.
#[derive(Clone)]
pub struct HostHandle {
    pub(crate) rooms: Arc<Rooms>,
}

impl Host {
    /// A host for the node that `session` registered, as an origin. It runs nothing before [`Host::run`]. Whoever composes
    /// the node keeps the session and closes it last; the host holds it only in passing.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Pulse`].
    pub fn new(
        config: Config,
        directory: Directory,
        session: &Arc<Session>,
        pool: Pool,
        topology: Arc<dyn Topology>,
        journal: Journal,
        metrics: NodeMetrics,
    ) -> Result<Self, Error> {
        config.validate()?;
        let registry = Registry::new(metrics.rooms(Tier::Origin).clone());
        let origin = Origin {
            me: session.node().clone(),
            config,
            view: directory.view(),
            directory,
            session: Arc::downgrade(session),
            topology,
            control: control::Client::new(pool.clone()),
            pool,
            journal,
            metrics,
            pulse: Pulse::start()?,
            engines: engine::mixers(),
            replays: Replays::new(),
            clock: watch::Sender::default().subscribe(),
        };
        Ok(Self { rooms: Arc::new(Rooms::new(Arc::new(origin), registry)) })
    }

    /// The same host, which takes no rooms while its node's clock stands too far from the cluster's.
    #[must_use]
    pub fn with_clock(mut self, clock: watch::Receiver<Standing>) -> Self {
        self.origin(|origin| origin.clock = clock);
        self
    }

    /// The same host with rooms mixed by something else. For tests of what happens when a mixer fails.
    #[must_use]
    pub fn with_engine(mut self, engines: EngineFactory) -> Self {
        self.origin(|origin| origin.engines = engines);
        self
    }

    /// Changes what its rooms share, as long as there is no handle yet.
    fn origin(&mut self, change: impl FnOnce(&mut Origin)) {
        let rooms = Arc::get_mut(&mut self.rooms);
        if let Some(origin) = rooms.and_then(|rooms| Arc::get_mut(&mut rooms.origin)) {
            change(origin);
        }
    }

    /// The handle on this host.
    #[must_use]
    pub fn handle(&self) -> HostHandle {
        HostHandle { rooms: self.rooms.clone() }
    }

    /// Claims and runs rooms until `shutdown`. Then the rooms stop where they are: whoever wants them to go on elsewhere
    /// calls [`HostHandle::drain`] first.
    ///
    /// # Errors
    /// [`Error::Supervisor`] if the rooms' supervisor fails, which is a bug.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let rooms = self.rooms;
        let failed = |error: String| Error::Supervisor(error);
        let (supervisor, mut supervised) =
            <Supervisor as ractor::Actor>::spawn(None, Supervisor, rooms.clone())
                .await
                .map_err(|error| failed(error.to_string()))?;
        let _stopper = Stopper(supervisor.clone());
        let first = rooms.supervised(supervisor.clone());
        debug_assert!(first, "a host runs once: it is consumed");
        let Ok(session) = rooms.origin.session() else {
            return Err(failed("the session is closed".to_owned()));
        };
        let watch = Watch::new(rooms.clone(), &session).run(session.state(), shutdown);
        drop(session);
        tokio::select! {
            () = watch => {}
            ended = &mut supervised => {
                let reason = ended.err().map_or_else(|| "it stopped".to_owned(), |error| error.to_string());
                return Err(failed(reason));
            }
        }
        stop(&rooms.registry).await;
        supervisor.stop(None);
        // It has nothing left to do, and cannot fail at it.
        drop(supervised.await);
        Ok(())
    }
}

/// Takes the rooms along when the host is dropped instead of being shut down.
struct Stopper(ActorRef<Start>);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// Stops every room, and waits until all have.
async fn stop(rooms: &Registry) {
    for running in rooms.all() {
        // The room has stopped by itself.
        drop(running.actor.cast(Message::Told(Event::Stop)));
    }
    let mut count = rooms.count();
    if tokio::time::timeout(STOP_WITHIN, count.wait_for(|rooms| *rooms == 0)).await.is_err() {
        tracing::warn!(rooms = rooms.len(), "not all rooms stopped in time");
    }
}

impl HostHandle {
    /// Carries a command out in a room that this node owns.
    ///
    /// # Errors
    /// `NotOwner` or `NoOwner` if it does not, `Overloaded` with too many commands of its class under way, what the
    /// room refuses, or `DirectoryUnavailable` for a command that cannot act before it is committed.
    pub async fn command(
        &self,
        room: &RoomId,
        request: v1::CommandRequest,
    ) -> Result<v1::CommandReply, Fault> {
        let (by, request) = command::parse(request)?;
        self.request(room, by, request).await
    }

    /// Raises and lowers hands in a room that this node owns; says what became of each.
    ///
    /// # Errors
    /// As [`command`](Self::command), of all of them.
    pub async fn hands(&self, room: &RoomId, request: v1::HandsRequest) -> Result<v1::HandsReply, Fault> {
        let changes = command::hands(request)?;
        let Running { hosted, actor } = self.running(room)?;
        let permit = hosted.permits.take(room, Class::Crowd)?;
        let message = |reply| Message::Hands { changes, reply, permit };
        settled(room, actor.call(message, Some(ANSWER_WITHIN)).await)?
    }

    /// Takes a room that this node mirrors over from its owner, at a named slot.
    ///
    /// # Errors
    /// `Draining` or `Overloaded` if this node takes no rooms, `WrongState` if it does not mirror the room, or what the
    /// directory answers.
    pub async fn take_over(
        &self,
        room: &RoomId,
        request: &v1::TakeOverRequest,
    ) -> Result<v1::TakeOverResponse, Fault> {
        asked::take_over(&self.rooms, room, request).await
    }

    /// Hands a room that this node owns to `to`, or to the best other origin by placement. Answers when the other node has
    /// claimed it; this one goes on until the slot that the answer names.
    ///
    /// # Errors
    /// `NotOwner` if this node does not own the room, `UnknownNode` or `NodeUnavailable` if nobody can take it, or what the
    /// other node answers. The room then stays.
    pub async fn hand_off(&self, room: &RoomId, to: Option<&NodeId>) -> Result<v1::TakeOverResponse, Fault> {
        let running = self.running(room)?;
        let to = to.cloned();
        let answer = running.actor.call(|reply| Message::HandOff { to, reply }, Some(ANSWER_WITHIN)).await;
        settled(room, answer)?
    }

    /// Mirrors a room for its owner, in place of the node that does.
    ///
    /// # Errors
    /// `Draining` or `Overloaded` if this node takes no rooms, `WrongState` if it owns the room, or what the directory
    /// answers.
    pub async fn mirror(
        &self,
        room: &RoomId,
        request: &v1::MirrorRequest,
    ) -> Result<v1::MirrorResponse, Fault> {
        asked::mirror_for(&self.rooms, room, request).await
    }

    /// What this node owns of a room: its epoch, and the newest slot it has emitted or passed on.
    #[must_use]
    pub fn owns(&self, room: &RoomId) -> Option<(Epoch, Slot)> {
        let hosted = self.rooms.registry.get(room)?.hosted;
        hosted.is_owned().then(|| (hosted.epoch(), hosted.newest().unwrap_or_default()))
    }

    /// Whether this node mirrors a room.
    #[must_use]
    pub fn mirrors(&self, room: &RoomId) -> bool {
        self.rooms.registry.get(room).is_some_and(|running| !running.hosted.is_owned())
    }

    /// How many rooms this node owns.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.registry.owned()
    }

    /// How many rooms this node mirrors.
    #[must_use]
    pub fn mirrored(&self) -> usize {
        self.rooms.registry.len() - self.rooms.registry.owned()
    }

    /// Why a room does not run here, or the room.
    pub(crate) fn running(&self, room: &RoomId) -> Result<Running, Fault> {
        self.rooms.running(room)
    }

    pub(crate) fn now(&self) -> Time {
        stentor_clock::now()
    }

    pub(crate) fn metrics(&self) -> &NodeMetrics {
        &self.rooms.origin.metrics
    }

    /// Asks a room's actor, if it has not too much to do.
    pub(crate) async fn request(
        &self,
        room: &RoomId,
        by: Actor,
        request: Request,
    ) -> Result<v1::CommandReply, Fault> {
        let Running { hosted, actor } = self.running(room)?;
        let permit = hosted.permits.take(room, hosted.class_of(&by))?;
        let span = info_span!("command", %room);
        let message = |port| {
            let reply = Reply { by: by.clone(), port, span: span.clone(), _permit: permit };
            Message::Request { by, request, reply }
        };
        settled(room, actor.call(message, Some(ANSWER_WITHIN)).instrument(span.clone()).await)?
    }

    /// A speaker came or went: the actor tells it soon.
    pub(crate) fn connections_changed(&self, hosted: &Arc<Hosted>) {
        let speakers: usize = self.rooms.registry.all().iter().map(|room| room.hosted.speakers.len()).sum();
        self.metrics().speakers(Tier::Origin).set(i64::try_from(speakers).unwrap_or(i64::MAX));
        if let Some(running) = self.rooms.registry.get(&hosted.id)
            && Arc::ptr_eq(&running.hosted, hosted)
            && hosted.become_stale()
            && running.actor.cast(Message::Refresh).is_err()
        {
            // The next actor tells the room as it is when it starts.
            hosted.become_fresh();
        }
    }
}

/// What an actor answered. One that failed or stopped meanwhile answers nothing; its room is soon run by another.
fn settled<T, E>(room: &RoomId, answer: Result<CallResult<T>, E>) -> Result<T, Fault> {
    match answer {
        Ok(CallResult::Success(answer)) => Ok(answer),
        Ok(CallResult::Timeout) => {
            Err(Fault::new(Code::Internal, format!("room {room} did not answer within {ANSWER_WITHIN:?}")))
        }
        Ok(CallResult::SenderError) | Err(_) => Err(restarting(room)),
    }
}

#[async_trait]
impl Carry for HostHandle {
    async fn feed(&self, room: &RoomId) -> Result<Feed, Fault> {
        Ok(self.rooms.hosted(room)?.feed.reader())
    }

    async fn follow(&self, room: &RoomId, _by: NodeId, epoch: Epoch) -> Result<FollowStream, Fault> {
        let hosted = self.rooms.hosted(room)?;
        let own = hosted.epoch();
        if own < epoch {
            let detail = format!("room {room} is at epoch {epoch} by now; this owner's is {own}");
            return Err(Fault::new(Code::NotOwner, detail));
        }
        Ok(mirror::follow::follow(&hosted))
    }
}
