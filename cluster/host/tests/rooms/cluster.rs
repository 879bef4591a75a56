//! A little cluster: origins with everything they have, edges that speak, relays that listen.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use stentor_directory::{Directory, Labels, NodeRecord, NodeRole, Owner, Session};
use stentor_host::{Config, EngineFactory, Host, HostHandle, Topology};
use stentor_ids::{Epoch, Fault, Lineage, NodeId, ParticipantId, Role, RoomId, Slot};
use stentor_link::{
    Carrier, Carry, Item, Journal, LinkServer, Locator, Pool, Security, Services, control,
    memory::Network,
    uplink::{Speaker, SpeakerSession, Uplinks},
};
use stentor_proto::v1;
use stentor_relay::Frame;
use stentor_room::{Actor, Bans, Command, Record, Room, Spec};
use stentor_telemetry::{Metrics, Tier};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How long anything may take that a test waits for.
pub const SOON: Duration = Duration::from_secs(15);
/// Shortest lease there is.
const TTL: Duration = Duration::from_secs(1);

pub fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

pub fn who(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

/// Waits until `holds`.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = timeout(SOON, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

pub struct Cluster {
    pub directory: Directory,
    pub metrics: Metrics,
    pub network: Option<Network>,
}

impl Cluster {
    /// Linked over loopback.
    pub fn new() -> Self {
        Self { directory: Directory::embedded(), metrics: Metrics::new(), network: None }
    }

    /// Linked in memory, as a test on paused time needs it.
    pub fn in_memory() -> Self {
        Self { network: Some(Network::default()), ..Self::new() }
    }

    fn server(&self) -> LinkServer {
        match &self.network {
            Some(network) => LinkServer::in_memory(network),
            None => LinkServer::bind("127.0.0.1:0".parse().unwrap(), &Security::Insecure).unwrap(),
        }
    }

    /// The links of a node to the others.
    pub fn pool(&self, node: &NodeId) -> Pool {
        let metrics = self.metrics.for_node(node);
        match &self.network {
            Some(network) => Pool::in_memory(network.clone(), &metrics),
            None => Pool::new(Security::Insecure, None, &metrics).unwrap(),
        }
    }

    pub async fn origin(&self, name: &str) -> Origin {
        self.origin_with(name, None).await
    }

    /// An origin whose rooms are mixed by something else than a mixer.
    pub async fn origin_with(&self, name: &str, engines: Option<EngineFactory>) -> Origin {
        let id = NodeId::new(name).unwrap();
        let server = self.server();
        let record = NodeRecord {
            link_addr: server.local_addr().to_string(),
            ..NodeRecord::new(id.clone(), NodeRole::Origin)
        };
        let session = Arc::new(self.directory.register(record.clone(), TTL).await.unwrap());
        let metrics = self.metrics.for_node(&id);
        let pool = self.pool(&id);
        let topology = Arc::new(Topology::new(self.directory.view(), NodeRole::Origin.into()));
        let (directory, shared) = (self.directory.clone(), topology.clone());
        let host = {
            let journal = Journal::new(id.clone());
            Host::new(Config::default(), directory, &session, pool.clone(), shared, journal, metrics.clone())
                .unwrap()
        };
        let host = match engines {
            Some(engines) => host.with_engine(engines),
            None => host,
        };
        let handle = host.handle();
        let locator = Locator::new(id.clone(), pool.clone(), topology.clone());
        let config = stentor_link::Config { me: id.clone(), tier: Tier::Relay };
        let services = Services {
            own: Some(Arc::new(handle.clone())),
            ingest: Some(Arc::new(handle.clone())),
            carrier: Some(Carrier::new(config, pool, topology, metrics.clone(), Journal::new(id.clone()))),
            control: Some(Arc::new(Control { id: id.clone(), locator, host: handle.clone() })),
            journal: None,
        };
        let stop = CancellationToken::new();
        let serving = server.run(id.clone(), services, metrics, stop.clone());
        let tasks = vec![
            tokio::spawn(async move { serving.await.map_err(|error| error.to_string()) }),
            tokio::spawn({
                let stop = stop.clone();
                async move { host.run(stop).await.map_err(|error| error.to_string()) }
            }),
        ];
        Origin { id, handle, session, record, stop, tasks }
    }

    /// Somewhere to speak.
    pub fn edge(&self, name: &str) -> Uplinks {
        let id = NodeId::new(name).unwrap();
        let metrics = self.metrics.for_node(&id);
        let pool = self.pool(&id);
        let topology = Arc::new(Topology::new(self.directory.view(), NodeRole::Edge.into()));
        let locator = Locator::new(id.clone(), pool.clone(), topology.clone());
        Uplinks::new(id, pool, locator, topology, metrics)
    }

    /// Listens to a room as a relay does, over all of its owners.
    pub async fn listen(&self, name: &str, room: &RoomId) -> Heard {
        let id = NodeId::new(name).unwrap();
        let metrics = self.metrics.for_node(&id);
        let pool = self.pool(&id);
        let topology = Arc::new(Topology::new(self.directory.view(), NodeRole::Relay.into()));
        let config = stentor_link::Config { me: id.clone(), tier: Tier::Relay };
        let carrier = Carrier::new(config, pool, topology, metrics, Journal::new(id));
        let mut cursor = carrier.feed(room).await.unwrap().subscribe(None);
        let heard = Arc::new(Mutex::new(Hearing::default()));
        let task = tokio::spawn({
            let heard = heard.clone();
            async move {
                let _carrier = carrier;
                loop {
                    let item = cursor.next().await;
                    let mut heard = heard.lock().unwrap();
                    match item {
                        Item::Frame(frame) => heard.frames.push(frame),
                        Item::Event(event) => heard.events.push(event),
                        Item::Closed(_) => {
                            heard.closed = true;
                            return;
                        }
                        _ => {}
                    }
                }
            }
        });
        Heard { heard, _task: AbortOnDropHandle::new(task) }
    }

    /// Makes a room, open or on the air.
    pub async fn create(&self, name: &str, live: bool) -> RoomId {
        let mut made = Room::new(Record::new(Spec::default()).unwrap());
        made.handle(wall(), &Actor::Operator, Command::Open).unwrap();
        if live {
            made.handle(wall(), &Actor::Operator, Command::GoLive).unwrap();
        }
        let id = room(name);
        self.directory.create(&id, made.record().encode()).await.unwrap();
        id
    }

    /// Waits for an owner at or above an epoch.
    pub async fn owner(&self, room: &RoomId, epoch: u64) -> Owner {
        let owned = |view: &stentor_directory::View| {
            let owner = view.rooms.get(room).and_then(|room| room.owner.clone());
            owner.filter(|owner| owner.epoch >= Epoch(epoch))
        };
        let mut view = self.directory.view();
        let shown = timeout(SOON, view.wait_for(|view| owned(view).is_some())).await;
        owned(&shown.expect("an owner in time")).unwrap()
    }

    pub async fn record(&self, room: &RoomId) -> Record {
        let record = Record::decode(&self.directory.get(room).await.unwrap().unwrap().record).unwrap();
        let parts = self.directory.bans(room).await.unwrap();
        record.with_bans(Bans::decode(parts.iter().map(|part| (part.number, &part.value))).unwrap())
    }
}

pub use stentor_clock::wall;

pub struct Origin {
    pub id: NodeId,
    pub handle: HostHandle,
    pub session: Arc<Session>,
    record: NodeRecord,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<Result<(), String>>>,
}

impl Origin {
    /// The process is gone: nothing is said to anybody.
    pub async fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            let _ = task.await;
        }
    }

    /// Stops in order, but leaves its lease to run out.
    pub async fn shut_down(self) {
        self.stop.cancel();
        for task in self.tasks {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
    }

    pub async fn set_draining(&self) {
        let labels = Labels { draining: true, ..Labels::default() };
        self.session.update(NodeRecord { labels, ..self.record.clone() }).await.unwrap();
    }

    /// Says of itself that it reads records up to this schema.
    pub async fn set_schema(&self, schema: u32) {
        let labels = Labels { schema, ..Labels::default() };
        self.session.update(NodeRecord { labels, ..self.record.clone() }).await.unwrap();
    }

    /// An operator's command.
    pub async fn command(
        &self,
        room: &RoomId,
        command: v1::command_request::Command,
    ) -> Result<v1::CommandReply, Fault> {
        let request = v1::CommandRequest { room: room.to_string(), by: None, command: Some(command) };
        self.handle.command(room, request).await
    }

    pub async fn status(&self, room: &RoomId) -> v1::RoomStatus {
        let reply = self.command(room, v1::command_request::Command::Get(v1::Empty {})).await;
        reply.unwrap().room.unwrap()
    }

    pub fn link_addr(&self) -> String {
        self.record.link_addr.clone()
    }

    /// The newest slot that it has emitted.
    pub fn feed_highest(&self, room: &RoomId) -> Option<Slot> {
        self.handle.owns(room).map(|(_, slot)| slot)
    }
}

struct Control {
    id: NodeId,
    locator: Locator,
    host: HostHandle,
}

#[async_trait]
impl control::Handler for Control {
    async fn locate(&self, room: RoomId) -> Result<v1::LocateResponse, Fault> {
        self.locator.status(&room).await
    }
    async fn command(&self, room: RoomId, command: v1::CommandRequest) -> Result<v1::CommandReply, Fault> {
        self.host.command(&room, command).await
    }
    async fn hands(&self, room: RoomId, request: v1::HandsRequest) -> Result<v1::HandsReply, Fault> {
        self.host.hands(&room, request).await
    }
    async fn take_over(
        &self,
        room: RoomId,
        request: v1::TakeOverRequest,
    ) -> Result<v1::TakeOverResponse, Fault> {
        self.host.take_over(&room, &request).await
    }
    async fn probe(&self, room: Option<RoomId>) -> Result<v1::ProbeResponse, Fault> {
        let owns = room.and_then(|room| self.host.owns(&room)).is_some();
        Ok(v1::ProbeResponse { node: self.id.to_string(), owns, ..Default::default() })
    }
    async fn drain(&self, _: bool) -> Result<v1::DrainResponse, Fault> {
        Ok(v1::DrainResponse::default())
    }
    async fn hand_off(&self, room: RoomId, to: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault> {
        self.host.hand_off(&room, to.as_ref()).await
    }
    async fn mirror(&self, room: RoomId, request: v1::MirrorRequest) -> Result<v1::MirrorResponse, Fault> {
        self.host.mirror(&room, &request).await
    }
}

#[derive(Default)]
struct Hearing {
    frames: Vec<Frame>,
    events: Vec<v1::ParticipantEvent>,
    closed: bool,
}

/// What a listener heard so far.
pub struct Heard {
    heard: Arc<Mutex<Hearing>>,
    _task: AbortOnDropHandle<()>,
}

impl Heard {
    pub fn frames(&self) -> Vec<Frame> {
        self.heard.lock().unwrap().frames.clone()
    }

    pub fn events(&self) -> Vec<v1::ParticipantEvent> {
        self.heard.lock().unwrap().events.clone()
    }

    pub fn highest(&self) -> Slot {
        self.heard.lock().unwrap().frames.iter().map(|frame| frame.slot).max().unwrap_or_default()
    }

    pub fn is_closed(&self) -> bool {
        self.heard.lock().unwrap().closed
    }

    /// Waits until frames of at least this epoch have come for so many slots.
    pub async fn heard_of(&self, epoch: u64, slots: usize) {
        let count = || self.heard.lock().unwrap().frames.iter().filter(|f| f.epoch >= Epoch(epoch)).count();
        until(&format!("{slots} slots of epoch {epoch} are heard"), || count() >= slots).await;
    }

    /// How the audio went: that no slot came twice in a lineage is checked.
    pub fn audio(&self) -> Audio {
        let frames = self.frames();
        let mut copies: BTreeMap<Slot, Vec<Lineage>> = BTreeMap::new();
        for frame in &frames {
            let lineages = copies.entry(frame.slot).or_default();
            assert!(
                !lineages.contains(&frame.lineage),
                "slot {} of {} came twice",
                frame.slot,
                frame.lineage
            );
            lineages.push(frame.lineage);
        }
        let (first, last) = (copies.keys().next().copied(), copies.keys().last().copied());
        let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
        let missing = (first.0..=last.0).filter(|slot| !copies.contains_key(&Slot(*slot))).collect();
        let twice = copies.values().filter(|lineages| lineages.len() > 1).count();
        Audio { missing, twice }
    }
}

#[derive(Debug)]
pub struct Audio {
    pub missing: Vec<u64>,
    /// Slots in two lineages.
    pub twice: usize,
}

/// Goes on the stage as a speaker.
pub async fn speak(edge: &Uplinks, room: &RoomId, name: &str, monitor: bool) -> SpeakerSession {
    let speaker = Speaker { participant: who(name), name: name.to_owned(), role: Role::Speaker, monitor };
    edge.attach(room, speaker, None).await.unwrap()
}
