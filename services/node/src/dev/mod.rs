//! `stentor dev`: a whole cluster as virtual nodes of this process, with an embedded directory, real gRPC links on loopback,
//! and a demo event on the air. Everything an operator or a listener meets is what a cluster of machines has.

mod banner;
mod demo;
mod keys;

use std::{io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use futures::future::join_all;
use stentor_directory::{Directory, NodeRole, Roles};
use stentor_telemetry::Metrics;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    banner::Banner,
    keys::{Addresses, Keys},
};
use crate::{
    cli::DevArgs,
    config::Config,
    node::{Node, Shared},
    ops::{Ops, Unready},
    signals::Signals,
};

/// Longest wait until every virtual node has a view of the cluster.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Longest time to end in.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Runs the cluster until a signal.
///
/// # Errors
/// What kept it from starting, or that a part of it failed.
pub(crate) async fn run(args: DevArgs) -> Result<()> {
    let mut signals = Signals::catch()?;
    let log = stentor_telemetry::Config {
        filter: args.log.clone(),
        otlp_endpoint: args.otlp.clone(),
        ..stentor_telemetry::Config::default()
    };
    let _telemetry = stentor_telemetry::init(&log, "dev")?;
    let ops = Ops::bind(args.ops).await?;
    let directory = match &args.data {
        Some(folder) => Directory::embedded_at(folder)?,
        None => Directory::embedded(),
    };
    let shared = Shared { directory, metrics: Metrics::new(), failed: CancellationToken::new() };
    let keys = Keys::make()?;
    let mut nodes = Vec::new();
    for config in configs(&args, &keys) {
        nodes.push(Node::start(&config, &shared).await.with_context(|| config.node.id.clone())?);
    }
    let unready: Vec<_> = nodes.iter().map(Node::unready).collect();
    let unready: Unready = Arc::new(move || unready.iter().find_map(|why| why()));
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(ops.run(shared.metrics.clone(), unready.clone(), stop.clone()));

    let at = Addresses { admin: args.admin, edge: args.edge_a };
    let env = keys.write(args.env_file(), &at)?;
    let on_air = async {
        ready(&unready).await?;
        demo::Operator::connect(args.admin, keys.token()).await?.put_on_air().await?;
        demo::speak([args.edge_a, args.edge_b], &keys.signing()?, &tasks, &stop).await?;
        std::io::stdout().write_all(Banner { args: &args, env: &env }.to_string().as_bytes())?;
        std::future::pending::<Result<()>>().await
    };
    let ended = tokio::select! {
        ended = on_air => ended,
        name = signals.wait() => {
            tracing::info!("{name}: leaving");
            Ok(())
        }
        () = shared.failed.cancelled() => Err(anyhow!("a part of a node failed; the log says which")),
    };
    signals.end_at_next();
    stop.cancel();
    // Nobody is left to hand rooms and people to.
    let deadline = Instant::now() + STOP_WITHIN;
    join_all(nodes.into_iter().map(|node| node.stop(deadline))).await;
    ended
}

/// The virtual nodes: the tiers of a cluster, two of each, the first edge with the operators' port.
fn configs(args: &DevArgs, keys: &Keys) -> Vec<Config> {
    let nodes = [
        ("origin-a", Roles::from(NodeRole::Origin), None),
        ("origin-b", Roles::from(NodeRole::Origin), None),
        ("relay-a", Roles::from(NodeRole::Relay), None),
        ("relay-b", Roles::from(NodeRole::Relay), None),
        ("edge-a", [NodeRole::Edge, NodeRole::Admin].into_iter().collect(), Some(args.edge_a)),
        ("edge-b", Roles::from(NodeRole::Edge), Some(args.edge_b)),
    ];
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    nodes
        .into_iter()
        .map(|(id, roles, edge)| {
            let mut config = Config { auth: keys.auth(), ..Config::default() };
            config.node.id = id.into();
            config.node.roles = roles;
            config.link.listen = any;
            config.edge.listen = edge.unwrap_or(any);
            config.admin.listen = args.admin;
            config
        })
        .collect()
}

/// Waits until every node has a view of the cluster.
async fn ready(unready: &Unready) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while let Some(why) = unready() {
        if Instant::now() > deadline {
            bail!("the cluster is not ready within {READY_WITHIN:?}: {why}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
