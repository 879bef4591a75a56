//! The rooms that a relay or an edge carries. A room is taken when it is first asked for, and let go [`LINGER`] after its
//! last follower went.

mod taking;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use stentor_ids::{NodeId, RoomId};
use stentor_relay::Stuck;
use stentor_telemetry::{NodeMetrics, Tier};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::heard::Heard;
use crate::{
    Closed, Feed, FeedWriter, Journal, Peer, Pool, Topology,
    tree::{Place, above_edge},
};

/// How long a room is carried after its last follower went, so that listeners who come and go do not shake the tree.
pub(super) const LINGER: Duration = Duration::from_secs(30);
/// Incarnations that are remembered as over: parents trail behind each other by some moments, in which few rooms are made
/// anew. Beyond it the oldest is forgotten.
const PAST: usize = 256;
/// Who carries rooms.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// `Relay` takes a room from its owner, `Edge` from two relays, or from origins where there are no two relays. An
    /// origin that serves edges directly carries what it does not own as a `Relay`.
    pub tier: Tier,
}

/// Carries rooms. Clones share them.
#[derive(Clone)]
pub struct Carrier(Arc<Inner>);

struct Inner {
    config: Config,
    pool: Pool,
    topology: Arc<dyn Topology>,
    metrics: NodeMetrics,
    journal: Journal,
    rooms: Mutex<HashMap<RoomId, Carried>>,
    /// Incarnations of rooms that were made anew since, the newest last.
    past: Mutex<VecDeque<u64>>,
    leaving: watch::Sender<bool>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A room that is carried.
#[derive(Clone)]
struct Carried {
    /// Written by its subscriber; what this node itself reports goes in here.
    feed: Arc<FeedWriter>,
    heard: Heard,
}

impl Carrier {
    /// A carrier of no room yet; which parents it takes is told to the journal. Needs [`run`](Self::run) only to stop in
    /// order.
    #[must_use]
    pub fn new(
        config: Config,
        pool: Pool,
        topology: Arc<dyn Topology>,
        metrics: NodeMetrics,
        journal: Journal,
    ) -> Self {
        Self(Arc::new(Inner {
            config,
            pool,
            topology,
            metrics,
            journal,
            rooms: Mutex::default(),
            past: Mutex::default(),
            leaving: watch::Sender::new(false),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Carries until `shutdown`, then lets every room go; its followers are told [`Closed::Moved`].
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.cancelled().await;
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Tells how many listen to a room at this node itself. A room that is not carried is let go.
    pub fn report_listeners(&self, room: &RoomId, listeners: u64) {
        if let Some(carried) = self.0.rooms.lock().get(room) {
            carried.feed.set_own_listeners(listeners);
        }
    }

    /// Tells how many slots of a room this node itself had to fill since it began to play it. A room that is not carried is
    /// let go.
    pub fn report_filled(&self, room: &RoomId, slots: u64) {
        if let Some(carried) = self.0.rooms.lock().get(room) {
            carried.feed.set_own_filled(slots);
        }
    }

    /// Tells on which lineage of a room this node's own listeners are stuck, if they are. A room that is not carried is let go.
    pub fn report_stuck(&self, room: &RoomId, stuck: Option<Stuck>) {
        if let Some(carried) = self.0.rooms.lock().get(room) {
            carried.feed.set_own_stuck(stuck);
        }
    }

    /// The room of this name is this one: what is carried of another one is over, and is begun anew when it is asked for next.
    pub fn meet(&self, room: &RoomId, incarnation: u64) {
        let mut rooms = self.0.rooms.lock();
        let other = rooms.get(room).filter(|carried| carried.feed.is_other(incarnation)).cloned();
        if let Some(Carried { feed, .. }) = other {
            rooms.remove(room);
            drop(rooms);
            self.end_of(&feed);
        }
    }

    /// How long ago a slot of the room came from that node itself; `None` if none ever did.
    #[must_use]
    pub fn heard(&self, room: &RoomId, from: &NodeId) -> Option<Duration> {
        let heard = self.0.rooms.lock().get(room)?.heard.clone();
        heard.ago(stentor_clock::now(), from)
    }

    /// Leaves the tree: children are told to take another parent, and nobody is taken on any more. What is carried is
    /// carried on until [`children`](Self::children) have gone or [`run`](Self::run) is over.
    pub fn leave(&self) {
        self.0.leaving.send_replace(true);
    }

    /// Takes on children again after [`leave`](Self::leave).
    pub fn stay(&self) {
        self.0.leaving.send_replace(false);
    }

    /// How many follow a room here, over all rooms: what a leaving node waits for.
    #[must_use]
    pub fn children(&self) -> usize {
        self.0.rooms.lock().values().map(|carried| carried.feed.cursors()).sum()
    }

    /// How many rooms are carried.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.0.rooms.lock().len()
    }

    /// A feed's room has been made anew: it is over, and does not come back.
    pub(super) fn end_of(&self, feed: &FeedWriter) {
        tracing::info!(room = %feed.room(), "the room was made anew; what is known of the former one is let go");
        let mut past = self.0.past.lock();
        if past.len() == PAST {
            past.pop_front();
        }
        // Before the feed is closed: who asks for the room again at once is not to be told of the former one by a parent that lags.
        past.push_back(feed.incarnation());
        drop(past);
        feed.close(Closed::Ended);
    }

    /// Whether a room of this incarnation has been made anew since.
    pub(super) fn is_past(&self, incarnation: u64) -> bool {
        self.0.past.lock().contains(&incarnation)
    }

    /// Whether this node leaves the tree, and when that changes.
    pub(super) fn leaving(&self) -> watch::Receiver<bool> {
        self.0.leaving.subscribe()
    }

    pub(super) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(super) fn topology(&self) -> &dyn Topology {
        self.0.topology.as_ref()
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub(super) fn metrics(&self) -> &NodeMetrics {
        &self.0.metrics
    }

    /// Whom this node takes a room from now, best first.
    pub(super) fn above(&self, room: &RoomId, peers: &[Peer]) -> Vec<Arc<Place>> {
        match self.0.config.tier {
            Tier::Edge => {
                let places = above_edge(room, &self.0.config.me, peers);
                places.into_iter().map(Arc::new).collect()
            }
            Tier::Relay | Tier::Origin => {
                let owner = self.0.topology.owner(room).map(Place::from);
                let mirror = self.0.topology.mirror(room).map(Place::from);
                owner.into_iter().chain(mirror).map(Arc::new).collect()
            }
        }
    }

    /// Lets the room go if nobody began to follow it meanwhile.
    pub(super) fn remove_if_idle(&self, feed: &Feed) -> bool {
        let mut rooms = self.0.rooms.lock();
        // Looked at under the lock by which followers come: one that comes meanwhile keeps the room.
        let idle = feed.idle_since().is_some_and(|since| stentor_clock::now().since(since) >= LINGER);
        if idle {
            rooms.remove(feed.room());
        }
        idle
    }
}
