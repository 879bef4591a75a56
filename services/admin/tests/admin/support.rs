//! A cluster with an operators' port.

use std::{net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use stentor_admin::{Config, Tls};
use stentor_admission::AdminTokens;
use stentor_directory::{NodeRole, Session};
use stentor_ids::{Code, Epoch, Fault, Slot};
use stentor_kit::{Node, Plan, SOON, Script, says};
use stentor_link::{Journal, LinkServer, Security, Services};
use stentor_proto::{
    fault_of,
    v1::{self, RoomStatus, admin_service_client::AdminServiceClient, command_request::Command},
};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::DropGuard;
use tonic::{
    Request, Response, Status, metadata::MetadataValue, service::interceptor::InterceptedService,
    transport::Channel,
};

pub use stentor_kit::room;

pub const BEN: &str = "fedcba9876543210fedcba9876543210";
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Longest call that waits for nobody, on a busy machine: a quarter of what a call waits for an owner.
pub const AT_ONCE: Duration = Duration::from_secs(2);
/// Longest call that waits for an owner in vain: 8 s, and a last question.
pub const GIVEN_UP: Duration = Duration::from_secs(12);

type Bearer = fn(Request<()>) -> Result<Request<()>, Status>;
pub type Operator = AdminServiceClient<InterceptedService<Channel, Bearer>>;

/// Two operators' tokens: the one that the tests call with, and another.
fn tokens_text() -> String {
    format!("ann:{TOKEN},ben:{BEN}")
}

pub fn tokens() -> AdminTokens {
    AdminTokens::parse(&tokens_text().replace(',', "\n")).unwrap()
}

/// The nodes of the cluster, and the one that serves operators.
pub struct Cluster {
    nodes: stentor_kit::Cluster,
    admin: Option<Node>,
    pub channel: Channel,
    pub addr: SocketAddr,
}

impl Deref for Cluster {
    type Target = stentor_kit::Cluster;

    fn deref(&self) -> &Self::Target {
        &self.nodes
    }
}

impl Cluster {
    /// One node, `admin-1`, that serves operators.
    pub async fn start() -> Self {
        Self::start_as(&Config::default()).await
    }

    /// The same, over TLS.
    pub async fn start_over(tls: &Tls) -> Self {
        let folder = TempDir::new().unwrap();
        let file = |name: &str, pem: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).unwrap();
            Some(path)
        };
        let (cert, key) = (file("cert", &tls.cert_pem), file("key", &tls.key_pem));
        Self::start_as(&Config { cert, key, ..Config::default() }).await
    }

    /// The same, at a free port.
    pub async fn start_as(config: &Config) -> Self {
        let nodes = stentor_kit::Cluster::new();
        let plan = Plan::of(&["admin"]).section("admin", config).set("auth", "admin_tokens", tokens_text());
        let admin = nodes.start("admin-1", plan).await;
        let addr = admin.admin_addr();
        let channel = Channel::from_shared(format!("http://{addr}")).unwrap().connect_lazy();
        Self { nodes, admin: Some(admin), channel, addr }
    }

    /// The node that serves operators leaves.
    pub fn leave(&mut self) -> JoinHandle<()> {
        tokio::spawn(self.admin.take().unwrap().stop())
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

    /// A node that owns what it claims and answers what it is told to.
    pub async fn puppet(&self, name: &str, answers: impl Answers) -> Puppet {
        let (commands, moves) = (Arc::new(answers), v1::CommandRequest::default());
        let moving = commands.clone();
        let said = Arc::new(Script {
            command: says(move |nth, command| commands(nth, command)),
            drain: says(|_, draining| Ok(drained(*draining))),
            hand_off: says(move |nth, _| moving(nth, &moves).map(|_| v1::TakeOverResponse::default())),
            ..Script::default()
        });
        let services = Services { control: Some(said.clone()), ..Services::default() };
        Puppet { node: self.nodes.puppet(name, NodeRole::Origin, services).await, said }
    }

    /// Links of a node that tell what happens there, at its address as soon as that is free, and do nothing else.
    pub async fn linked(&self, name: &str, addr: SocketAddr) -> (SocketAddr, Journal, DropGuard) {
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
        let services = Services { control: Some(Arc::new(Script::default())), ..Services::default() };
        let (journal, stop) = self.serve(name, server, services);
        (addr, journal, stop)
    }

    /// Makes a room's owner of a node.
    pub async fn claim(&self, session: &Session, name: &str, preempt: bool) {
        let room = room(name);
        let owner = self.directory.get(&room).await.unwrap().unwrap().owner;
        let preempt = owner.filter(|_| preempt).map(|owner| owner.revision);
        self.directory.claim(session, &room, Epoch(0), preempt, Slot(0)).await.unwrap();
        let owns = |view: &stentor_directory::View| {
            view.owner(&room).is_some_and(|owner| owner.node == *session.node())
        };
        self.shows("it owns the room", owns).await;
    }
}

/// What a puppet answers to the n-th call, counted from 0.
pub trait Answers:
    Fn(usize, &v1::CommandRequest) -> Result<v1::CommandReply, Fault> + Send + Sync + 'static
{
}
impl<F: Fn(usize, &v1::CommandRequest) -> Result<v1::CommandReply, Fault> + Send + Sync + 'static> Answers
    for F
{
}

fn drained(draining: bool) -> v1::DrainResponse {
    let waits_for = if draining { vec!["3 rooms that it owns".into()] } else { Vec::new() };
    v1::DrainResponse { draining, rooms: 3, connections: 0, waits_for }
}

/// A node without rooms of its own, and what it was asked.
pub struct Puppet {
    node: stentor_kit::Puppet,
    pub said: Arc<Script>,
}

impl Deref for Puppet {
    type Target = stentor_kit::Puppet;

    fn deref(&self) -> &Self::Target {
        &self.node
    }
}

fn with_token(mut request: Request<()>) -> Result<Request<()>, Status> {
    let bearer = MetadataValue::try_from(format!("Bearer {TOKEN}")).unwrap();
    request.metadata_mut().insert("authorization", bearer);
    Ok(request)
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
pub async fn does(origin: &Node, name: &str, role: v1::Role, command: Command) -> Result<(), Code> {
    let by = v1::Actor { participant: name.into(), name: name.into(), role: role.into() };
    let request = v1::CommandRequest { room: "talk".into(), by: Some(by), command: Some(command) };
    origin.host().command(&room("talk"), request).await.map(drop).map_err(|fault| fault.code)
}

pub async fn joins(origin: &Node, name: &str) -> Result<(), Code> {
    does(origin, name, v1::Role::Speaker, Command::Join(v1::Empty {})).await
}
