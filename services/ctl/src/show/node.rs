//! Nodes as they are printed. The JSON fields are a promise: they are added and never renamed.

use serde::Serialize;
use stentor_proto::v1;

use super::{or_dash, table};

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Node {
    id: String,
    roles: Vec<String>,
    zone: String,
    link_addr: String,
    public_addr: String,
    capacity: u32,
    draining: bool,
    build: String,
    rooms: u32,
}

impl From<v1::Node> for Node {
    fn from(node: v1::Node) -> Self {
        Self {
            id: node.id,
            roles: node.roles,
            zone: node.zone,
            link_addr: node.link_addr,
            public_addr: node.public_addr,
            capacity: node.capacity,
            draining: node.draining,
            build: node.build,
            rooms: node.rooms,
        }
    }
}

impl Node {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Nodes, one a line.
    pub(crate) fn list(nodes: &[Self]) -> String {
        let row = |node: &Self| {
            [
                node.id.clone(),
                node.roles.join(","),
                or_dash(&node.zone),
                node.rooms.to_string(),
                if node.draining { "draining" } else { "up" }.to_owned(),
                or_dash(&node.link_addr),
                or_dash(&node.public_addr),
                or_dash(&node.build),
            ]
        };
        let heading = ["NODE", "ROLES", "ZONE", "ROOMS", "STATE", "LINKS", "PEOPLE", "BUILD"];
        table(heading, nodes.iter().map(row).collect(), "no nodes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::golden::golden;

    #[test]
    fn nodes_look_as_they_are_meant_to() {
        let node = |id: &str, draining| {
            Node::from(v1::Node {
                id: id.into(),
                roles: vec!["origin".into(), "admin".into()],
                link_addr: "10.0.0.1:7000".into(),
                capacity: 1,
                draining,
                build: "0.1.0".into(),
                rooms: 12,
                ..v1::Node::default()
            })
        };
        let nodes = [node("origin-a", false), node("origin-b", true)];
        golden("node_list.txt", &Node::list(&nodes));
        golden("node_list.json", &serde_json::to_string_pretty(&nodes).unwrap());
    }
}
