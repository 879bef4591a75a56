//! A little cluster with an operators' port.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use stentor_admin::{Admin, Config, Protection, Tls};
use stentor_admission::AdminTokens;
use stentor_directory::{Directory, NodeRecord, NodeRole, Roles, Session, View};
use stentor_host::{Host, HostHandle, Topology};
use stentor_ids::{Code, Epoch, Fault, NodeId, RoomId, Slot};
use stentor_link::{Journal, LinkServer, Pool, Security, Services, control};
use stentor_proto::{
    fault_of,
    v1::{self, RoomStatus, admin_service_client::AdminServiceClient, command_request::Command},
};
use stentor_telemetry::Metrics;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Request, Response, Status, metadata::MetadataValue, service::interceptor::InterceptedService,
    transport::Channel,
};

pub const BEN: &str = "fedcba9876543210fedcba9876543210";
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// How long anything may take that a test waits for.
pub const SOON: Duration = Duration::from_secs(15);
/// Shortest lease there is.
const TTL: Duration = Duration::from_secs(1);

type Bearer = fn(Request<()>) -> Result<Request<()>, Status>;
pub type Operator = AdminServiceClient<InterceptedService<Channel, Bearer>>;

/// Two operators' tokens: the one that the tests call with, and another.
pub fn tokens() -> AdminTokens {
    AdminTokens::parse(&format!("ann:{TOKEN}\nben:{BEN}")).unwrap()
}

pub struct Cluster {
    pub directory: Directory,
    pub metrics: Metrics,
    pub channel: Channel,
    pub addr: std::net::SocketAddr,
    pub shutdown: CancellationToken,
    _session: Session,
    _stop: DropGuard,
}

impl Cluster {
    /// One node, `admin-1`, that serves operators.
    pub async fn start() -> Self {
        Self::start_as(Config::default()).await
    }

    /// The same, over TLS.
    pub async fn start_over(tls: Tls) -> Self {
        Self::start_with(Config::default(), Some(tls)).await
    }

    /// The same, at a free port.
    pub async fn start_as(config: Config) -> Self {
        Self::start_with(config, None).await
    }

    async fn start_with(config: Config, tls: Option<Tls>) -> Self {
        let (directory, metrics) = (Directory::embedded(), Metrics::new());
        let shutdown = CancellationToken::new();
        let id = NodeId::new("admin-1").unwrap();
        let journal = Journal::new(id.clone());
        let link_addr = serve_journal(&id, &journal, &metrics, shutdown.clone());
        let record =
            NodeRecord { build: "9.9".into(), link_addr, ..NodeRecord::new(id.clone(), NodeRole::Admin) };
        let session = directory.register(record, TTL).await.unwrap();
        let cluster = stentor_admin::Cluster {
            directory: directory.clone(),
            topology: Arc::new(Topology::new(directory.view(), NodeRole::Admin.into())),
            control: control::Client::new(pool(&metrics, &id)),
            journal,
        };
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..config };
        let protection = Protection { tokens: tokens(), tls, insecure: false };
        let admin = Admin::new(&config, protection, cluster, metrics.for_node(&id)).unwrap();
        let addr = admin.local_addr();
        let channel = Channel::from_shared(format!("http://{addr}")).unwrap().connect_lazy();
        tokio::spawn(admin.run(shutdown.clone()));
        let stop = shutdown.clone().drop_guard();
        let mut view = directory.view();
        view.wait_for(|view| view.current && view.nodes.contains_key(&id)).await;
        Self { directory, metrics, channel, addr, shutdown, _session: session, _stop: stop }
    }

    pub fn operator(&self) -> Operator {
        Self::operator_over(self.channel.clone())
    }

    pub fn operator_over(channel: Channel) -> Operator {
        AdminServiceClient::with_interceptor(channel, with_token)
    }

    /// A connection on which little can be on the way.
    pub async fn narrow_channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.addr)).unwrap();
        endpoint.initial_stream_window_size(1024).connect().await.unwrap()
    }

    /// A real origin.
    pub async fn origin(&self, name: &str) -> Origin {
        let id = NodeId::new(name).unwrap();
        let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), &Security::Insecure).unwrap();
        let link_addr = server.local_addr().to_string();
        let session = Arc::new(self.register(name, NodeRole::Origin, link_addr).await);
        let topology = Arc::new(Topology::new(self.directory.view(), NodeRole::Origin.into()));
        let (pool, metrics) = (pool(&self.metrics, &id), self.metrics.for_node(&id));
        let config = stentor_host::Config::default();
        let journal = Journal::new(id.clone());
        let directory = self.directory.clone();
        let host = Host::new(config, directory, &session, pool, topology, journal.clone(), metrics).unwrap();
        let handle = host.handle();
        let stop = CancellationToken::new();
        let services = Services {
            control: Some(Arc::new(Real(handle.clone(), id.clone()))),
            journal: Some(journal),
            ..Services::default()
        };
        let serving = server.run(id.clone(), services, self.metrics.for_node(&id), stop.clone());
        let tasks = vec![
            tokio::spawn(async move { drop(serving.await) }),
            tokio::spawn(async move { drop(host.run(stop).await) }),
        ];
        Origin { id, handle, _session: session, tasks }
    }

    /// A node that owns what it claims and answers what it is told to.
    pub async fn puppet(&self, name: &str, says: impl Says) -> Puppet {
        let id = NodeId::new(name).unwrap();
        let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), &Security::Insecure).unwrap();
        let session = self.register(name, NodeRole::Origin, server.local_addr().to_string()).await;
        let said = Arc::new(Script { says: Box::new(says), heard: Mutex::default() });
        let journal = Journal::new(id.clone());
        let services =
            Services { control: Some(said.clone()), journal: Some(journal.clone()), ..Services::default() };
        let stop = CancellationToken::new();
        tokio::spawn(server.run(id.clone(), services, self.metrics.for_node(&id), stop.clone()));
        Puppet { session, said, journal, _stop: stop.drop_guard() }
    }

    /// Links of a node that tell what happens there, at its address as soon as that is free, and do nothing else.
    pub async fn linked(
        &self,
        name: &str,
        addr: std::net::SocketAddr,
    ) -> (std::net::SocketAddr, Journal, DropGuard) {
        let id = NodeId::new(name).unwrap();
        let free = async {
            loop {
                match LinkServer::bind(addr, &Security::Insecure) {
                    Ok(server) => return server,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let server = timeout(SOON, free).await.expect("the address is free in time");
        let addr = server.local_addr();
        let (journal, stop) = (Journal::new(id.clone()), CancellationToken::new());
        let said = Arc::new(Script { says: Box::new(|_, _| not_asked()), heard: Mutex::default() });
        let services =
            Services { control: Some(said), journal: Some(journal.clone()), ..Services::default() };
        tokio::spawn(server.run(id.clone(), services, self.metrics.for_node(&id), stop.clone()));
        (addr, journal, stop.drop_guard())
    }

    /// A member of the cluster, with nothing behind it.
    pub async fn register(&self, name: &str, roles: impl Into<Roles>, link_addr: String) -> Session {
        let id = NodeId::new(name).unwrap();
        let record = NodeRecord { link_addr, ..NodeRecord::new(id.clone(), roles) };
        let session = self.directory.register(record, TTL).await.unwrap();
        self.sees(|view| view.nodes.contains_key(&id)).await;
        session
    }

    /// Makes a room's owner of a node.
    pub async fn claim(&self, session: &Session, name: &str, preempt: bool) {
        let room = room(name);
        let owner = self.directory.get(&room).await.unwrap().unwrap().owner;
        let preempt = owner.filter(|_| preempt).map(|owner| owner.revision);
        self.directory.claim(session, &room, Epoch(0), preempt, Slot(0)).await.unwrap();
        self.sees(|view| view.owner(&room).is_some_and(|owner| owner.node == *session.node())).await;
    }

    pub async fn sees(&self, holds: impl FnMut(&View) -> bool + Send) {
        timeout(SOON, self.directory.view().wait_for(holds)).await.expect("the view shows it in time");
    }
}

/// Links that tell what happens at an admin node; gives where.
fn serve_journal(id: &NodeId, journal: &Journal, metrics: &Metrics, stop: CancellationToken) -> String {
    let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), &Security::Insecure).unwrap();
    let addr = server.local_addr().to_string();
    let said = Arc::new(Script { says: Box::new(|_, _| not_asked()), heard: Mutex::default() });
    let services = Services { control: Some(said), journal: Some(journal.clone()), ..Services::default() };
    tokio::spawn(server.run(id.clone(), services, metrics.for_node(id), stop));
    addr
}

pub struct Origin {
    pub id: NodeId,
    pub handle: HostHandle,
    _session: Arc<Session>,
    tasks: Vec<JoinHandle<()>>,
}

impl Origin {
    /// The process is gone: nothing is said to anybody.
    pub async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

pub struct Puppet {
    pub session: Session,
    pub said: Arc<Script>,
    pub journal: Journal,
    _stop: DropGuard,
}

/// What a puppet answers to the n-th call, counted from 0.
pub trait Says:
    Fn(usize, &v1::CommandRequest) -> Result<v1::CommandReply, Fault> + Send + Sync + 'static
{
}
impl<F: Fn(usize, &v1::CommandRequest) -> Result<v1::CommandReply, Fault> + Send + Sync + 'static> Says
    for F
{
}

pub struct Script {
    says: Box<dyn Says>,
    heard: Mutex<Vec<String>>,
}

impl Script {
    /// What the puppet was asked, in order.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Notes the call, and says how many there were before.
    fn hear(&self, what: String) -> usize {
        let mut heard = self.heard.lock().unwrap();
        heard.push(what);
        heard.len() - 1
    }
}

fn not_asked<T>() -> Result<T, Fault> {
    Err(Fault::new(Code::Internal, "no operator asks this of a node"))
}

#[tonic::async_trait]
impl control::Handler for Script {
    async fn locate(&self, _: RoomId) -> Result<v1::LocateResponse, Fault> {
        not_asked()
    }

    async fn command(&self, _: RoomId, command: v1::CommandRequest) -> Result<v1::CommandReply, Fault> {
        let nth = self.hear(format!("{:?}", command.command.as_ref().unwrap()));
        (self.says)(nth, &command)
    }

    async fn take_over(&self, _: RoomId, _: v1::TakeOverRequest) -> Result<v1::TakeOverResponse, Fault> {
        not_asked()
    }

    async fn probe(&self, _: Option<RoomId>) -> Result<v1::ProbeResponse, Fault> {
        not_asked()
    }

    async fn drain(&self, draining: bool) -> Result<v1::DrainResponse, Fault> {
        self.hear(format!("drain {draining}"));
        let waits_for = if draining { vec!["3 rooms that it owns".into()] } else { Vec::new() };
        Ok(v1::DrainResponse { draining, rooms: 3, connections: 0, waits_for })
    }

    async fn hand_off(&self, room: RoomId, to: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault> {
        let nth = self.hear(format!("hand off to {to:?}"));
        let asked = v1::CommandRequest { room: room.to_string(), ..v1::CommandRequest::default() };
        (self.says)(nth, &asked).map(|_| v1::TakeOverResponse::default())
    }
}

/// A real host's answers, and its node's id.
struct Real(HostHandle, NodeId);

#[tonic::async_trait]
impl control::Handler for Real {
    async fn locate(&self, _: RoomId) -> Result<v1::LocateResponse, Fault> {
        not_asked()
    }

    async fn command(&self, room: RoomId, command: v1::CommandRequest) -> Result<v1::CommandReply, Fault> {
        self.0.command(&room, command).await
    }

    async fn take_over(
        &self,
        room: RoomId,
        asked: v1::TakeOverRequest,
    ) -> Result<v1::TakeOverResponse, Fault> {
        self.0.take_over(&room, &asked).await
    }

    async fn mirror(&self, room: RoomId, asked: v1::MirrorRequest) -> Result<v1::MirrorResponse, Fault> {
        self.0.mirror(&room, &asked).await
    }

    async fn probe(&self, room: Option<RoomId>) -> Result<v1::ProbeResponse, Fault> {
        let owns = room.and_then(|room| self.0.owns(&room)).is_some();
        Ok(v1::ProbeResponse { node: self.1.to_string(), owns, ..v1::ProbeResponse::default() })
    }

    async fn drain(&self, _: bool) -> Result<v1::DrainResponse, Fault> {
        not_asked()
    }

    async fn hand_off(&self, room: RoomId, to: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault> {
        self.0.hand_off(&room, to.as_ref()).await
    }
}

fn pool(metrics: &Metrics, id: &NodeId) -> Pool {
    Pool::new(Security::Insecure, None, &metrics.for_node(id)).unwrap()
}

fn with_token(mut request: Request<()>) -> Result<Request<()>, Status> {
    let bearer = MetadataValue::try_from(format!("Bearer {TOKEN}")).unwrap();
    request.metadata_mut().insert("authorization", bearer);
    Ok(request)
}

pub fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

pub fn asked(room: &str) -> v1::RoomRequest {
    v1::RoomRequest { room: room.into() }
}

pub fn new(room: &str, open: bool) -> v1::CreateRoomRequest {
    v1::CreateRoomRequest { room: room.into(), spec: None, open }
}

pub fn target(room: &str, participant: &str) -> v1::TargetRequest {
    v1::TargetRequest { room: room.into(), participant: participant.into(), reason: "noise".into() }
}

/// The refusal, which must be one.
pub fn refused<T>(answer: Result<Response<T>, Status>) -> Fault {
    match answer {
        Ok(_) => panic!("it was not refused"),
        Err(status) => fault_of(&status),
    }
}

/// A room as an owner might tell it.
pub fn told(room: &str, lifecycle: v1::Lifecycle, slot: u64) -> v1::CommandReply {
    let hands = Some(0);
    let (room, lifecycle) = (room.into(), lifecycle.into());
    let status = RoomStatus { room, lifecycle, slot, hands, ..RoomStatus::default() };
    v1::CommandReply { room: Some(status), ..v1::CommandReply::default() }
}

/// A participant does something, as an edge would bring it.
pub async fn does(origin: &Origin, name: &str, role: v1::Role, command: Command) -> Result<(), Code> {
    let by = v1::Actor { participant: name.into(), name: name.into(), role: role.into() };
    let request = v1::CommandRequest { room: "talk".into(), by: Some(by), command: Some(command) };
    origin.handle.command(&room("talk"), request).await.map(drop).map_err(|fault| fault.code)
}

pub async fn joins(origin: &Origin, name: &str) -> Result<(), Code> {
    does(origin, name, v1::Role::Speaker, Command::Join(v1::Empty {})).await
}
