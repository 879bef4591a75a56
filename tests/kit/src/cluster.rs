//! Nodes that share a directory in this process.

use std::net::{Ipv4Addr, SocketAddr};

use stentor_clock::wall;
use stentor_directory::{Directory, NodeRole, Owner};
use stentor_ids::{Epoch, RoomId};
use stentor_room::{Actor, Command, Record, Room, Spec};
use stentor_telemetry::Metrics;
use tokio::time::timeout;

use crate::{
    node::{Node, Plan},
    waiting::SOON,
    wire::Wire,
};

/// A cluster without nodes at first.
pub struct Cluster {
    /// Where nodes find each other.
    pub directory: Directory,
    /// What all of them count.
    pub metrics: Metrics,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// With an embedded directory. Must be called within a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let directory = Directory::embedded();
        // Views live where they are first looked at: here, and not on the runtime of a node that may be gone.
        for role in [NodeRole::Edge, NodeRole::Origin] {
            drop(directory.viewed_by(role.into()).view());
        }
        Self { directory, metrics: Metrics::new() }
    }

    /// An origin that calls from an address of its own, and is reached over a wire.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn origin(&self, name: &str, ip: Ipv4Addr, wire: &Wire) -> Node {
        let listen = SocketAddr::from((ip, stentor_programs::free_port().unwrap()));
        wire.lead_to(listen);
        self.node(name, Plan { role: "origin", listen, advertise: wire.addr() }).await
    }

    /// A relay that calls from an address of its own.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn relay(&self, name: &str, ip: Ipv4Addr) -> Node {
        let listen = SocketAddr::from((ip, 0));
        self.node(name, Plan { role: "relay", listen, advertise: String::new() }).await
    }

    async fn node(&self, name: &str, plan: Plan<'_>) -> Node {
        Node::start(&self.directory, &self.metrics, name, plan).await
    }

    /// Makes a room that is on the air as soon as it has an owner.
    ///
    /// # Panics
    /// There is one of that name.
    pub async fn create(&self, name: &str) -> RoomId {
        let mut made = Room::new(Record::new(Spec::default()).unwrap());
        for command in [Command::Open, Command::GoLive] {
            made.handle(wall(), &Actor::Operator, command).unwrap();
        }
        let id = RoomId::new(name).unwrap();
        self.directory.create(&id, made.record().encode()).await.unwrap();
        id
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
        let owned = || self.owner(room).filter(|owner| owner.epoch >= Epoch(epoch));
        let mut view = self.directory.view();
        let shown = timeout(SOON, view.wait_for(|_| owned().is_some())).await;
        assert!(shown.is_ok(), "waited in vain for an owner of {room} at epoch {epoch}");
        owned().unwrap()
    }
}
