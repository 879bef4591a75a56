//! The life of a process that is one node: up, until a signal or a failure; then down within the drain time-out.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use stentor_directory::Directory;
use stentor_telemetry::Metrics;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Place},
    node::{Node, Shared},
    ops::Ops,
    signals::Signals,
};

/// Runs a node until it is told to leave.
///
/// # Errors
/// What kept it from starting, or that a part of it failed.
pub(crate) async fn node(config: Config) -> Result<()> {
    let mut signals = Signals::catch()?;
    let _telemetry = stentor_telemetry::init(&config.log, &config.node.id)?;
    let shared = Shared {
        directory: directory(&config.directory).await?,
        metrics: Metrics::new(),
        failed: CancellationToken::new(),
    };
    let ops = Ops::bind(config.ops.listen).await?;
    let node = tokio::select! {
        node = Node::start(&config, &shared) => node?,
        name = signals.wait() => bail!("{name} before the node was up"),
    };
    let unready = node.unready();
    let serving = CancellationToken::new();
    let ops = tokio::spawn(ops.run(shared.metrics.clone(), Arc::new(unready), serving.clone()));

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
    ops.await.context("serving /metrics")??;
    if failed {
        bail!("a part of the node failed; the log says which");
    }
    Ok(())
}

/// Opens the directory that the configuration names.
async fn directory(config: &crate::config::Directory) -> Result<Directory> {
    match (config.place()?, &config.data) {
        (Place::Etcd(etcd), _) => {
            Directory::etcd(etcd).await.with_context(|| format!("the directory {}", config.url))
        }
        (Place::Embedded, Some(folder)) => Ok(Directory::embedded_at(folder)?),
        (Place::Embedded, None) => Ok(Directory::embedded()),
    }
}
