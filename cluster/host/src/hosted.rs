//! What of a room outlives a restart of its actor, and a change of what this node is to it: the feed that children follow,
//! the speakers and the edges that bring them, and what a new actor starts from. The actor and the media loop write it, links
//! and calls read it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use stentor_admission::Class;
use stentor_directory::{MirrorKey, Owner, Ownership};
use stentor_ids::{Epoch, Lineage, NodeId, ParticipantId, RoomId, Slot};
use stentor_link::{Closed, FeedWriter, uplink::ToEdge};
use stentor_pace::{Time, WallTime};
use stentor_relay::Side;
use stentor_room::{Actor, Record};

use crate::{mirror::MixLog, peer::Peer, permits::Permits, speakers::Speakers};

/// A room that this node owns or mirrors.
pub(crate) struct Hosted {
    pub(crate) id: RoomId,
    pub(crate) feed: FeedWriter,
    pub(crate) speakers: Speakers<Edge>,
    pub(crate) edges: Edges,
    pub(crate) mix_log: MixLog,
    /// The room's other origin, as far as it is heard.
    pub(crate) peer: Peer,
    /// One for each command under way.
    pub(crate) permits: Permits,
    /// Levels of who is heard, in dBov.
    pub(crate) levels: Mutex<BTreeMap<ParticipantId, i8>>,
    /// The highest slot that was emitted or passed on here, and when.
    line: Mutex<Option<(Slot, Time)>>,
    /// Whether the media loop mixes.
    leads: AtomicBool,
    /// What the owner told last of the room has this number.
    serial: AtomicU64,
    /// Somebody asked for a new status and the actor has not come to it yet.
    stale: AtomicBool,
    kept: Mutex<Kept>,
}

/// What an actor starts from.
#[derive(Clone)]
pub(crate) struct Kept {
    /// The room as it was last told.
    pub(crate) record: Record,
    pub(crate) seat: Seat,
    /// When this node took the room over from a failed owner.
    pub(crate) taken_over: Option<WallTime>,
    /// Whether the room is restarted: what was told may not have been committed.
    pub(crate) restarted: bool,
}

/// What this node is to a room.
#[derive(Clone)]
pub(crate) enum Seat {
    Owner(Ownership),
    Mirror {
        key: MirrorKey,
        /// Whom it mirrors.
        owner: Owner,
    },
}

impl Seat {
    /// The epoch under which this node works for the room.
    pub(crate) const fn epoch(&self) -> Epoch {
        match self {
            Self::Owner(ownership) => ownership.epoch(),
            Self::Mirror { owner, .. } => owner.epoch,
        }
    }

    /// Which lineages this node may begin.
    pub(crate) const fn side(&self) -> Side {
        match self {
            Self::Owner(_) => Side::Owner,
            Self::Mirror { .. } => Side::Mirror,
        }
    }

    /// The node that owns the room.
    pub(crate) fn owner(&self) -> &Owner {
        match self {
            Self::Owner(ownership) => ownership.owner(),
            Self::Mirror { owner, .. } => owner,
        }
    }
}

impl Hosted {
    pub(crate) fn new(id: RoomId, record: Record, seat: Seat) -> Self {
        Self {
            feed: FeedWriter::new(id.clone()),
            id,
            speakers: Speakers::new(),
            edges: Edges::default(),
            mix_log: MixLog::new(),
            peer: Peer::default(),
            permits: Permits::new(),
            levels: Mutex::default(),
            line: Mutex::default(),
            leads: AtomicBool::new(false),
            serial: AtomicU64::new(0),
            stale: AtomicBool::new(false),
            kept: Mutex::new(Kept { record, seat, taken_over: None, restarted: false }),
        }
    }

    pub(crate) fn kept(&self) -> Kept {
        self.kept.lock().clone()
    }

    /// The class of who gives a command, by the role that it has in the room.
    pub(crate) fn class_of(&self, by: &Actor) -> Class {
        self.kept.lock().record.role_of(by).map_or(Class::Crowd, Class::of)
    }

    pub(crate) fn keep(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept.lock());
    }

    pub(crate) fn seat(&self) -> Seat {
        self.kept.lock().seat.clone()
    }

    /// The right to commit, if this node owns the room.
    pub(crate) fn ownership(&self) -> Option<Ownership> {
        match &self.kept.lock().seat {
            Seat::Owner(ownership) => Some(ownership.clone()),
            Seat::Mirror { .. } => None,
        }
    }

    pub(crate) fn is_owned(&self) -> bool {
        matches!(self.kept.lock().seat, Seat::Owner(_))
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.kept.lock().seat.epoch()
    }

    /// The lineage under which audio that starts here now is emitted.
    pub(crate) fn next_lineage(&self) -> Lineage {
        let (seat, seen) = (self.seat(), self.feed.lineage());
        let first = Lineage::of(seat.epoch());
        if seen < first { first } else { seat.side().after(seen) }
    }

    /// The highest slot that was emitted or passed on here.
    pub(crate) fn newest(&self) -> Option<Slot> {
        self.line.lock().map(|(slot, _)| slot)
    }

    /// The slot that comes next on the room's grid and when it is due, as the slots that were here tell: whoever goes on
    /// from them asks no clock that may have been set meanwhile, or counts from another moment.
    pub(crate) fn under_way(&self, now: Time) -> Option<(Slot, Time)> {
        let (last, at) = (*self.line.lock())?;
        let next = Slot::at(now.since(at)).next();
        Some((last.plus(next.0), at + next.offset()))
    }

    /// A slot was emitted or passed on.
    pub(crate) fn passed(&self, now: Time, slot: Slot) {
        let mut line = self.line.lock();
        if line.is_none_or(|(last, _)| slot > last) {
            *line = Some((slot, now));
        }
    }

    /// The number of what the owner tells next.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Relaxed) + 1
    }

    /// Whether this origin mixes; else it passes on what the other one mixes.
    pub(crate) fn leads(&self) -> bool {
        self.leads.load(Relaxed)
    }

    pub(crate) fn set_leads(&self, leads: bool) {
        self.leads.store(leads, Relaxed);
    }

    /// The room is not here any more: followers are told why, edges and speakers are let go.
    pub(crate) fn close(&self, closed: Closed) {
        self.feed.close(closed);
        self.mix_log.close();
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

    /// Tells every edge which node mirrors the room.
    pub(crate) fn mirror_changed(&self, mirror: &Option<NodeId>) {
        self.each(|edge| edge.mirror_changed(mirror));
    }

    /// Tells every edge that the room has ended.
    pub(crate) fn ended(&self) {
        self.each(ToEdge::ended);
    }

    /// Forgets every stream: nothing more is told by them.
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
