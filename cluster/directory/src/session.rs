//! A node's membership: one lease, renewed every third of its time, and the node's record on it.
//!
//! When the lease has ended all the same, the session registers again under a new one, as the same instance. What else hung
//! on the old lease is gone; whoever put it there watches [`Session::state`] and puts it back. It knows nothing of rooms.
//!
//! Invariants: the state is `Held` only while the lease was renewed within its time, as this node's clock tells it; a record
//! of another living instance is never overwritten.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use stentor_ids::NodeId;
use stentor_pace::Backoff;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Error, LeaseId, NodeRecord, keys,
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
    keeper: AbortOnDropHandle<()>,
}

impl Session {
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        record: NodeRecord,
        ttl: Duration,
    ) -> Result<Self, Error> {
        let node = record.id.clone();
        let (sender, state) = watch::channel(SessionState::Lost);
        let ttl = whole_seconds(ttl);
        let member = Arc::new(Member {
            store,
            key: keys::node(&node),
            ttl,
            state: sender,
            record: Mutex::new(record),
        });
        let lease = member.register().await?;
        let keeper = AbortOnDropHandle::new(tokio::spawn(keep(member.clone(), lease)));
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

    /// Leaves the membership now, with all that hangs on the lease.
    ///
    /// # Errors
    /// What the directory answers; then the lease runs out by itself.
    pub async fn close(self) -> Result<(), Error> {
        let Self { member, state, keeper, .. } = self;
        drop(keeper);
        let held = *state.borrow();
        match held {
            SessionState::Held(lease) => member.store.revoke(lease).await,
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
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("key", &self.key).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl Member {
    /// Puts the record on a new lease, after waiting for what a former process of this node may have left.
    async fn register(&self) -> Result<LeaseId, Error> {
        let record = self.record.lock().await;
        let mut in_the_way = self.entry().await?;
        for _ in 0..MAX_TRIES {
            let check = match &in_the_way {
                None => Check::Absent(self.key.clone()),
                Some(entry) if self.wait_for_end(entry, record.instance).await? => {
                    in_the_way = self.entry().await?;
                    continue;
                }
                Some(entry) => Check::Unchanged(self.key.clone(), entry.revision),
            };
            let lease = self.store.grant(self.ttl).await?;
            let put = Op::put_leased(self.key.clone(), encode(&record), lease);
            match self.store.transact(vec![check], vec![put]).await {
                Ok(Outcome::Applied(_)) => {
                    self.state.send_replace(SessionState::Held(lease));
                    return Ok(lease);
                }
                Err(error) if !error.is_ambiguous() => return Err(error),
                Ok(Outcome::Refused) | Err(_) => in_the_way = self.entry().await?,
            }
        }
        Err(self.namesake(in_the_way.as_ref(), &record.id))
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
        Err(self.namesake(Some(entry), &namesake.id))
    }

    fn namesake(&self, entry: Option<&Entry>, node: &NodeId) -> Error {
        let record = entry.and_then(|entry| serde_json::from_slice::<NodeRecord>(&entry.value).ok());
        Error::NodeExists {
            node: node.clone(),
            link_addr: record.map(|record| record.link_addr).unwrap_or_default(),
        }
    }

    /// The node's key as it stands.
    async fn entry(&self) -> Result<Option<Entry>, Error> {
        Ok(self.store.read(&self.key).await?.entry(&self.key).cloned())
    }

    /// Whether the node's key still hangs on `lease`: a directory that came back with an older state may know the lease
    /// and not the key.
    async fn stands_on(&self, lease: LeaseId) -> Result<bool, Error> {
        Ok(self.entry().await?.is_some_and(|entry| entry.lease == Some(lease)))
    }
}

/// Renews `lease` for ever, and replaces it when it has ended.
async fn keep(member: Arc<Member>, mut lease: LeaseId) {
    let every = member.ttl / 3;
    let mut backoff = Backoff::new(every / 16, every / 2);
    let mut renewed = Instant::now();
    let mut wake = renewed + every;
    loop {
        sleep_until(wake).await;
        let asked = Instant::now();
        let patience = member.ttl.saturating_sub(asked - renewed).max(every);
        let answer = timeout(patience, renew(&member, lease, backoff.failures() > 0)).await;
        match answer {
            Ok(Ok(())) => {
                renewed = asked;
                wake = asked + every;
                backoff.reset();
                member.state.send_if_modified(|state| {
                    std::mem::replace(state, SessionState::Held(lease)) != SessionState::Held(lease)
                });
            }
            Ok(Err(Error::LeaseGone)) => {
                tracing::warn!(key = member.key, "the node's lease has ended; registering again");
                member.state.send_replace(SessionState::Lost);
                lease = register_again(&member, &mut backoff).await;
                renewed = Instant::now();
                wake = renewed + every;
            }
            Ok(Err(_)) | Err(_) => {
                if asked - renewed >= member.ttl {
                    member.state.send_if_modified(|state| {
                        std::mem::replace(state, SessionState::Lost) != SessionState::Lost
                    });
                }
                wake = Instant::now() + backoff.next(rand::random());
                tracing::warn!(
                    key = member.key,
                    failures = backoff.failures(),
                    "the node's lease could not be renewed"
                );
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

async fn register_again(member: &Member, backoff: &mut Backoff) -> LeaseId {
    loop {
        match member.register().await {
            Ok(lease) => {
                backoff.reset();
                return lease;
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
