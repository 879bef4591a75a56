//! One room on one node: what came from above (or was made here) and everyone below who follows it.
//!
//! A feed does not know where its frames come from nor where they go. Its [`FeedWriter`] puts things in; each reader
//! follows with a [`Cursor`] at its own pace. A reader that lags skips forward; it never holds up a writer or another
//! reader.
//!
//! Invariants: `EpochFence` and one copy of a (slot, lineage), by the ring; a reader is given each event once; nothing
//! grows with how slow a reader is. The lock is held for copies of small things and never across a wait.

mod children;
mod cursor;
mod kid;
mod stage;
mod told;
mod writer;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use stentor_ids::{Epoch, Fault, Lineage, ParticipantId, RoomId, Slot};
use stentor_pace::Time;
use stentor_proto::v1;
use stentor_relay::{Bans, Count, Counts, Frame, Log, RING_SLOTS, Ring, Stuck};
use tokio::sync::watch;

pub(crate) use children::{Child, Taken};
pub use cursor::{Cursor, Item};
use kid::Kid;
pub use kid::Reported;
use stage::Stage;
pub use stage::{MAX_SEATS, Place};
use told::Levels;
pub use told::{bans_to_wire, fill};
pub use writer::FeedWriter;

/// Frames that a reader may lag behind: two lineages of as many slots as the ring holds. Beyond it the reader skips.
const FRAMES: usize = 2 * RING_SLOTS;
/// Events that a reader may lag behind, or miss while it reconnects. Moderation is human; beyond it the oldest go, and
/// the room's status still tells how the stage ended up.
const EVENTS: usize = 256;
/// The serial of an event, and of a word on a ban, is the epoch times this, plus its number under that epoch.
const EVENTS_PER_EPOCH: u64 = 1 << 32;

/// What an owner numbers is above this.
const fn first_serial(epoch: Epoch) -> u64 {
    epoch.0.saturating_mul(EVENTS_PER_EPOCH)
}

/// One room's audio and state on this node, for reading. Clones share it; only its [`FeedWriter`] changes what it
/// tells.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    room: RoomId,
    state: Mutex<State>,
    /// Told after each change of the state.
    changed: watch::Sender<()>,
}

struct State {
    ring: Ring,
    frames: Log<Frame>,
    events: Log<v1::ParticipantEvent>,
    /// Serial of the newest event.
    serial: u64,
    /// What readers see the latest of, each with a number that grows with every change.
    status: (u64, Option<Arc<v1::RoomStatus>>),
    levels: (u64, Levels),
    fence: (u64, Option<(Epoch, Slot)>),
    stage: (u64, Option<Arc<Stage>>),
    bans: Bans,
    closed: Option<Closed>,
    counts: Counts,
    /// Number of the last child.
    last_child: u64,
    children: BTreeMap<u64, Kid>,
    cursors: usize,
    /// When the last cursor went, or the feed was made.
    idle_since: Time,
}

/// Why a feed is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The room has ended; all of its frames came before this.
    Ended,
    /// This node does not have the room any more; ask again.
    Moved,
    /// The room cannot be had.
    Fault(Fault),
}

impl Feed {
    /// The room.
    #[must_use]
    pub fn room(&self) -> &RoomId {
        &self.0.room
    }

    /// The room as last told, without what changes all the time.
    #[must_use]
    pub fn status(&self) -> Option<Arc<v1::RoomStatus>> {
        self.0.state.lock().status.1.clone()
    }

    /// Which of the rooms of its name it is, as last told; 0 while that is not known.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.0.state.lock().status.1.as_ref().map_or(0, |status| status.incarnation)
    }

    /// Whether it is known to be another room than this one of its name.
    pub(crate) fn is_other(&self, incarnation: u64) -> bool {
        differ(self.incarnation(), incarnation)
    }

    /// The room as it is now: as last told, with the newest count and levels. For people; it is a copy.
    #[must_use]
    pub fn current(&self) -> Option<v1::RoomStatus> {
        let state = self.0.state.lock();
        let (status, levels) = (state.status.1.clone()?, state.levels.1.clone());
        drop(state);
        let mut status = v1::RoomStatus::clone(&status);
        if let Some(levels) = levels {
            fill(&mut status, &levels);
        }
        Some(status)
    }

    /// Whether a participant may not hear the room.
    #[must_use]
    pub fn is_banned(&self, participant: &ParticipantId) -> bool {
        self.0.state.lock().bans.is_banned(participant)
    }

    /// Where a participant is, as the newest stage says that is known here.
    #[must_use]
    pub fn place_of(&self, participant: &ParticipantId) -> Place {
        let stage = self.0.state.lock().stage.1.clone();
        stage.map_or(Place::Unknown, |stage| stage.place_of(participant))
    }

    /// Serial of the newest event; zero if there was none.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.0.state.lock().serial
    }

    /// Why the feed is over, if it is.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.0.state.lock().closed.clone()
    }

    /// The highest slot that was put in.
    #[must_use]
    pub fn highest(&self) -> Option<Slot> {
        self.0.state.lock().ring.highest()
    }

    /// The highest epoch known here; zero if none is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.0.state.lock().ring.epoch()
    }

    /// The highest lineage that was put in; zero if none was.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        self.0.state.lock().ring.lineage()
    }

    /// The highest slot, epoch and lineage that the children which are there said they had seen when they subscribed.
    #[must_use]
    pub fn reported(&self) -> Option<Reported> {
        self.0.state.lock().children.values().map(|child| child.reported).reduce(Reported::max)
    }

    /// Listeners below this node and at it.
    #[must_use]
    pub fn counts(&self) -> v1::ListenerCount {
        count_to_wire(self.0.state.lock().counts.sum(stentor_clock::now()))
    }

    /// How many listen below this node and at it, and how many children say so, by reports that came within this time.
    #[must_use]
    pub fn reached(&self, within: Duration) -> (u64, u32) {
        self.0.state.lock().counts.reached(stentor_clock::now(), within)
    }

    /// Who is stuck below this node or at it, on the highest lineage that can be.
    #[must_use]
    pub fn stuck(&self) -> Option<Stuck> {
        self.0.state.lock().stuck(stentor_clock::now())
    }

    /// What is told to parents: how many listen, and who is stuck.
    pub(crate) fn report(&self) -> v1::CountReport {
        let now = stentor_clock::now();
        let state = self.0.state.lock();
        let (count, stuck) = (count_to_wire(state.counts.sum(now)), state.stuck(now).unwrap_or_default());
        let stuck_ms = u32::try_from(stuck.stood.as_millis()).unwrap_or(u32::MAX);
        v1::CountReport { count: Some(count), lineage: stuck.lineage.0, stuck_ms }
    }

    /// Whether the two are one feed.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many follow.
    #[must_use]
    pub fn cursors(&self) -> usize {
        self.0.state.lock().cursors
    }

    /// Since when nobody follows; `None` while someone does.
    pub(crate) fn idle_since(&self) -> Option<Time> {
        let state = self.0.state.lock();
        (state.cursors == 0).then_some(state.idle_since)
    }

    /// Someone is about to follow.
    pub(crate) fn touch(&self) {
        self.0.state.lock().idle_since = stentor_clock::now();
    }

    fn wake(&self) {
        self.0.changed.send_replace(());
    }
}

impl State {
    fn stuck(&self, now: Time) -> Option<Stuck> {
        self.counts.stuck(now, self.ring.lineage().max(Lineage::of(self.ring.epoch())))
    }

    /// The epoch that the room's status tells.
    fn told_epoch(&self) -> Epoch {
        Epoch(self.status.1.as_ref().map_or(0, |status| status.epoch))
    }

    /// Whether an event of this serial came, or is older than all that are held of a full log.
    fn has_event(&self, serial: u64) -> bool {
        let full = self.events.len() == EVENTS;
        let oldest = self.events.first(|event| event.serial > serial);
        let held = self.events.first(|event| event.serial == serial) != self.events.end();
        held || (full && oldest == self.events.end() - EVENTS as u64)
    }
}

/// Whether two rooms of one name are known to be two.
pub(crate) const fn differ(one: u64, other: u64) -> bool {
    one != 0 && other != 0 && one != other
}

pub(crate) fn count_to_wire(count: Count) -> v1::ListenerCount {
    v1::ListenerCount {
        listeners: count.listeners,
        age_ms: u32::try_from(count.age.as_millis()).unwrap_or(u32::MAX),
        edges_reporting: count.reporting,
        edges_known: count.known,
        slots_filled: count.filled,
    }
}
