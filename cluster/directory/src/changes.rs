//! Which keys changed: for readers of the view who would rather look at what changed than at all of it.
//!
//! Changes are numbered, and the newest are kept. A reader who has seen the view at one number is told which keys changed up
//! to another, or to look at everything when that is not known any more.
//!
//! Invariant: who applies what he is told to what he has seen has what the view shows.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use stentor_ids::{NodeId, RoomId};

use crate::keys::Key;

/// Changes that are kept: four seconds of a thousand a second. A reader who is further behind looks at everything, which costs
/// him little more.
const KEPT: usize = 4096;

/// What changed since a reader last looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Anything may have: the view was read anew, or is current again, or the reader is far behind.
    All,
    /// These keys, and nothing else.
    Keys(ChangedKeys),
}

/// Keys whose values changed, came or went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedKeys {
    /// Nodes that changed.
    pub nodes: BTreeSet<NodeId>,
    /// Rooms whose record changed. A room that came or went came or went with its offices.
    pub records: BTreeSet<RoomId>,
    /// Rooms whose owner or mirror changed, or what is bid for the owner's office.
    pub offices: BTreeSet<RoomId>,
}

impl ChangedKeys {
    /// Whether nothing that the view knows of changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.records.is_empty() && self.offices.is_empty()
    }

    /// Rooms of which anything changed.
    #[must_use]
    pub fn rooms(&self) -> BTreeSet<&RoomId> {
        self.records.union(&self.offices).collect()
    }

    fn add(&mut self, key: Key) {
        match key {
            Key::Node(node) => drop(self.nodes.insert(node)),
            Key::Record(room) => drop(self.records.insert(room)),
            Key::Owner(room) | Key::Mirror(room) | Key::Bid(room, _) => drop(self.offices.insert(room)),
        }
    }
}

impl Changed {
    /// Adds what changed after this.
    pub fn and(&mut self, later: Self) {
        match (self, later) {
            (Self::All, _) => {}
            (all, Self::All) => *all = Self::All,
            (Self::Keys(keys), Self::Keys(later)) => {
                keys.nodes.extend(later.nodes);
                keys.records.extend(later.records);
                keys.offices.extend(later.offices);
            }
        }
    }
}

/// The newest changes. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// By number; several may have the same.
    changes: VecDeque<(u64, Key)>,
    /// What changed up to here is not known any more.
    forgotten: u64,
    kept: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Log {
    pub(crate) fn keeping(kept: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner { changes: VecDeque::new(), forgotten: 0, kept })))
    }

    /// Notes the change with this number, before the view shows it.
    pub(crate) fn note(&self, number: u64, key: Key) {
        let mut log = self.0.lock();
        log.changes.push_back((number, key));
        if log.changes.len() > log.kept
            && let Some((oldest, _)) = log.changes.pop_front()
        {
            log.forgotten = oldest;
        }
    }

    /// Notes that anything may change with this number.
    pub(crate) fn note_all(&self, number: u64) {
        let mut log = self.0.lock();
        log.changes.clear();
        log.forgotten = number;
    }

    /// What changed after `seen`, up to `shown`.
    pub(crate) fn between(&self, seen: u64, shown: u64) -> Changed {
        let log = self.0.lock();
        if seen < log.forgotten {
            return Changed::All;
        }
        let first = log.changes.partition_point(|(number, _)| *number <= seen);
        let mut keys = ChangedKeys::default();
        let changes = log.changes.range(first..).take_while(|(number, _)| *number <= shown);
        changes.for_each(|(_, key)| keys.add(key.clone()));
        Changed::Keys(keys)
    }
}
