//! What of an owned room outlives a restart of its actor: the feed that children follow, the speakers and the edges that
//! bring them, and what a new actor starts from. The actor writes it, links and calls read it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use stentor_directory::Ownership;
use stentor_ids::{Epoch, Lineage, NodeId, ParticipantId, RoomId, Slot};
use stentor_link::{Closed, Feed, uplink::ToEdge};
use stentor_room::Record;
use tokio::sync::Semaphore;

use crate::{mirror::MixLog, speakers::Speakers};

/// Commands of one room under way at once, speakers that come in counted. A full stage and its moderators fit; one more
/// is refused, as its answer would take seconds.
pub(crate) const MAX_COMMANDS: usize = 128;

/// A lineage is the epoch in the upper bits and a count of restarts in the lower ones, so that it rises over all owners
/// without any of them asking another, and leaves room for lineages that start within an epoch (a mirror's take-over is
/// the primary's lineage + 1).
const LINEAGE_BITS: u32 = 16;

/// A room that this node owns.
pub(crate) struct Hosted {
    pub(crate) id: RoomId,
    pub(crate) feed: Feed,
    pub(crate) speakers: Speakers<Edge>,
    pub(crate) edges: Edges,
    pub(crate) mix_log: MixLog,
    /// One permit for each command under way.
    pub(crate) commands: Arc<Semaphore>,
    /// Levels of who is heard, in dBov.
    pub(crate) levels: Mutex<BTreeMap<ParticipantId, i8>>,
    /// The next slot to emit, as the media loop sees it.
    next: AtomicU64,
    /// Somebody asked for a new status and the actor has not come to it yet.
    stale: AtomicBool,
    kept: Mutex<Kept>,
}

/// What an actor starts from.
#[derive(Clone)]
pub(crate) struct Kept {
    /// The room as it was last told.
    pub(crate) record: Record,
    pub(crate) ownership: Ownership,
    /// How often the room was restarted under this ownership.
    pub(crate) restarts: u16,
}

impl Kept {
    /// The lineage of the audio that starts now.
    pub(crate) const fn lineage(&self) -> Lineage {
        Lineage(self.ownership.epoch().0 << LINEAGE_BITS | self.restarts as u64)
    }
}

impl Hosted {
    pub(crate) fn new(record: Record, ownership: Ownership) -> Self {
        let id = ownership.room().clone();
        Self {
            feed: Feed::new(id.clone()),
            id,
            speakers: Speakers::new(),
            edges: Edges::default(),
            mix_log: MixLog::new(),
            commands: Arc::new(Semaphore::new(MAX_COMMANDS)),
            levels: Mutex::default(),
            next: AtomicU64::new(0),
            stale: AtomicBool::new(false),
            kept: Mutex::new(Kept { record, ownership, restarts: 0 }),
        }
    }

    pub(crate) fn kept(&self) -> Kept {
        self.kept.lock().clone()
    }

    pub(crate) fn ownership(&self) -> Ownership {
        self.kept.lock().ownership.clone()
    }

    /// The lineage that the room is emitted under, or is about to be.
    pub(crate) fn lineage(&self) -> Lineage {
        self.feed.lineage().max(self.kept.lock().lineage())
    }

    pub(crate) fn keep(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept.lock());
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.kept.lock().ownership.epoch()
    }

    /// The slot that was emitted last.
    pub(crate) fn newest(&self) -> Option<Slot> {
        self.next.load(Relaxed).checked_sub(1).map(Slot)
    }

    pub(crate) fn emitted(&self, slot: Slot) {
        self.next.store(slot.next().0, Relaxed);
    }

    /// The room is not here any more: followers are told why, edges and speakers are let go.
    pub(crate) fn close(&self, closed: Closed) {
        self.feed.close(closed);
        self.edges.clear();
        self.speakers.retain(|_| false);
    }

    /// Whether the caller is the one to ask the actor for a new status: of many changes in a row only the first.
    pub(crate) fn become_stale(&self) -> bool {
        !self.stale.swap(true, Relaxed)
    }

    pub(crate) fn become_fresh(&self) {
        self.stale.store(false, Relaxed);
    }
}

/// The way back to an edge, by one of its streams.
#[derive(Clone)]
pub(crate) struct Edge {
    key: u64,
    way: ToEdge,
}

impl Edge {
    /// Whether both are the same stream.
    pub(crate) const fn is(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl std::ops::Deref for Edge {
    type Target = ToEdge;
    fn deref(&self) -> &ToEdge {
        &self.way
    }
}

/// The edges that bring speakers, one for each of their streams.
#[derive(Default)]
pub(crate) struct Edges(Mutex<Streams>);

#[derive(Default)]
struct Streams {
    next: u64,
    edges: BTreeMap<u64, ToEdge>,
}

impl Edges {
    /// An edge's stream began.
    pub(crate) fn add(&self, way: ToEdge) -> Edge {
        let mut streams = self.0.lock();
        let key = streams.next;
        streams.next += 1;
        streams.edges.insert(key, way.clone());
        Edge { key, way }
    }

    pub(crate) fn remove(&self, edge: &Edge) {
        self.0.lock().edges.remove(&edge.key);
    }

    /// Tells every edge where the room is now.
    pub(crate) fn moved(&self, node: &NodeId, epoch: Epoch) {
        self.each(|edge| edge.moved(node, epoch));
    }

    /// Tells every edge that the room is not here any more, where nobody knows yet where it will be: an edge that is sent to
    /// this node again is refused there, and looks for the owner until there is one.
    pub(crate) fn look_elsewhere(&self, me: &NodeId, epoch: Epoch) {
        self.moved(me, epoch);
    }

    /// Tells every edge that the room has ended.
    pub(crate) fn ended(&self) {
        self.each(ToEdge::ended);
    }

    /// Ends every stream.
    pub(crate) fn clear(&self) {
        self.0.lock().edges.clear();
    }

    fn each(&self, tell: impl Fn(&ToEdge) -> bool) {
        for edge in self.0.lock().edges.values() {
            // An edge that does not take it has a full queue or is gone; its stream ends soon, and it asks anew.
            tell(edge);
        }
    }
}
