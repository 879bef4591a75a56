//! `stentorctl node`.

use clap::{Args, Subcommand};
use serde::Serialize;
use stentor_ids::NodeId;
use stentor_proto::v1::{ListNodesRequest, NodeRequest};

use crate::{
    admin::Admin,
    failure::Failure,
    settings::Settings,
    show::{self, Node},
};

pub(crate) const AFTER: &str = "\
Examples:
  stentorctl node list
  stentorctl node drain origin-a      (before maintenance; its rooms go to other origins)
  stentorctl node undrain origin-a";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the nodes of the cluster
    #[command(visible_alias = "ls")]
    List,
    /// Have a node give up its rooms and take no new ones; it goes on running
    Drain(Which),
    /// Let a drained node take rooms again
    Undrain(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The node, as `node list` shows it
    node: NodeId,
}

#[derive(Serialize)]
struct Nodes {
    nodes: Vec<Node>,
}

impl Command {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let mut admin = Admin::connect(settings).await?;
        let answer = match self {
            Self::List => {
                let answer = admin.client.list_nodes(ListNodesRequest {}).await;
                let nodes = admin.answer(answer)?.nodes.into_iter().map(Node::from).collect();
                let nodes = Nodes { nodes };
                return show::print(settings.output, &nodes, || Node::list(&nodes.nodes));
            }
            Self::Drain(which) => admin.client.drain_node(which.request()).await,
            Self::Undrain(which) => admin.client.undrain_node(which.request()).await,
        };
        let node = Node::from(admin.answer(answer)?);
        show::print(settings.output, &node, || Node::list(std::slice::from_ref(&node)))
    }
}

impl Which {
    fn request(&self) -> NodeRequest {
        NodeRequest { node: self.node.to_string() }
    }
}
