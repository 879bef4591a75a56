//! The watches that a node keeps at the same time: how many there are, and that each ends with its client or with the node.
//! Knows nothing of what is watched.

use std::{sync::Arc, time::Duration};

use stentor_ids::{Code, Fault};
use stentor_proto::status_of;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Watches at the same time. Each one asks owners for rooms, or has a stream from each node; beyond it a watch is
/// refused with a time to come back.
const WATCHES: usize = 32;

#[derive(Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// A place that is taken, until it is dropped.
pub(crate) struct Place {
    shutdown: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(shutdown: CancellationToken) -> Self {
        Self { free: Arc::new(Semaphore::new(WATCHES)), shutdown }
    }

    /// A place for one more watch.
    ///
    /// # Errors
    /// `Overloaded`: there is none.
    pub(crate) fn take(&self) -> Result<Place, Fault> {
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            let detail =
                format!("{WATCHES} watches are kept by this node and no more; ask another, or come back");
            Fault::new(Code::Overloaded, detail).retry_after(Duration::from_secs(10))
        })?;
        Ok(Place { shutdown: self.shutdown.clone(), _permit: permit })
    }
}

impl Place {
    /// Runs a watch until it is over, its client is gone, or the node leaves, which the client is told.
    pub(crate) async fn keep<T>(
        self,
        told: mpsc::Sender<Result<T, Status>>,
        watch: impl Future<Output = ()>,
    ) {
        tokio::select! {
            () = watch => {}
            () = told.closed() => {}
            () = self.shutdown.cancelled() => {
                let fault = Fault::new(Code::Draining, "this admin node is leaving; watch another");
                // A client that does not read finds the stream ended.
                let _ = told.try_send(Err(status_of(&fault)));
            }
        }
    }
}
