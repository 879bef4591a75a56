//! The one trait behind which the directory keeps its keys: a small key-value store with revisions, leases,
//! transactions and watches.
//!
//! A store knows nothing of nodes and rooms. Its rules, which the conformance suite holds for each implementation:
//! - Every transaction that changes something raises the one revision counter by one; a key's revision is that of its
//!   last change.
//! - A transaction is all or nothing, and linearizable with every other and with [`Store::read`].
//! - A key on a lease goes when the lease does, in one revision with all the keys of that lease.
//! - A watch gives every change after its starting point once, in the order of revisions, or says that it cannot.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use stentor_ids::Revision;

use crate::{Error, keys::Range};

/// Number of a lease. Never used again for another lease.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(pub(crate) i64);

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease:{:x}", self.0)
    }
}

/// A key as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Bytes,
    /// Of the last change of the key.
    pub(crate) revision: Revision,
    pub(crate) lease: Option<LeaseId>,
}

impl Entry {
    /// Whether this is what a try, whose answer was lost, would have written.
    pub(crate) fn written_as(&self, value: &Bytes, lease: LeaseId) -> bool {
        self.value == *value && self.lease == Some(lease)
    }
}

/// Some keys as they stood together at one revision.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) revision: Revision,
    /// In the order of their keys.
    pub(crate) entries: Vec<Entry>,
}

impl Snapshot {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// What must hold for a transaction to take effect.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    Absent(String),
    Unchanged(String, Revision),
    /// The key holds this value. Beside a revision it tells a key from another one of that revision in a directory that
    /// lost its data and started over.
    Holds(String, Bytes),
}

/// What a transaction does when its checks hold. No transaction names a key twice.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put { key: String, value: Bytes, lease: Option<LeaseId> },
    Delete(String),
}

impl Op {
    pub(crate) fn put(key: String, value: Bytes) -> Self {
        Self::Put { key, value, lease: None }
    }

    pub(crate) fn put_leased(key: String, value: Bytes, lease: LeaseId) -> Self {
        Self::Put { key, value, lease: Some(lease) }
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It took effect, as this revision.
    Applied(Revision),
    /// A check did not hold; nothing changed.
    Refused,
}

/// One key's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) revision: Revision,
    pub(crate) change: Change,
}

impl Event {
    /// The key that changed.
    pub(crate) fn key(&self) -> &str {
        match &self.change {
            Change::Put(entry) => &entry.key,
            Change::Delete(key) => key,
        }
    }

    /// The key's new value; nothing if it was deleted.
    pub(crate) fn value(&self) -> &[u8] {
        match &self.change {
            Change::Put(entry) => &entry.value,
            Change::Delete(_) => &[],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Put(Entry),
    Delete(String),
}

/// Where a watch starts.
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    /// Everything up to here is known.
    pub(crate) after: Revision,
    /// An event of revision `after`, if one was seen. A store that can lose its history and start over compares it with
    /// what it finds there.
    pub(crate) witness: Option<Event>,
}

/// Why a watch ended.
#[derive(Debug)]
pub(crate) enum Interrupted {
    /// The store no longer has the events from the starting point on: list again.
    HistoryGone(&'static str),
    /// The store has another history than it had: list again.
    HistoryReplaced(&'static str),
    /// The connection broke or fell silent: start again after the last event seen.
    Broken(Error),
}

/// A running watch of a range of the keys.
#[async_trait]
pub(crate) trait Watch: Send {
    /// The next changes, at least one, in the order of revisions; of a revision all that is in the range. Cancel-safe.
    async fn next(&mut self) -> Result<Vec<Event>, Interrupted>;
}

/// See the module's text. Every method gives up within a bounded time with [`Error::Unavailable`]; a transaction that
/// ends so may or may not have taken effect, now or a little later.
#[async_trait]
pub(crate) trait Store: Send + Sync + 'static {
    /// All keys of a range.
    async fn read(&self, range: &Range) -> Result<Snapshot, Error>;

    /// Does all of `then` if all of `checks` hold. [`Error::LeaseGone`] if a put names a lease that has ended.
    async fn transact(&self, checks: Vec<Check>, then: Vec<Op>) -> Result<Outcome, Error>;

    /// A new lease that ends unless renewed within `ttl`. A store may round the time up to whole seconds.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Error>;

    /// Starts the lease's time anew. [`Error::LeaseGone`] if it has ended.
    async fn renew(&self, lease: LeaseId) -> Result<(), Error>;

    /// How long the lease has to live, rounded down to what the store can tell; `None` if it has ended.
    async fn remaining(&self, lease: LeaseId) -> Result<Option<Duration>, Error>;

    /// Ends the lease now; no error if it has ended already.
    async fn revoke(&self, lease: LeaseId) -> Result<(), Error>;

    /// Follows all changes of a range after a starting point.
    async fn watch(&self, range: &Range, from: Resume) -> Result<Box<dyn Watch>, Interrupted>;
}
