//! Nodes that share a directory in this process.

use std::net::{Ipv4Addr, SocketAddr};

use stentor_clock::wall;
use stentor_directory::{Directory, EtcdConfig, NodeRole, Owner, View};
use stentor_ids::{Epoch, NodeId, ParticipantId, RoomId};
use stentor_link::Pool;
use stentor_node::Shared;
use stentor_programs::Etcd;
use stentor_room::{Actor, Bans, Command, Record, Room, Spec};
use stentor_telemetry::Metrics;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{links::Links, node::Node, plan::Plan, waiting::SOON, wire::Wire};

/// A room's name.
///
/// # Panics
/// It is none.
#[must_use]
pub fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

/// A participant's name.
///
/// # Panics
/// It is none.
#[must_use]
pub fn who(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

/// A cluster without nodes at first.
pub struct Cluster {
    /// Where nodes find each other.
    pub directory: Directory,
    /// What all of them count.
    pub metrics: Metrics,
    pub(crate) links: Links,
    failed: CancellationToken,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// Linked over loopback, with an embedded directory. Each node has a runtime of its own. Must be called within one.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Directory::embedded(), Links::Sockets)
    }

    /// Linked in memory, with an embedded directory, all on the runtime of the test: as paused time needs it.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn in_memory() -> Self {
        Self::of(Directory::embedded(), Links::Memory(stentor_link::memory::Network::default()))
    }

    /// Linked over loopback, with etcd as its directory, which is soon given up when it does not answer.
    ///
    /// # Panics
    /// It does not now.
    pub async fn on(etcd: &Etcd) -> Self {
        let config = EtcdConfig {
            endpoints: vec![etcd.endpoint()],
            connect_timeout_ms: 500,
            request_timeout_ms: 500,
            ..EtcdConfig::default()
        };
        Self::of(Directory::etcd(config).await.unwrap(), Links::Sockets)
    }

    fn of(directory: Directory, links: Links) -> Self {
        // Views live where they are first looked at: here, and not on the runtime of a node that may be gone.
        for role in [NodeRole::Edge, NodeRole::Origin] {
            drop(directory.viewed_by(role.into()).view());
        }
        Self { directory, metrics: Metrics::new(), links, failed: CancellationToken::new() }
    }

    /// The links of somebody to the nodes.
    ///
    /// # Panics
    /// The name is none.
    #[must_use]
    pub fn pool(&self, name: &str) -> Pool {
        self.links.pool(&self.metrics.for_node(&NodeId::new(name).unwrap()))
    }

    /// An origin.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn origin(&self, name: &str) -> Node {
        self.start(name, Plan::of(&["origin"])).await
    }

    /// An origin that calls from an address of its own, and is reached over a wire.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn origin_over(&self, name: &str, ip: Ipv4Addr, wire: &Wire) -> Node {
        let listen = SocketAddr::from((ip, stentor_programs::free_port().unwrap()));
        wire.lead_to(listen);
        let plan = Plan::of(&["origin"]).set("link", "listen", listen.to_string());
        self.start(name, plan.set("link", "advertise", wire.addr())).await
    }

    /// A relay that calls from an address of its own.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn relay_at(&self, name: &str, ip: Ipv4Addr) -> Node {
        let listen = SocketAddr::from((ip, 0)).to_string();
        self.start(name, Plan::of(&["relay"]).set("link", "listen", listen)).await
    }

    /// A node as it is planned.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn start(&self, name: &str, plan: Plan) -> Node {
        let (directory, metrics) = (self.directory.clone(), self.metrics.clone());
        let links = self.links.given(&metrics.for_node(&NodeId::new(name).unwrap()));
        let shared = Shared { directory, metrics, failed: self.failed.clone() };
        Node::start(name, plan, shared, links).await
    }

    /// Makes a room, open or on the air as soon as it has an owner.
    ///
    /// # Panics
    /// There is one of that name.
    pub async fn create(&self, name: &str, live: bool) -> RoomId {
        self.create_as(name, Spec::default(), live).await
    }

    /// The same of a room that is to be like this.
    ///
    /// # Panics
    /// There is one of that name, or none can be like this.
    pub async fn create_as(&self, name: &str, spec: Spec, live: bool) -> RoomId {
        let mut made = Room::new(Record::new(spec).unwrap());
        made.handle(wall(), &Actor::Operator, Command::Open).unwrap();
        if live {
            made.handle(wall(), &Actor::Operator, Command::GoLive).unwrap();
        }
        let id = room(name);
        self.directory.create(&id, made.record().encode()).await.unwrap();
        id
    }

    /// A room as it is saved.
    ///
    /// # Panics
    /// It is not there, or the directory is not.
    pub async fn record(&self, room: &RoomId) -> Record {
        let record = Record::decode(&self.directory.get(room).await.unwrap().unwrap().record).unwrap();
        let parts = self.directory.bans(room).await.unwrap();
        record.with_bans(Bans::decode(parts.iter().map(|part| (part.number, &part.value))).unwrap())
    }

    /// Waits until the directory's view holds what is asked for.
    ///
    /// # Panics
    /// It does not within [`SOON`].
    pub async fn shows(&self, what: &str, holds: impl FnMut(&View) -> bool + Send) {
        let mut view = self.directory.view();
        let shown = timeout(SOON, view.wait_for(holds)).await;
        assert!(shown.is_ok(), "the directory never showed that {what}: {:?}", view.snapshot());
    }

    /// Who owns a room now, as the directory shows it.
    #[must_use]
    pub fn owner(&self, room: &RoomId) -> Option<Owner> {
        self.directory.view().snapshot().rooms.get(room)?.owner.clone()
    }

    /// Waits for an owner at or above an epoch.
    ///
    /// # Panics
    /// There is none within [`SOON`].
    pub async fn owner_from(&self, room: &RoomId, epoch: u64) -> Owner {
        let owned = |view: &View| {
            let owner = view.rooms.get(room).and_then(|room| room.owner.clone());
            owner.filter(|owner| owner.epoch >= Epoch(epoch))
        };
        let mut view = self.directory.view();
        let shown = timeout(SOON, view.wait_for(|view| owned(view).is_some())).await;
        let shown =
            shown.unwrap_or_else(|_| panic!("waited in vain for an owner of {room} at epoch {epoch}"));
        owned(&shown).unwrap()
    }
}
