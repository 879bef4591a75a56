//! The directory of one process: a map in memory with revisions, leases and a bounded history.
//!
//! With a data folder, the keys that hang on no lease are files there and survive a restart; what hangs on a lease dies
//! with the process, as the process was what it stood for. Leases run by tokio's clock, so that a test with paused time is
//! deterministic.
//!
//! Invariant: what a caller was told has happened is on disk first.

mod disk;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::{Mutex, watch},
    time::{Instant, sleep_until},
};

use self::disk::Disk;
use crate::{
    Error, LeaseId, Revision,
    keys::Range,
    store::{Change, Check, Entry, Event, Interrupted, Op, Outcome, Resume, Snapshot, Store, Watch},
};

/// Changes that are kept for watchers. A watcher that is further behind than that lists again, which costs it less than
/// reading so many changes.
const HISTORY: usize = 4096;

pub(crate) struct Embedded {
    shared: Arc<Shared>,
    /// The runtime it was made on.
    home: Option<Handle>,
}

struct Shared {
    state: Mutex<State>,
    /// The revision up to which the history is complete; wakes the watchers.
    news: watch::Sender<Revision>,
    disk: Option<Arc<Disk>>,
}

#[derive(Default)]
struct State {
    revision: Revision,
    keys: BTreeMap<String, Entry>,
    leases: HashMap<LeaseId, Lease>,
    granted: i64,
    history: VecDeque<Event>,
    /// All changes after this revision are in the history.
    history_after: Revision,
}

struct Lease {
    ttl: Duration,
    ends: Instant,
}

impl Embedded {
    pub(crate) fn in_memory() -> Self {
        Self::with(State::default(), None)
    }

    pub(crate) fn at(folder: &Path) -> Result<Self, Error> {
        let (disk, entries) = Disk::open(folder)?;
        let revision = entries.iter().map(|entry| entry.revision).max().unwrap_or_default();
        let keys = entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        Ok(Self::with(
            State { revision, keys, history_after: revision, ..State::default() },
            Some(Arc::new(disk)),
        ))
    }

    fn with(state: State, disk: Option<Arc<Disk>>) -> Self {
        let (news, _) = watch::channel(state.revision);
        let home = Handle::try_current().ok();
        Self { shared: Arc::new(Shared { state: Mutex::new(state), news, disk }), home }
    }
}

impl State {
    fn holds(&self, check: &Check) -> bool {
        match check {
            Check::Absent(key) => !self.keys.contains_key(key),
            Check::Unchanged(key, revision) => {
                self.keys.get(key).is_some_and(|entry| entry.revision == *revision)
            }
            Check::Holds(key, value) => self.keys.get(key).is_some_and(|entry| entry.value == *value),
        }
    }

    /// What `ops` change, as of the next revision.
    fn changes(&self, ops: Vec<Op>) -> Result<Vec<Event>, Error> {
        let revision = Revision(self.revision.0 + 1);
        let mut events = Vec::with_capacity(ops.len());
        for op in ops {
            let change = match op {
                Op::Put { lease: Some(lease), .. } if !self.leases.contains_key(&lease) => {
                    return Err(Error::LeaseGone);
                }
                Op::Put { key, value, lease } => {
                    // A copy of its own: a value that shares a request's memory would keep that alive.
                    let value = Bytes::copy_from_slice(&value);
                    Change::Put(Entry { key, value, revision, lease })
                }
                Op::Delete(key) if self.keys.contains_key(&key) => Change::Delete(key),
                Op::Delete(_) => continue,
            };
            events.push(Event { revision, change });
        }
        Ok(events)
    }

    fn apply(&mut self, events: Vec<Event>) {
        for event in events {
            self.revision = event.revision;
            match &event.change {
                Change::Put(entry) => drop(self.keys.insert(entry.key.clone(), entry.clone())),
                Change::Delete(key) => drop(self.keys.remove(key)),
            }
            self.history.push_back(event);
        }
        while self.history.len() > HISTORY {
            if let Some(forgotten) = self.history.pop_front() {
                self.history_after = forgotten.revision;
            }
        }
    }

    /// Ends a lease, and its keys with it.
    fn end(&mut self, lease: LeaseId) {
        if self.leases.remove(&lease).is_none() {
            return;
        }
        let of_lease = self.keys.values().filter(|entry| entry.lease == Some(lease));
        let deletes = of_lease.map(|entry| Op::Delete(entry.key.clone())).collect();
        let events = self.changes(deletes).unwrap_or_default();
        self.apply(events);
    }
}

impl Shared {
    async fn transact(&self, checks: &[Check], then: Vec<Op>) -> Result<Outcome, Error> {
        let mut state = self.state.lock().await;
        if !checks.iter().all(|check| state.holds(check)) {
            return Ok(Outcome::Refused);
        }
        let events = state.changes(then)?;
        if let Some(disk) = &self.disk {
            let (disk, events) = (disk.clone(), events.clone());
            let written = tokio::task::spawn_blocking(move || disk.write(&events)).await;
            written.map_err(|error| Error::Unavailable {
                directory: "the embedded directory".to_owned(),
                reason: error.to_string(),
            })??;
        }
        state.apply(events);
        self.news.send_replace(state.revision);
        Ok(Outcome::Applied(state.revision))
    }

    async fn end_when_due(self: Arc<Self>, lease: LeaseId, mut due: Instant) {
        let shared = Arc::downgrade(&self);
        drop(self);
        loop {
            sleep_until(due).await;
            let Some(shared) = shared.upgrade() else { return };
            let mut state = shared.state.lock().await;
            match state.leases.get(&lease) {
                None => return,
                Some(running) if running.ends > Instant::now() => due = running.ends,
                Some(_) => {
                    state.end(lease);
                    shared.news.send_replace(state.revision);
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl Store for Embedded {
    async fn read(&self, range: &Range) -> Result<Snapshot, Error> {
        let state = self.shared.state.lock().await;
        let found = state.keys.range(range.from.clone()..range.to.clone());
        let entries = found.map(|(_, entry)| entry.clone()).collect();
        Ok(Snapshot { revision: state.revision, entries })
    }

    async fn transact(&self, checks: Vec<Check>, then: Vec<Op>) -> Result<Outcome, Error> {
        if self.shared.disk.is_none() {
            return self.shared.transact(&checks, then).await;
        }
        // In a task of its own, so that a caller who stops waiting does not leave the files ahead of the memory.
        let shared = self.shared.clone();
        let task = tokio::spawn(async move { shared.transact(&checks, then).await });
        task.await.map_err(|error| Error::Unavailable {
            directory: "the embedded directory".to_owned(),
            reason: error.to_string(),
        })?
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Error> {
        let mut state = self.shared.state.lock().await;
        state.granted += 1;
        let (lease, ends) = (LeaseId(state.granted), Instant::now() + ttl);
        state.leases.insert(lease, Lease { ttl, ends });
        let due = self.shared.clone().end_when_due(lease, ends);
        // Not where it was asked for: a node with a runtime of its own may be gone with it, and its lease has to end.
        match &self.home {
            Some(home) => drop(home.spawn(due)),
            None => drop(tokio::spawn(due)),
        }
        Ok(lease)
    }

    async fn renew(&self, lease: LeaseId) -> Result<(), Error> {
        let mut state = self.shared.state.lock().await;
        let running = state.leases.get_mut(&lease).ok_or(Error::LeaseGone)?;
        running.ends = Instant::now() + running.ttl;
        Ok(())
    }

    async fn remaining(&self, lease: LeaseId) -> Result<Option<Duration>, Error> {
        let state = self.shared.state.lock().await;
        Ok(state.leases.get(&lease).map(|running| running.ends.saturating_duration_since(Instant::now())))
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), Error> {
        let mut state = self.shared.state.lock().await;
        state.end(lease);
        self.shared.news.send_replace(state.revision);
        Ok(())
    }

    async fn watch(&self, range: &Range, from: Resume) -> Result<Box<dyn Watch>, Interrupted> {
        let news = self.shared.news.subscribe();
        let (shared, range) = (self.shared.clone(), range.clone());
        Ok(Box::new(EmbeddedWatch { shared, news, range, after: from.after }))
    }
}

/// Reads on in the shared history, so that a slow watcher costs no queue.
struct EmbeddedWatch {
    shared: Arc<Shared>,
    news: watch::Receiver<Revision>,
    range: Range,
    after: Revision,
}

#[async_trait]
impl Watch for EmbeddedWatch {
    async fn next(&mut self) -> Result<Vec<Event>, Interrupted> {
        loop {
            let after = self.after;
            if self.news.wait_for(|revision| *revision > after).await.is_err() {
                return Err(Interrupted::HistoryGone("the embedded directory has ended"));
            }
            let state = self.shared.state.lock().await;
            if after < state.history_after {
                return Err(Interrupted::HistoryGone("the watch fell behind the history that is kept"));
            }
            let first = state.history.partition_point(|event| event.revision <= after);
            self.after = state.revision;
            let events = state.history.range(first..).filter(|event| self.range.contains(event.key()));
            let events: Vec<_> = events.cloned().collect();
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}
