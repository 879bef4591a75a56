//! Leaving the cluster, and coming back: the record says so, rooms are transferred, nodes that take rooms from here take
//! them from others, people are sent elsewhere.
//!
//! The order matters: the record first, so that nobody is given anything new; then rooms, children and people, at the same
//! time, each of which goes when it has another place; the node itself last. When the directory does not answer, the rest is
//! tried all the same. A drain that does not come to its end says what it waits for, and ends at its deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use stentor_directory::{Labels, NodeRecord, Session};
use stentor_edge::EdgeHandle;
use stentor_host::HostHandle;
use stentor_ids::Fault;
use stentor_link::{Carrier, Journal};
use stentor_proto::v1::{DrainChange, DrainResponse, happening::What};
use stentor_telemetry::NodeMetrics;
use tokio::{
    sync::Mutex,
    time::{Instant, interval, timeout, timeout_at},
};

/// How long an operator's call waits for rooms and people to go, before it answers how many are still there. Within the
/// call's deadline.
const ANSWER: Duration = Duration::from_secs(2);
/// How long rooms and people have to go after an operator's call. An operator looks again; a drain that found nobody to
/// take a room is asked for again.
const OPERATOR_DRAIN: Duration = Duration::from_secs(20);
/// How often it is looked what is left.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait for the directory to learn that the node leaves.
const RECORD: Duration = Duration::from_secs(2);

/// What must go before the node does.
#[derive(Clone)]
pub(super) struct Here {
    /// Rooms that it owns or mirrors.
    pub(super) host: Option<HostHandle>,
    /// Nodes that take rooms from it.
    pub(super) carrier: Option<Carrier>,
    /// People who are connected.
    pub(super) edge: Option<EdgeHandle>,
}

impl Here {
    /// What is still here, in words.
    fn waits_for(&self) -> Vec<String> {
        let host = self.host.as_ref();
        let counts = [
            ("rooms owned", host.map_or(0, HostHandle::rooms)),
            ("rooms mirrored", host.map_or(0, HostHandle::mirrored)),
            ("rooms taken from here by other nodes", self.carrier.as_ref().map_or(0, Carrier::children)),
            ("connections of listeners and speakers", self.connections() as usize),
        ];
        let left = counts.into_iter().filter(|(_, count)| *count > 0);
        left.map(|(what, count)| format!("{what}: {count}")).collect()
    }

    fn connections(&self) -> u64 {
        self.edge.as_ref().map_or(0, EdgeHandle::connections)
    }
}

/// What leaves, and whether it does.
pub(super) struct Leave {
    session: Mutex<Option<Arc<Session>>>,
    record: NodeRecord,
    here: Here,
    journal: Journal,
    metrics: NodeMetrics,
    draining: AtomicBool,
    /// Held while an operator's drain is under way.
    emptying: Mutex<()>,
}

impl Leave {
    pub(super) fn new(
        session: Arc<Session>,
        record: NodeRecord,
        here: Here,
        journal: Journal,
        metrics: NodeMetrics,
    ) -> Self {
        let session = Mutex::new(Some(session));
        Self {
            session,
            record,
            here,
            journal,
            metrics,
            draining: AtomicBool::new(false),
            emptying: Mutex::default(),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// An operator asks the node to drain, or to be given work again.
    ///
    /// # Errors
    /// The directory did not take the record: then nobody else knows of it, and nothing is begun.
    pub(super) async fn ask(self: &Arc<Self>, draining: bool) -> Result<DrainResponse, Fault> {
        let before = self.is_draining();
        if let Err(fault) = self.tell(draining).await {
            self.mark(before);
            return Err(fault);
        }
        if draining {
            let leave = self.clone();
            let going = tokio::spawn(async move {
                // Whoever asks again while it is under way waits for that.
                let _one = leave.emptying.lock().await;
                // It may have been given work again meanwhile.
                if leave.is_draining() {
                    leave.empty(Instant::now() + OPERATOR_DRAIN).await;
                }
            });
            // Whoever is not gone by then goes on going.
            let _ = timeout(ANSWER, going).await;
        } else {
            self.stay();
        }
        Ok(self.status())
    }

    /// Drains, whether the directory answers or not.
    pub(super) async fn drain(&self, deadline: Instant) {
        if let Err(fault) = self.tell(true).await {
            tracing::warn!(%fault, "the directory does not know that this node leaves");
        }
        self.empty(deadline).await;
        let left = self.here.waits_for();
        if !left.is_empty() {
            tracing::warn!(left = left.join(", "), "the drain's time is over; leaving with these still here");
        }
    }

    /// Leaves the membership now instead of when the lease runs out, whoever still holds the session.
    pub(super) async fn deregister(&self, deadline: Instant) {
        let Some(session) = self.session.lock().await.take() else { return };
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
        self.mark(draining);
        let session = self.session.lock().await.clone();
        let Some(session) = session else { return Ok(()) };
        let record =
            NodeRecord { labels: Labels { draining, ..self.record.labels.clone() }, ..self.record.clone() };
        match timeout(RECORD, session.update(record)).await {
            Ok(told) => told.map_err(Fault::from),
            Err(_) => Err(Fault::new(
                stentor_ids::Code::DirectoryUnavailable,
                format!("the directory did not answer within {RECORD:?}"),
            )),
        }
    }

    fn mark(&self, draining: bool) {
        self.draining.store(draining, Relaxed);
        self.metrics.draining().set(draining.into());
    }

    /// Takes work again.
    fn stay(&self) {
        if let Some(carrier) = &self.here.carrier {
            carrier.stay();
        }
        if let Some(edge) = &self.here.edge {
            edge.undrain();
        }
        self.journal.tell(None, What::Drain(DrainChange { draining: false, waits_for: Vec::new() }));
    }

    /// Transfers rooms, and sends nodes and people elsewhere.
    async fn empty(&self, deadline: Instant) {
        let within = deadline.saturating_duration_since(Instant::now());
        let rooms = async {
            if let Some(host) = &self.here.host {
                let report = host.drain(within).await;
                tracing::info!(?report, "rooms transferred");
            }
        };
        if let Some(carrier) = &self.here.carrier {
            carrier.leave();
        }
        let people = async {
            if let Some(edge) = &self.here.edge {
                edge.drain(within).await;
            }
        };
        tokio::join!(rooms, people, self.watch_over(deadline));
    }

    /// Tells what is still here as it changes, until nothing is, or the time is over.
    async fn watch_over(&self, deadline: Instant) {
        let (mut look, mut told) = (interval(LOOK), None);
        loop {
            let waits_for = self.here.waits_for();
            let done = waits_for.is_empty();
            if told.as_ref() != Some(&waits_for) {
                tracing::info!(waits_for = waits_for.join(", "), done, "draining");
                let change = DrainChange { draining: true, waits_for: waits_for.clone() };
                self.journal.tell(None, What::Drain(change));
                told = Some(waits_for);
            }
            if done || Instant::now() >= deadline || !self.is_draining() {
                return;
            }
            look.tick().await;
        }
    }

    fn status(&self) -> DrainResponse {
        let rooms = self.here.host.as_ref().map_or(0, HostHandle::rooms);
        let draining = self.is_draining();
        DrainResponse {
            draining,
            rooms: u32::try_from(rooms).unwrap_or(u32::MAX),
            connections: self.here.connections(),
            waits_for: if draining { self.here.waits_for() } else { Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use stentor_directory::{Directory, NodeRole};
    use stentor_ids::NodeId;
    use stentor_telemetry::Metrics;

    use super::*;

    #[tokio::test]
    async fn a_node_whose_session_is_still_held_deregisters_all_the_same() {
        let (directory, id) = (Directory::embedded(), NodeId::new("n").unwrap());
        let record = NodeRecord::new(id.clone(), NodeRole::Relay);
        let held = directory.register(record.clone(), Duration::from_secs(3600)).await.unwrap();
        let held = Arc::new(held);
        let here = Here { host: None, carrier: None, edge: None };
        let (journal, metrics) = (Journal::new(id.clone()), Metrics::new().for_node(&id));
        let leave = Leave::new(held.clone(), record, here, journal, metrics);
        leave.deregister(Instant::now() + Duration::from_secs(10)).await;
        let mut view = directory.view();
        let gone = view.wait_for(|view| view.current && view.nodes.is_empty());
        timeout(Duration::from_secs(10), gone).await.expect("the node has gone before its lease");
        assert!(held.lease().is_err());
    }
}
