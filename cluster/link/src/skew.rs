//! Asks other nodes what their clocks show, and tells how this node's stands: to whoever waits for it, as a metric, and in
//! the journal. What an answer means is decided by the pure [`Clocks`].

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use rand::seq::IndexedRandom;
use stentor_ids::NodeId;
use stentor_pace::WallTime;
use stentor_placement::{Clocks, Standing};
use stentor_proto::{
    signed_span,
    v1::{ClockChange, happening::What},
};
use stentor_telemetry::NodeMetrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{Journal, Peer, Topology, control};

/// Nodes that are asked in one round, others each time where there are more: as many calls reach each node, however large the
/// cluster is.
const ASKED: usize = 8;
/// How often. A clock that is set is noticed within it.
const ROUND: Duration = Duration::from_secs(5);
/// How soon to ask again while nobody has answered: a node that starts is to know before it claims much.
const FIRST: Duration = Duration::from_millis(500);

/// The watch over this node's clock.
pub struct Skew {
    me: NodeId,
    topology: Arc<dyn Topology>,
    control: control::Client,
    metrics: NodeMetrics,
    journal: Journal,
    clocks: Clocks,
    standing: watch::Sender<Standing>,
}

impl Skew {
    /// A watch that has asked nobody yet.
    #[must_use]
    pub fn new(
        me: NodeId,
        topology: Arc<dyn Topology>,
        control: control::Client,
        metrics: NodeMetrics,
        journal: Journal,
    ) -> Self {
        let (clocks, standing) = (Clocks::default(), watch::Sender::default());
        Self { me, topology, control, metrics, journal, clocks, standing }
    }

    /// How the clock stands, and when that changes.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Asks until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let answered = tokio::select! {
                () = shutdown.cancelled() => return,
                answered = self.round() => answered,
            };
            let next = if answered { ROUND } else { FIRST };
            if shutdown.run_until_cancelled(tokio::time::sleep(next)).await.is_none() {
                return;
            }
        }
    }

    /// Asks some nodes, and says whether anybody answered.
    async fn round(&mut self) -> bool {
        let peers = self.topology.peers();
        let others: Vec<&Peer> = peers.iter().filter(|peer| peer.id != self.me).collect();
        let asked: Vec<&Peer> = others.sample(&mut rand::rng(), ASKED).copied().collect();
        let answers = join_all(asked.into_iter().map(|peer| ask(&self.control, peer))).await;
        let mut answered = false;
        for (peer, told) in answers.into_iter().flatten() {
            answered = true;
            self.clocks.heard(stentor_clock::now(), peer.id.clone(), peer.origin, told);
        }
        let standing = self.clocks.standing(stentor_clock::now());
        self.metrics.clock_offset().set(standing.ahead_us as f64 / 1e6);
        let before = self.standing.send_replace(standing);
        if (before.off, before.barred) != (standing.off, standing.barred) {
            self.tell(standing);
        }
        answered
    }

    fn tell(&self, Standing { ahead_us, off, barred }: Standing) {
        if off {
            tracing::warn!(
                ahead_us,
                barred,
                "this node's clock is not that of the cluster; see to its time service"
            );
        } else {
            tracing::info!(ahead_us, "this node's clock is that of the cluster again");
        }
        let ahead = Some(signed_span(ahead_us));
        self.journal.tell(None, What::Clock(ClockChange { ahead, off, barred }));
    }
}

/// What a node's clock shows, after which round trip, and this one's at its end. `None` if it does not say.
async fn ask<'a>(
    control: &control::Client,
    peer: &'a Peer,
) -> Option<(&'a Peer, (WallTime, Duration, WallTime))> {
    let sent = stentor_clock::now();
    let answer = control.probe(&peer.link_addr, None).await.ok()?;
    let (own, round_trip) = (stentor_clock::wall(), stentor_clock::now().since(sent));
    (answer.now_us > 0).then(|| (peer, (own, round_trip, WallTime::from_micros(answer.now_us))))
}
