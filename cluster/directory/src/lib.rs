//! The directory: which nodes live, which rooms there are, and who owns and mirrors each.
//!
//! One small strongly consistent store behind one trait: etcd in a cluster, embedded in one process. On it stand the
//! node's [`Session`] (membership under a lease), the room operations of [`Directory`] (create, claim, commit, all fenced
//! by revisions), and one [`View`] of what the node needs to know, kept by a background watch.
//!
//! It does not know what a room's record says, who should own a room, or what anybody does with a change of the view.
//! Nothing on the way of audio calls it.
//!
//! Invariants: `OneWriter` (a record is only ever committed by the holder of the owner key, and no claim lowers the
//! record's epoch, nor an epoch that this process has seen); nobody owns and mirrors a room at once; a key on a lease never
//! outlives it; no method waits without a bound.

mod bid;
mod changes;
mod config;
mod embedded;
mod error;
mod etcd;
mod follow;
mod handle;
mod keys;
#[cfg(test)]
mod lost_answers;
mod map;
mod mirror;
mod node;
mod ownership;
mod room;
mod rooms;
mod seen;
mod session;
mod store;
mod stored;
mod view;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use changes::{Changed, ChangedKeys};
pub use config::{EtcdConfig, EtcdTls};
pub use error::Error;
pub use handle::{Reader, ViewHandle};
pub use map::Map;
pub use node::{InvalidNodeRole, NodeRecord, NodeRole, Roles};
pub use room::{BanPart, Bid, MAX_RECORD_BYTES, Mirror, MirrorKey, Owner, Ownership, Room, Written};
pub use session::{Session, SessionState};
pub use stentor_ids::Revision;
pub use stentor_placement::Labels;
pub use store::LeaseId;
pub use view::View;

use stentor_ids::{Epoch, RoomId};
use stentor_telemetry::{Call, NodeMetrics};

use embedded::Embedded;
use etcd::Etcd;
use keys::{Range, Scope};
use store::{Check, Op, Outcome, Snapshot, Store};

/// A handle on the directory. Clones share one connection, and one watch of those that read the same.
#[derive(Clone)]
pub struct Directory {
    store: Arc<dyn Store>,
    /// What this handle's view shows.
    scope: Scope,
    views: Arc<Views>,
    metrics: Option<NodeMetrics>,
}

/// The views of one process, each started by the first who reads it. A process has several where it is several nodes.
#[derive(Default)]
struct Views {
    nodes: OnceLock<ViewHandle>,
    rooms: OnceLock<ViewHandle>,
}

impl Directory {
    /// Connects to etcd and asks it for an answer.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that cannot work, a certificate file that cannot be read among them;
    /// [`Error::Unavailable`] naming the endpoints if none of them answers within the connect time-out;
    /// [`Error::Refused`] if etcd does not take the client's certificate.
    pub async fn etcd(config: EtcdConfig) -> Result<Self, Error> {
        Ok(Self::over(Etcd::connect(&config).await?))
    }

    /// A directory in this process' memory, for all who share this handle's clones.
    #[must_use]
    pub fn embedded() -> Self {
        Self::over(Embedded::in_memory())
    }

    /// A directory in this process whose room records survive a restart, as files in `folder` (made if it is not there).
    /// One process at a time.
    ///
    /// # Errors
    /// [`Error::Disk`] if the folder cannot be made or read. A file that holds no record is left alone, with a warning.
    pub fn embedded_at(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self::over(Embedded::at(folder.as_ref())?))
    }

    fn over(store: impl Store) -> Self {
        Self { store: Arc::new(store), scope: Scope::Rooms, views: Arc::default(), metrics: None }
    }

    /// The same directory; what is done through this handle is counted as this node's.
    #[must_use]
    pub fn metered(&self, metrics: NodeMetrics) -> Self {
        Self { metrics: Some(metrics), ..self.clone() }
    }

    /// The same directory, of which this handle's view shows what a node of these roles needs: an edge is shown the nodes
    /// alone, and nothing else is read for it. Writes of rooms are not for such a handle.
    #[must_use]
    pub fn viewed_by(&self, roles: Roles) -> Self {
        Self { scope: Scope::of(roles), ..self.clone() }
    }

    /// Ends a lease behind the back of the session that holds it, as a store does that lost its state. All that hangs on it
    /// goes with it.
    ///
    /// # Errors
    /// What the directory answers.
    #[cfg(feature = "faults")]
    pub async fn end_lease(&self, lease: LeaseId) -> Result<(), Error> {
        self.store.revoke(lease).await
    }

    /// Makes `node` a member under a new lease, which the session renews until it is closed or dropped. When the process
    /// dies, the node and all that it owns vanish from the directory `ttl` after the last renewal.
    ///
    /// `ttl` is rounded up to whole seconds of at least one. An entry that a former process of this node has left is
    /// waited for, as long as its lease can still live.
    ///
    /// # Errors
    /// [`Error::NodeExists`] if another living process has this id; else what the directory answers.
    pub async fn register(&self, node: NodeRecord, ttl: Duration) -> Result<Session, Error> {
        Session::open(self.store.clone(), node, ttl, self.metrics.clone()).await
    }

    /// The view of all nodes, rooms and owners, or of less if the handle is of [one who needs less](Self::viewed_by).
    /// Must be called within a tokio runtime, as the first call starts the watch behind it; that view is empty and not
    /// [`current`](View::current) until the first listing is in.
    #[must_use]
    pub fn view(&self) -> ViewHandle {
        let view = match self.scope {
            Scope::Nodes => &self.views.nodes,
            Scope::Rooms => &self.views.rooms,
        };
        view.get_or_init(|| follow::start(self.store.clone(), self.scope, self.metrics.clone())).clone()
    }

    /// Which history of the directory this process has seen, for whoever writes a key now.
    fn history(&self) -> u64 {
        self.views.rooms.get().map_or(0, |view| view.snapshot().history)
    }

    /// The highest epoch at which this process has seen the room claimed.
    fn highest_seen(&self, room: &RoomId) -> Epoch {
        self.views.rooms.get().map_or(Epoch(0), |view| view.snapshot().highest_epoch(room))
    }

    async fn read(&self, range: &Range) -> Result<Snapshot, Error> {
        self.counted(self.store.read(range).await)
    }

    async fn transact(&self, checks: Vec<Check>, then: Vec<Op>) -> Result<Outcome, Error> {
        self.counted(self.store.transact(checks, then).await)
    }

    fn counted<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer {
            tracing::debug!(%error, "a call of the directory failed");
        }
        if let Some(metrics) = &self.metrics {
            metrics.directory_calls(if answer.is_ok() { Call::Ok } else { Call::Fault }).inc();
        }
        answer
    }
}
