//! Leaving the cluster, and coming back: the record says so, rooms are handed over, people are sent elsewhere.
//!
//! The order matters: the record first, so that nobody is given anything new; then rooms and people, at the same time.
//! When the directory does not answer, the rest is tried all the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use stentor_directory::{NodeRecord, Session};
use stentor_edge::EdgeHandle;
use stentor_host::HostHandle;
use stentor_ids::Fault;
use stentor_proto::v1::DrainResponse;
use stentor_telemetry::NodeMetrics;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};

/// How long an operator's call waits for rooms and people to go, before it answers how many are still there. Within the
/// call's deadline.
const ANSWER: Duration = Duration::from_secs(2);
/// How long rooms and people have to go after an operator's call. An operator looks again; a drain that found nobody to
/// take a room is asked for again.
const OPERATOR_DRAIN: Duration = Duration::from_secs(20);
/// Longest wait for the directory to learn that the node leaves.
const RECORD: Duration = Duration::from_secs(2);

/// Who must go before the node does.
#[derive(Clone)]
pub(super) struct People {
    pub(super) host: Option<HostHandle>,
    pub(super) edge: Option<EdgeHandle>,
}

/// What leaves, and whether it does.
pub(super) struct Leave {
    session: Mutex<Option<Arc<Session>>>,
    record: NodeRecord,
    people: People,
    metrics: NodeMetrics,
    draining: AtomicBool,
}

impl Leave {
    pub(super) fn new(
        session: Arc<Session>,
        record: NodeRecord,
        people: People,
        metrics: NodeMetrics,
    ) -> Self {
        let session = Mutex::new(Some(session));
        Self { session, record, people, metrics, draining: AtomicBool::new(false) }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// An operator asks the node to drain, or to be given work again.
    ///
    /// # Errors
    /// The directory did not take the record: then nobody else knows of it, and nothing is begun.
    pub(super) async fn ask(self: &Arc<Self>, draining: bool) -> Result<DrainResponse, Fault> {
        self.tell(draining).await?;
        if draining {
            let leave = self.clone();
            let going = tokio::spawn(async move { leave.empty(Instant::now() + OPERATOR_DRAIN).await });
            // Whoever is not gone by then goes on going.
            let _ = timeout(ANSWER, going).await;
        } else if let Some(edge) = &self.people.edge {
            edge.undrain();
        }
        Ok(self.status())
    }

    /// Drains, whether the directory answers or not.
    pub(super) async fn drain(&self, deadline: Instant) {
        if let Err(fault) = self.tell(true).await {
            tracing::warn!(%fault, "the directory does not know that this node leaves");
        }
        self.empty(deadline).await;
        let DrainResponse { rooms, connections, .. } = self.status();
        if rooms > 0 || connections > 0 {
            tracing::warn!(rooms, connections, "leaving with rooms or people still here");
        }
    }

    /// Leaves the membership now instead of when the lease runs out.
    pub(super) async fn deregister(&self, deadline: Instant) {
        let Some(session) = self.session.lock().await.take().and_then(Arc::into_inner) else { return };
        match timeout_at(deadline, session.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the node could not deregister; its lease runs out by itself")
            }
            Err(_) => tracing::warn!("the node could not deregister in time; its lease runs out by itself"),
        }
    }

    /// Tells the cluster whether the node drains.
    async fn tell(&self, draining: bool) -> Result<(), Fault> {
        self.draining.store(draining, Relaxed);
        self.metrics.draining().set(draining.into());
        let session = self.session.lock().await.clone();
        let Some(session) = session else { return Ok(()) };
        let record = NodeRecord { draining, ..self.record.clone() };
        match timeout(RECORD, session.update(record)).await {
            Ok(told) => told.map_err(Fault::from),
            Err(_) => Err(Fault::new(
                stentor_ids::Code::DirectoryUnavailable,
                format!("the directory did not answer within {RECORD:?}"),
            )),
        }
    }

    /// Hands rooms over and sends people elsewhere.
    async fn empty(&self, deadline: Instant) {
        let within = deadline.saturating_duration_since(Instant::now());
        let rooms = async {
            if let Some(host) = &self.people.host {
                let report = host.drain(within).await;
                tracing::info!(?report, "rooms handed over");
            }
        };
        let people = async {
            if let Some(edge) = &self.people.edge {
                edge.drain(within).await;
            }
        };
        tokio::join!(rooms, people);
    }

    fn status(&self) -> DrainResponse {
        DrainResponse {
            draining: self.is_draining(),
            rooms: self
                .people
                .host
                .as_ref()
                .map_or(0, |host| u32::try_from(host.rooms()).unwrap_or(u32::MAX)),
            connections: self.people.edge.as_ref().map_or(0, EdgeHandle::connections),
            waits_for: Vec::new(),
        }
    }
}
