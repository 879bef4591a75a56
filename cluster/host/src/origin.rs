//! What all rooms of this node share: the directory and this node's membership, the way to other nodes, clocks and metrics. It
//! knows no rooms.

use std::sync::{Arc, Weak};

use stentor_directory::{Directory, NodeRole, Session, View, ViewHandle};
use stentor_ids::NodeId;
use stentor_link::{Journal, Mirror, Pool, Topology, control};
use stentor_placement::{Candidate, Standing};
use stentor_telemetry::NodeMetrics;
use tokio::sync::watch;

use crate::{Config, engine::EngineFactory, pulse::Pulse, replays::Replays};

/// This node as an origin.
pub(crate) struct Origin {
    pub(crate) me: NodeId,
    pub(crate) config: Config,
    pub(crate) directory: Directory,
    /// Whoever composes the node holds and closes it; without it nothing more is claimed.
    pub(crate) session: Weak<Session>,
    pub(crate) view: ViewHandle,
    pub(crate) topology: Arc<dyn Topology>,
    pub(crate) pool: Pool,
    pub(crate) control: control::Client,
    pub(crate) journal: Journal,
    pub(crate) metrics: NodeMetrics,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) engines: EngineFactory,
    pub(crate) replays: Arc<Replays>,
    /// How this node's clock stands.
    pub(crate) clock: watch::Receiver<Standing>,
}

impl Origin {
    /// This node's membership.
    pub(crate) fn session(&self) -> Result<Arc<Session>, stentor_directory::Error> {
        self.session.upgrade().ok_or(stentor_directory::Error::LeaseGone)
    }

    /// Where a node is reached, if it lives.
    pub(crate) fn place_of(&self, node: &NodeId) -> Option<Mirror> {
        let link_addr = self.view.snapshot().nodes.get(node)?.link_addr.clone();
        Some(Mirror { node: node.clone(), link_addr })
    }

    /// Whether this node's clock is so far off that it takes no rooms.
    pub(crate) fn is_barred(&self) -> bool {
        self.clock.borrow().barred
    }

    /// Whether this node is leaving.
    pub(crate) fn is_draining(&self) -> bool {
        self.view.snapshot().nodes.get(&self.me).is_some_and(|node| node.labels.draining)
    }
}

/// The origins of a view.
pub(crate) fn origins(view: &View) -> Vec<Candidate<'_>> {
    let origins = view.nodes.values().filter(|node| node.roles.has(NodeRole::Origin));
    origins.map(|node| Candidate::of(&node.id, &node.labels, view.owned_by(&node.id))).collect()
}
