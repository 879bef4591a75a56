//! The life of a process that is one node: up, until a signal or a failure; then down within the drain time-out.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use stentor_directory::Directory;
use stentor_telemetry::Metrics;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, Config, Place},
    node::{Node, Shared},
    ops::Ops,
    signals::Signals,
};

/// How long an answer of the ops port may go on after the node has left.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// Runs a node until it is told to leave.
///
/// # Errors
/// What kept it from starting, or that a part of it failed.
pub(crate) async fn node(config: Config) -> Result<()> {
    let mut signals = Signals::catch()?;
    let _telemetry = stentor_telemetry::init(&config.log, config.id()?.as_str())?;
    let Up { node, ops, shared } = tokio::select! {
        up = start(&config) => up?,
        name = signals.wait() => bail!("{name} before the node was up"),
    };
    let unready = Arc::new(node.unready());
    let serving = CancellationToken::new();
    let ops = tokio::spawn(ops.run(shared.metrics, unready, serving.clone()));

    let failed = tokio::select! {
        name = signals.wait() => {
            tracing::info!("{name}: leaving within {:?}", config.drain_timeout());
            false
        }
        () = shared.failed.cancelled() => true,
    };
    signals.end_at_next();
    node.leave(Instant::now() + config.drain_timeout()).await;
    serving.cancel();
    // Whoever still reads an answer is not worth waiting for.
    let _ = timeout(LAST_ANSWER, ops).await;
    if failed {
        bail!("a part of the node failed; the log says which");
    }
    Ok(())
}

/// A process that is up.
struct Up {
    node: Node,
    ops: Ops,
    shared: Shared,
}

async fn start(config: &Config) -> Result<Up> {
    let ops = Ops::bind(config.ops.listen).await?;
    let directory = directory(&config.directory).await?;
    let shared = Shared { directory, metrics: Metrics::new(), failed: CancellationToken::new() };
    let node = Node::start(config, &shared).await?;
    Ok(Up { node, ops, shared })
}

/// Opens the directory that the configuration names.
async fn directory(config: &config::Directory) -> Result<Directory> {
    match (config.place()?, &config.data) {
        (Place::Etcd(etcd), _) => {
            Directory::etcd(etcd).await.with_context(|| format!("the directory {}", config.url))
        }
        (Place::Embedded, Some(folder)) => Ok(Directory::embedded_at(folder)?),
        (Place::Embedded, None) => Ok(Directory::embedded()),
    }
}
