//! The running parts of a node: tasks that end together, within a bound.

use std::{fmt::Display, future::Future};

use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Parts that are told to end at the same time. Dropped, they end where they are.
#[derive(Default)]
pub(super) struct Parts {
    tasks: Mutex<JoinSet<()>>,
    stop: CancellationToken,
}

impl Parts {
    /// Where a part learns that it shall end.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a part. If it ends before it is told to, `failed` is cancelled: a node without one of its parts is none.
    pub(super) fn run<E: Display + Send>(
        &self,
        name: &'static str,
        failed: &CancellationToken,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let (stop, failed) = (self.stop.clone(), failed.clone());
        self.run_quiet(async move {
            match part.await {
                Err(error) => tracing::error!(part = name, %error, "a part of the node failed"),
                Ok(()) if stop.is_cancelled() => return,
                Ok(()) => tracing::error!(part = name, "a part of the node ended by itself"),
            }
            failed.cancel();
        });
    }

    /// Runs a part that cannot fail.
    pub(super) fn run_quiet(&self, part: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().spawn(part);
    }

    /// Tells all parts to end and waits for them, until the deadline at most.
    pub(super) async fn end(self, name: &'static str, deadline: Instant) {
        self.stop.cancel();
        let mut tasks = self.tasks.into_inner();
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout_at(deadline, ended).await.is_err() {
            tracing::warn!(parts = name, running = tasks.len(), "parts of the node did not end in time");
        }
    }
}
