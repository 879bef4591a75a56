//! SIGTERM and SIGINT: the first asks the process to leave in order, the second ends it at once.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a process says that was ended by a second signal.
const EXIT_INTERRUPTED: i32 = 130;

/// Both signals, caught from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn catch() -> Result<Self> {
        let catch = |kind| signal(kind).context("catching signals");
        Ok(Self { terminate: catch(SignalKind::terminate())?, interrupt: catch(SignalKind::interrupt())? })
    }

    /// Waits for either.
    pub(crate) async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// From now on, either ends the process at once.
    pub(crate) fn end_at_next(mut self) {
        tokio::spawn(async move {
            let name = self.wait().await;
            tracing::warn!("{name} again: ending at once");
            std::process::exit(EXIT_INTERRUPTED);
        });
    }
}
