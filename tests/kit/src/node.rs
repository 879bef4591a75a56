//! One node: everything that it is runs on a runtime of its own, so that it can be gone at once as a process can.

use std::net::{Ipv4Addr, SocketAddr};

use stentor_directory::Directory;
use stentor_host::HostHandle;
use stentor_ids::{NodeId, RoomId};
use stentor_node::{Config, Shared};
use stentor_proto::v1;
use stentor_telemetry::Metrics;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A running node. Dropped, it is gone as a killed process is: nothing is said to anybody.
pub struct Node {
    /// Its name.
    pub id: NodeId,
    node: stentor_node::Node,
    runtime: Option<Runtime>,
}

/// What a node is made of beside its name.
pub(crate) struct Plan<'a> {
    /// As in a configuration.
    pub(crate) role: &'a str,
    /// Where it listens, and the address that it calls from.
    pub(crate) listen: SocketAddr,
    /// Where it says that it listens; empty for where it does.
    pub(crate) advertise: String,
}

impl Node {
    pub(crate) async fn start(directory: &Directory, metrics: &Metrics, name: &str, plan: Plan<'_>) -> Self {
        let Plan { role, listen, advertise } = plan;
        let edge = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // The shortest lease there is, so that a node that is gone is soon known to be.
        let text = format!(
            "[node]\nid = {name:?}\nroles = [{role:?}]\n[directory]\nlease_ttl_s = 1\n\
             [link]\nlisten = \"{listen}\"\nadvertise = {advertise:?}\n[edge]\nlisten = \"{edge}\"\n"
        );
        let config: Config = toml::from_str(&text).unwrap();
        let (directory, metrics) = (directory.clone(), metrics.clone());
        let shared = Shared { directory, metrics, failed: CancellationToken::new() };
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name(name).enable_all().build().unwrap();
        let started = runtime.spawn(async move { stentor_node::Node::start(&config, &shared).await });
        let node = started.await.unwrap().unwrap();
        Self { id: NodeId::new(name).unwrap(), node, runtime: Some(runtime) }
    }

    /// Its rooms.
    ///
    /// # Panics
    /// It is no origin.
    #[must_use]
    pub fn host(&self) -> &HostHandle {
        self.node.host().unwrap()
    }

    /// A room as its owner tells it.
    ///
    /// # Panics
    /// It is not owned here.
    pub async fn status(&self, room: &RoomId) -> v1::RoomStatus {
        let command = Some(v1::command_request::Command::Get(v1::Empty {}));
        let request = v1::CommandRequest { room: room.to_string(), by: None, command };
        self.host().command(room, request).await.unwrap().room.unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
