//! What of a room outlives a restart of its actor, and a change of what this node is to it: the feed that children follow,
//! the speakers and the edges that bring them, and what the actor publishes. Links and calls reach all of it without the actor.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use stentor_admission::Class;
use stentor_ids::{Epoch, Lineage, ParticipantId, RoomId, Slot};
use stentor_link::{Closed, FeedWriter};
use stentor_ownership::OwnerKey;
use stentor_pace::Time;
use stentor_relay::{Line, Side};
use stentor_room::Actor;

use crate::{
    driver::Standing,
    edges::{Edge, Edges},
    mix_log::MixLog,
    peer::Peer,
    permits::Permits,
    published::{Published, Reader},
    speakers::Speakers,
    status::{Staged, stage_to_wire},
};

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
    line: Mutex<Line>,
    /// Whether the media loop mixes.
    leads: AtomicBool,
    /// What the owner told last of the room has this number.
    serial: AtomicU64,
    /// Somebody asked for a new status and the actor has not come to it yet.
    stale: AtomicBool,
    published: Reader,
}

impl Hosted {
    pub(crate) fn new(id: RoomId, published: Reader) -> Self {
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
            published,
        }
    }

    /// What the room's actor says of it.
    pub(crate) fn published(&self) -> Published {
        self.published.read(Published::clone)
    }

    /// The class of who gives a command, by the role that it has in the room.
    pub(crate) fn class_of(&self, by: &Actor) -> Class {
        self.published.read(|published| published.record.role_of(by).map_or(Class::Crowd, Class::of))
    }

    pub(crate) fn standing(&self) -> Standing {
        self.published.read(|published| published.standing.clone())
    }

    /// The key of the room's owner, this node's own or that of the owner that it mirrors.
    pub(crate) fn owner(&self) -> OwnerKey {
        self.published.read(|published| published.standing.owner().clone())
    }

    /// Whether this node owns the room; also while it gives way to a successor.
    pub(crate) fn is_owned(&self) -> bool {
        self.published.read(|published| published.standing.is_owner())
    }

    /// The epoch under which this node works for the room.
    pub(crate) fn epoch(&self) -> Epoch {
        self.published.read(|published| published.standing.owner().epoch)
    }

    /// Which lineages this node may begin.
    pub(crate) fn side(&self) -> Side {
        if self.is_owned() { Side::Owner } else { Side::Mirror }
    }

    /// The lineage under which audio that starts here now is emitted.
    pub(crate) fn next_lineage(&self) -> Lineage {
        let (first, seen) = (Lineage::of(self.epoch()), self.feed.lineage());
        if seen < first { first } else { self.side().after(seen) }
    }

    /// The highest slot that was emitted or passed on here.
    pub(crate) fn newest(&self) -> Option<Slot> {
        self.line.lock().newest()
    }

    /// The slot that comes next on the room's grid and when it is due, as the slots that were here tell: whoever goes on
    /// from them asks no clock that may have been set meanwhile, or counts from another moment.
    pub(crate) fn under_way(&self, now: Time) -> Option<(Slot, Time)> {
        self.line.lock().under_way(now)
    }

    /// A slot was emitted or passed on.
    pub(crate) fn passed(&self, now: Time, slot: Slot) {
        self.line.lock().passed(now, slot);
    }

    /// Tells everyone below who may speak, unless they know something newer.
    pub(crate) fn tell_stage(&self, staged: &Staged) {
        if let Err(fault) = self.feed.take_stage(&stage_to_wire(staged)) {
            tracing::warn!(room = %self.id, %fault, "a stage is not told");
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
