//! The members of the cluster, as the directory's view has them.

use std::sync::Arc;

use stentor_directory::{NodeRecord, NodeRole};
use stentor_ids::{Code, Fault, NodeId};
use stentor_proto::v1;

use crate::Cluster;

pub(crate) struct Nodes {
    cluster: Cluster,
}

impl Nodes {
    pub(crate) const fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// All of them, by id.
    pub(crate) fn list(&self) -> Result<Vec<v1::Node>, Fault> {
        let view = self.cluster.listed()?;
        Ok(view.nodes.values().map(|node| told(node, view.owned_by(&node.id))).collect())
    }

    /// Tells a node to start or stop draining. The answer says how many rooms it has left, and what it waits for. A node
    /// that is busy leaving may answer too late; then what it has told the directory meanwhile counts.
    pub(crate) async fn drain(&self, id: &NodeId, draining: bool) -> Result<v1::Node, Fault> {
        let view = self.cluster.listed()?;
        let node = view.nodes.get(id).ok_or_else(|| unknown(id))?;
        let fault = match self.cluster.control.drain(&node.link_addr, draining).await {
            Ok(v1::DrainResponse { draining, rooms, waits_for, .. }) => {
                return Ok(v1::Node { draining, rooms, waits_for, ..told(node, 0) });
            }
            Err(fault) => fault,
        };
        let now = self.cluster.listed()?;
        let changed =
            |now: &&Arc<NodeRecord>| now.labels.draining == draining && node.labels.draining != draining;
        match now.nodes.get(id).filter(changed) {
            Some(node) if fault.code == Code::NodeUnavailable => {
                // Nothing would say that it is done.
                let unheard = || "its own word: it did not answer in time".to_owned();
                let waits_for = draining.then(unheard).into_iter().collect();
                Ok(v1::Node { waits_for, ..told(node, now.owned_by(id)) })
            }
            _ => Err(fault),
        }
    }

    /// Whether a room can be moved there.
    pub(crate) fn require_origin(&self, id: &NodeId) -> Result<(), Fault> {
        let view = self.cluster.listed()?;
        let node = view.nodes.get(id).ok_or_else(|| unknown(id))?;
        if !node.roles.has(NodeRole::Origin) {
            let detail = format!("node {id} is {} and runs no rooms; name an origin", node.roles);
            return Err(Fault::new(Code::WrongState, detail));
        }
        if node.labels.draining {
            let detail =
                format!("node {id} is draining and takes no rooms; name another origin, or undrain it");
            return Err(Fault::new(Code::WrongState, detail));
        }
        Ok(())
    }
}

fn told(node: &NodeRecord, rooms: u32) -> v1::Node {
    v1::Node {
        id: node.id.to_string(),
        roles: node.roles.iter().map(|role| role.to_string()).collect(),
        zone: node.labels.zone.clone(),
        link_addr: node.link_addr.clone(),
        public_addr: node.public_addr.clone().unwrap_or_default(),
        capacity: node.labels.capacity,
        draining: node.labels.draining,
        build: node.build.clone(),
        rooms,
        waits_for: Vec::new(),
    }
}

fn unknown(id: &NodeId) -> Fault {
    Fault::new(Code::UnknownNode, format!("no node {id} is in the cluster; list the nodes to see which are"))
}
