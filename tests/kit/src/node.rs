//! One node, which can be gone at once as a process can.

use std::net::SocketAddr;

use stentor_directory::{Labels, NodeRecord, NodeRole, Session};
use stentor_edge::EdgeHandle;
use stentor_host::HostHandle;
use stentor_ids::{Fault, NodeId, RoomId, Slot};
use stentor_node::{Given, Links, Shared};
use stentor_proto::v1::{self, command_request::Command};
use tokio::{
    runtime::Runtime,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{plan::Plan, waiting::SOON};

/// A running node. Dropped, it is gone as a killed process is: nothing is said to anybody.
pub struct Node {
    /// Its name.
    pub id: NodeId,
    record: NodeRecord,
    admin: SocketAddr,
    /// Taken when it stops.
    node: Option<stentor_node::Node>,
    failed: CancellationToken,
    /// Where it runs; `None` for where the test does.
    runtime: Option<Runtime>,
}

impl Node {
    /// Starts a node and waits until it is seen, by edges as well.
    pub(crate) async fn start(name: &str, plan: Plan, shared: Shared, links: Option<Links>) -> Self {
        let (config, admin, apart) = (plan.config(name), plan.admin, links.is_none());
        let given = Given { links, engines: plan.engines };
        let (directory, failed) = (shared.directory.clone(), shared.failed.clone());
        let runtime = apart.then(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).thread_name("node").enable_all().build().unwrap()
        });
        let starting = async move { stentor_node::Node::start_with(&config, &shared, given).await };
        let node = match &runtime {
            Some(runtime) => runtime.spawn(starting).await.unwrap().unwrap(),
            None => starting.await.unwrap(),
        };
        let id = node.session().node().clone();
        let seen = async |role: NodeRole| {
            let mut view = directory.viewed_by(role.into()).view();
            let seen = timeout(SOON, view.wait_for(|view| view.nodes.contains_key(&id))).await;
            seen.expect("the node is seen").nodes[&id].as_ref().clone()
        };
        seen(NodeRole::Edge).await;
        let record = seen(NodeRole::Origin).await;
        Self { id, record, admin, node: Some(node), failed, runtime }
    }

    fn node(&self) -> &stentor_node::Node {
        self.node.as_ref().unwrap()
    }

    /// Its rooms.
    ///
    /// # Panics
    /// It is no origin.
    #[must_use]
    pub fn host(&self) -> &HostHandle {
        self.node().host().unwrap()
    }

    /// Where people connect.
    ///
    /// # Panics
    /// It is no edge.
    #[must_use]
    pub fn edge(&self) -> &EdgeHandle {
        self.node().edge().unwrap()
    }

    /// Its membership.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.node().session()
    }

    /// Where other nodes reach it.
    #[must_use]
    pub fn link_addr(&self) -> &str {
        &self.record.link_addr
    }

    /// Where people reach it.
    ///
    /// # Panics
    /// It is no edge.
    #[must_use]
    pub fn public_addr(&self) -> SocketAddr {
        self.record.public_addr.as_ref().unwrap().rsplit('/').next().unwrap().parse().unwrap()
    }

    /// Where operators reach it, if it serves them.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// The process is gone, and so is what ran in it.
    pub async fn kill(self) {
        drop(self);
        // What ran on the test's runtime goes when that next has its turn.
        tokio::task::yield_now().await;
    }

    /// Stops in order and deregisters, with its rooms where they are.
    ///
    /// # Panics
    /// A part of a node of this cluster has failed.
    pub async fn stop(mut self) {
        let (node, deadline) = (self.node.take().unwrap(), Instant::now() + SOON);
        match &self.runtime {
            Some(runtime) => runtime.spawn(node.stop(deadline)).await.unwrap(),
            None => node.stop(deadline).await,
        }
        assert!(!self.failed.is_cancelled(), "a part of a node has failed");
    }

    /// Says of itself that it leaves, and does nothing else.
    ///
    /// # Panics
    /// The directory does not take it.
    pub async fn set_draining(&self) {
        self.set_labels(Labels { draining: true, ..self.record.labels.clone() }).await;
    }

    /// Says of itself that it reads records up to this schema.
    ///
    /// # Panics
    /// As [`set_draining`](Self::set_draining).
    pub async fn set_schema(&self, schema: u32) {
        self.set_labels(Labels { schema, ..self.record.labels.clone() }).await;
    }

    async fn set_labels(&self, labels: Labels) {
        self.session().update(NodeRecord { labels, ..self.record.clone() }).await.unwrap();
    }

    /// An operator's command to a room that it owns.
    ///
    /// # Errors
    /// What it refuses.
    pub async fn command(&self, room: &RoomId, command: Command) -> Result<v1::CommandReply, Fault> {
        let request = v1::CommandRequest { room: room.to_string(), by: None, command: Some(command) };
        self.host().command(room, request).await
    }

    /// A room as its owner tells it.
    ///
    /// # Panics
    /// It is not owned here.
    pub async fn status(&self, room: &RoomId) -> v1::RoomStatus {
        self.command(room, Command::Get(v1::Empty {})).await.unwrap().room.unwrap()
    }

    /// The newest slot that it has emitted of a room that it owns.
    #[must_use]
    pub fn newest(&self, room: &RoomId) -> Option<Slot> {
        self.host().owns(room).map(|(_, slot)| slot)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
