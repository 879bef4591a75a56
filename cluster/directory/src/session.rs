//! A node's membership: one lease, renewed every third of its time, and the node's record on it.
//!
//! When the lease has ended all the same, the session registers again under a new one, as the same instance. What else hung
//! on the old lease is gone; whoever put it there watches [`Session::state`] and puts it back. It knows nothing of rooms.
//!
//! Invariants: the state is `Held` only while the lease was renewed within its time, as this node's clock tells it; a record
//! of another living instance is never overwritten.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use stentor_ids::NodeId;
use stentor_pace::Backoff;
use stentor_telemetry::{self as telemetry, NodeMetrics};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Error, LeaseId, NodeRecord, keys,
    keys::Range,
    store::{Check, Entry, Op, Outcome, Store},
};

/// Shortest lease. Stores count in whole seconds.
const MIN_TTL: Duration = Duration::from_secs(1);
/// How much later than its time a lease may end: stores round the time that is left down to seconds, and look for ended
/// leases about once a second.
const EXPIRY_LAG: Duration = Duration::from_secs(2);
/// How often a former instance's lease is looked at while waiting for its end.
const POLL: Duration = Duration::from_millis(200);
/// How often registering is tried against another's writes to the same key.
const MAX_TRIES: usize = 8;

/// Whether a session's lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// It does, and this is it. Another number than before means that all keys on the old lease are gone.
    Held(LeaseId),
    /// It has ended, or could not be renewed in time; the node must not count on its keys.
    Lost,
}

/// A node's membership. Dropped without [`close`](Self::close), it ends like a crash: when the lease runs out.
#[derive(Debug)]
pub struct Session {
    node: NodeId,
    member: Arc<Member>,
    state: watch::Receiver<SessionState>,
    /// None once the session is closed.
    keeper: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Session {
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        record: NodeRecord,
        ttl: Duration,
        metrics: Option<NodeMetrics>,
    ) -> Result<Self, Error> {
        let node = record.id.clone();
        let (sender, state) = watch::channel(SessionState::Lost);
        let (key, ttl, record) = (keys::node(&node), whole_seconds(ttl), Mutex::new(record));
        let member = Arc::new(Member { store, key, ttl, state: sender, record, metrics });
        let held = member.register().await?;
        let keeper = Mutex::new(Some(AbortOnDropHandle::new(tokio::spawn(keep(member.clone(), held)))));
        Ok(Self { node, member, state, keeper })
    }

    /// The node that is registered.
    #[must_use]
    pub const fn node(&self) -> &NodeId {
        &self.node
    }

    /// Follows whether the lease stands. Changes are rare.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// The lease, if it stands.
    ///
    /// # Errors
    /// [`Error::LeaseGone`] if it does not.
    pub fn lease(&self) -> Result<LeaseId, Error> {
        match *self.state.borrow() {
            SessionState::Held(lease) => Ok(lease),
            SessionState::Lost => Err(Error::LeaseGone),
        }
    }

    /// Changes the node's record, for instance to say that it drains. Its id and instance stay as registered.
    ///
    /// # Errors
    /// What the directory answers. The new record is kept all the same and written when the node next registers.
    pub async fn update(&self, record: NodeRecord) -> Result<(), Error> {
        let mut kept = self.member.record.lock().await;
        *kept = NodeRecord { id: kept.id.clone(), instance: kept.instance, ..record };
        let put = Op::put_leased(self.member.key.clone(), encode(&kept), self.lease()?);
        self.member.store.transact(Vec::new(), vec![put]).await.map(drop)
    }

    /// Leaves the membership now, with all that hangs on the lease, whoever still holds the session: for them the lease is
    /// gone. Closing again does nothing.
    ///
    /// # Errors
    /// What the directory answers; then the lease runs out by itself.
    pub async fn close(&self) -> Result<(), Error> {
        let mut keeper = self.keeper.lock().await;
        let Some(keeper) = keeper.take() else { return Ok(()) };
        // Not before it has ended: it may be about to register under another lease.
        keeper.abort();
        let _ = keeper.await;
        let held = *self.state.borrow();
        self.member.set(SessionState::Lost);
        match held {
            SessionState::Held(lease) => self.member.store.revoke(lease).await,
            SessionState::Lost => Ok(()),
        }
    }
}

/// What the session and its keeper share.
struct Member {
    store: Arc<dyn Store>,
    key: String,
    ttl: Duration,
    state: watch::Sender<SessionState>,
    /// What stands, or should stand, in the directory. Whoever writes it there holds the lock.
    record: Mutex<NodeRecord>,
    metrics: Option<NodeMetrics>,
}

/// A lease and when it was last asked to live on: it ends no sooner than its time after that.
#[derive(Clone, Copy)]
struct Held {
    lease: LeaseId,
    renewed: Instant,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("key", &self.key).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl Member {
    fn set(&self, state: SessionState) {
        self.state.send_if_modified(|known| std::mem::replace(known, state) != state);
        if let Some(metrics) = &self.metrics {
            metrics.lease_held().set(i64::from(state != SessionState::Lost));
        }
    }

    fn count(&self, outcome: telemetry::Lease) {
        if let Some(metrics) = &self.metrics {
            metrics.lease_events(outcome).inc();
        }
    }

    /// Puts the record on a new lease, after waiting for what a former process of this node may have left.
    async fn register(&self) -> Result<Held, Error> {
        let record = self.record.lock().await;
        let mut granted: Option<Held> = None;
        for _ in 0..MAX_TRIES {
            let check = match (self.entry().await?, granted) {
                (None, _) => Check::Absent(self.key.clone()),
                // An earlier try, whose answer was lost, has done it.
                (Some(entry), Some(held)) if entry.lease == Some(held.lease) => return Ok(self.hold(held)),
                (Some(entry), _) if self.wait_for_end(&entry, record.instance).await? => continue,
                (Some(entry), _) => Check::Unchanged(self.key.clone(), entry.revision),
            };
            let held = match granted {
                Some(held) => held,
                None => *granted.insert(self.grant().await?),
            };
            let put = Op::put_leased(self.key.clone(), encode(&record), held.lease);
            match self.store.transact(vec![check], vec![put]).await {
                Ok(Outcome::Applied(_)) => return Ok(self.hold(held)),
                Err(error) if !error.is_unavailable() => return Err(error),
                Ok(Outcome::Refused) | Err(_) => {}
            }
        }
        let reason = format!("{} changed {MAX_TRIES} times while the node was being registered", self.key);
        Err(Error::Unavailable { directory: "the directory".to_owned(), reason })
    }

    async fn grant(&self) -> Result<Held, Error> {
        let renewed = Instant::now();
        Ok(Held { lease: self.store.grant(self.ttl).await?, renewed })
    }

    fn hold(&self, held: Held) -> Held {
        self.set(SessionState::Held(held.lease));
        held
    }

    /// If the entry is that of another instance, waits until its lease has ended and says so. An entry of this instance, or
    /// one that is no living node's, may be overwritten.
    async fn wait_for_end(&self, entry: &Entry, instance: u64) -> Result<bool, Error> {
        let namesake = serde_json::from_slice::<NodeRecord>(&entry.value).ok();
        let (Some(namesake), Some(lease)) = (namesake, entry.lease) else { return Ok(false) };
        if namesake.instance == instance {
            return Ok(false);
        }
        let Some(mut least) = self.store.remaining(lease).await? else { return Ok(true) };
        let give_up = Instant::now() + least + EXPIRY_LAG;
        tracing::info!(node = %namesake.id, remaining = ?least, "waiting for the lease of a former process of this node");
        while Instant::now() < give_up {
            sleep(POLL).await;
            match self.store.remaining(lease).await? {
                None => return Ok(true),
                Some(renewed) if renewed > least => break,
                Some(remaining) => least = remaining,
            }
        }
        Err(Error::NodeExists { node: namesake.id, link_addr: namesake.link_addr })
    }

    /// The node's key as it stands.
    async fn entry(&self) -> Result<Option<Entry>, Error> {
        Ok(self.store.read(&Range::prefix(&self.key)).await?.entry(&self.key).cloned())
    }

    /// Whether the node's key still hangs on `lease`: a directory that came back with an older state may know the lease
    /// and not the key.
    async fn stands_on(&self, lease: LeaseId) -> Result<bool, Error> {
        Ok(self.entry().await?.is_some_and(|entry| entry.lease == Some(lease)))
    }
}

/// Renews the lease for ever, and replaces it when it has ended.
async fn keep(member: Arc<Member>, mut held: Held) {
    let every = member.ttl / 3;
    let mut backoff = Backoff::new(every / 16, every / 2);
    let mut wake = held.renewed + every;
    loop {
        sleep_until(wake).await;
        let (asked, ends) = (Instant::now(), held.renewed + member.ttl);
        if asked >= ends {
            member.set(SessionState::Lost);
        }
        // One call that hangs must not take the time of the next try with it, nor hide the end of the lease.
        let patience = if asked < ends { every.min(ends - asked) } else { every };
        match timeout(patience, renew(&member, held.lease, backoff.failures() > 0)).await {
            Ok(Ok(())) => {
                member.count(telemetry::Lease::Renewed);
                held = member.hold(Held { renewed: asked, ..held });
                backoff.reset();
                wake = held.renewed + every;
            }
            Ok(Err(Error::LeaseGone)) => {
                tracing::warn!(key = member.key, "the node's lease has ended; registering again");
                member.count(telemetry::Lease::Lost);
                member.set(SessionState::Lost);
                held = register_again(&member, &mut backoff).await;
                wake = held.renewed + every;
            }
            Ok(Err(_)) | Err(_) => {
                member.count(telemetry::Lease::Failed);
                let retry = Instant::now() + backoff.next(rand::random());
                wake = if asked < ends { retry.min(ends) } else { retry };
                let failures = backoff.failures();
                tracing::warn!(key = member.key, failures, "the node's lease could not be renewed");
            }
        }
    }
}

/// One renewal; after a failed one also a look whether the node's key is still there.
async fn renew(member: &Member, lease: LeaseId, look: bool) -> Result<(), Error> {
    member.store.renew(lease).await?;
    if look && !member.stands_on(lease).await? {
        return Err(Error::LeaseGone);
    }
    Ok(())
}

async fn register_again(member: &Member, backoff: &mut Backoff) -> Held {
    loop {
        match member.register().await {
            Ok(held) => {
                backoff.reset();
                return held;
            }
            Err(error) => {
                tracing::error!(key = member.key, %error, "the node could not register again");
                sleep(backoff.next(rand::random())).await;
            }
        }
    }
}

fn encode(record: &NodeRecord) -> Bytes {
    serde_json::to_vec(record).expect("names, numbers and text are JSON").into()
}

fn whole_seconds(ttl: Duration) -> Duration {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    Duration::from_secs(seconds).max(MIN_TTL)
}
