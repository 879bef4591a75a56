//! `stentorctl node`.

use clap::{Args, Subcommand};
use serde::Serialize;
use stentor_ids::NodeId;
use stentor_proto::v1::{ListNodesRequest, NodeRequest};

use crate::{
    admin::Admin,
    drain::Drain,
    failure::Failure,
    settings::Settings,
    show::{self, Node},
};

pub(crate) const AFTER: &str = "\
Examples:
  stentorctl node list
  stentorctl node drain origin-a --wait 60     (before maintenance; its rooms and people go elsewhere)
  stentorctl node undrain origin-a";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the nodes of the cluster
    #[command(visible_alias = "ls")]
    List,
    /// Have a node give up its rooms and people and take no new ones; it goes on running
    Drain(Drain),
    /// Let a drained node take work again
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
        let which = match self {
            Self::List => return list(settings).await,
            Self::Drain(drain) => return drain.run(settings).await,
            Self::Undrain(which) => which,
        };
        let mut admin = Admin::connect(settings).await?;
        let answer = admin.client.undrain_node(NodeRequest { node: which.node.to_string() }).await;
        let node = Node::from(admin.answer(answer)?);
        show::print(settings.output, &node, || Node::list(std::slice::from_ref(&node)))
    }
}

async fn list(settings: &Settings) -> Result<(), Failure> {
    let mut admin = Admin::connect(settings).await?;
    let answer = admin.client.list_nodes(ListNodesRequest {}).await;
    let nodes = Nodes { nodes: admin.answer(answer)?.nodes.into_iter().map(Node::from).collect() };
    show::print(settings.output, &nodes, || Node::list(&nodes.nodes))
}
