//! A room as this edge plays it, and its audience.

use std::sync::Arc;

use parking_lot::Mutex;
use stentor_admission::Claims;
use stentor_ids::{Code, Fault, ParticipantId, RoomId};
use stentor_link::{Closed, Cursor, Feed};
use stentor_proto::v1;
use stentor_relay::Output;
use tokio::sync::{broadcast, watch};

use crate::count::{Count, Held};

/// What a listener that is a task may fall behind: 5 s of slots. Beyond it it is skipped forward.
const BACKLOG: usize = 256;

/// What someone in a room is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// To hear it: counted as a listener.
    Listener,
    /// To learn what happens to it.
    Watcher,
}

/// What is heard of a room, in order.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    /// The next slot, or that nobody had it.
    Output(Output),
    /// Something happened to a participant.
    Event(Arc<v1::ParticipantEvent>),
    /// Nothing follows.
    Closed(Closed),
}

/// A room that is played here.
pub(crate) struct OnAir {
    room: RoomId,
    /// Another one when the carrier let the first go while it was played.
    feed: Mutex<Feed>,
    /// Audio, and what happens to participants, which only moderators bring about. The state is not in it: however often
    /// that changes, it puts no slot out of the queue.
    heard: broadcast::Sender<Heard>,
    /// Turns at everything that is not audio, and to the end.
    news: watch::Sender<Option<Closed>>,
    listeners: Count,
    watchers: Count,
}

/// One place in a room; the room is played for as long as anyone has one.
#[derive(Debug)]
pub(crate) struct Audience {
    pub(crate) on_air: Arc<OnAir>,
    /// What its ticket says, if it has one.
    pub(crate) claims: Option<Claims>,
    pub(crate) held: Held,
}

impl OnAir {
    pub(super) fn new(feed: Feed) -> Self {
        Self {
            room: feed.room().clone(),
            feed: Mutex::new(feed),
            heard: broadcast::Sender::new(BACKLOG),
            news: watch::Sender::new(None),
            listeners: Count::default(),
            watchers: Count::default(),
        }
    }

    pub(super) fn admit(self: &Arc<Self>, claims: Option<Claims>, part: Part) -> Audience {
        let count = match part {
            Part::Listener => &self.listeners,
            Part::Watcher => &self.watchers,
        };
        Audience { on_air: self.clone(), claims, held: count.hold() }
    }

    pub(crate) fn room(&self) -> &RoomId {
        &self.room
    }

    /// The room as last told, without what changes all the time.
    pub(crate) fn status(&self) -> Option<Arc<v1::RoomStatus>> {
        self.feed.lock().status()
    }

    /// The room as people are told it.
    pub(crate) fn current(&self) -> Option<v1::RoomStatus> {
        self.feed.lock().current()
    }

    /// What is played from now on, behind the seam buffer.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Heard> {
        self.heard.subscribe()
    }

    /// Turns whenever the room's state or what is said of its participants changes, for who looks at it then; to how the
    /// room ended, if it did.
    pub(crate) fn news(&self) -> watch::Receiver<Option<Closed>> {
        self.news.subscribe()
    }

    /// What comes from now on, as it comes.
    pub(crate) fn follow_feed(&self) -> Cursor {
        self.feed.lock().subscribe(None)
    }

    /// The room's feed is another one.
    pub(super) fn refeed(&self, feed: Feed) {
        *self.feed.lock() = feed;
    }

    /// How many listen here.
    pub(super) fn listeners(&self) -> usize {
        self.listeners.get()
    }

    /// Whether nobody has a place here.
    pub(super) fn is_idle(&self) -> bool {
        self.listeners.get() == 0 && self.watchers.get() == 0
    }

    pub(super) fn tell(&self, heard: Heard) {
        // Without followers nobody needs to hear it.
        drop(self.heard.send(heard.clone()));
        match heard {
            Heard::Output(_) => {}
            Heard::Event(_) => self.changed(),
            Heard::Closed(closed) => drop(self.news.send_replace(Some(closed))),
        }
    }

    /// The room's state, or who is banned, has changed.
    pub(super) fn changed(&self) {
        self.news.send_modify(|_| ());
    }

    /// Whether a participant may be here.
    ///
    /// # Errors
    /// `Banned`.
    pub(crate) fn check_banned(&self, participant: &ParticipantId) -> Result<(), Fault> {
        check_banned(&self.feed.lock(), participant)
    }
}

impl Audience {
    /// Who it is, if its ticket says so.
    pub(crate) fn participant(&self) -> Option<&ParticipantId> {
        self.claims.as_ref().map(|claims| &claims.participant)
    }
}

/// Whether a participant may hear the room of a feed.
///
/// # Errors
/// `Banned`.
pub(super) fn check_banned(feed: &Feed, participant: &ParticipantId) -> Result<(), Fault> {
    if feed.is_banned(participant) {
        let detail = format!("{participant} was banned from room {}", feed.room());
        return Err(Fault::new(Code::Banned, detail));
    }
    Ok(())
}

impl std::fmt::Debug for OnAir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnAir({}, {} listen)", self.room(), self.listeners())
    }
}
