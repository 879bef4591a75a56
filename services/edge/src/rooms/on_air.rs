//! A room as this edge plays it, and its audience.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use stentor_admission::Claims;
use stentor_ids::{Code, Fault, ParticipantId, RoomId};
use stentor_link::{Closed, Cursor, Feed};
use stentor_pace::Time;
use stentor_proto::v1;
use stentor_relay::Output;
use tokio::sync::{broadcast, watch};

use crate::{
    clock,
    count::{Count, Held},
};

/// What a listener that is a task may fall behind: 5 s of slots. Beyond it it is skipped forward.
const BACKLOG: usize = 256;
/// How long a ban that came as an event holds by itself: far longer than the room's state takes to name the participant.
/// From then on that state decides, so that a ban that is lifted is forgotten here as well.
const BAN_HOLDS: Duration = Duration::from_secs(10);
/// Banned participants that are remembered for as long. Beyond it no more are: the room's state names them soon.
const MAX_BANNED: usize = 4096;

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
    /// The room has changed.
    Status(Arc<v1::RoomStatus>),
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
    heard: broadcast::Sender<Heard>,
    /// Turns at everything that is not audio, and to the end.
    news: watch::Sender<Option<Closed>>,
    listeners: Count,
    watchers: Count,
    /// Who was banned by an event, and when.
    banned: Mutex<HashMap<ParticipantId, Time>>,
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
            banned: Mutex::default(),
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

    /// The room as it is.
    pub(crate) fn status(&self) -> Option<Arc<v1::RoomStatus>> {
        self.feed.lock().status()
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
        match &heard {
            Heard::Output(_) => {}
            Heard::Status(_) | Heard::Event(_) => self.news.send_modify(|_| ()),
            Heard::Closed(closed) => drop(self.news.send_replace(Some(closed.clone()))),
        }
        // Without followers nobody needs to hear it.
        drop(self.heard.send(heard));
    }

    pub(super) fn ban(&self, participant: ParticipantId) {
        let (mut banned, now) = (self.banned.lock(), clock::now());
        banned.retain(|_, since| now.since(*since) < BAN_HOLDS);
        if banned.len() < MAX_BANNED {
            banned.insert(participant, now);
        }
    }

    /// Whether a participant may be here.
    ///
    /// # Errors
    /// `Banned`.
    pub(crate) fn check_banned(&self, participant: &ParticipantId) -> Result<(), Fault> {
        let since = self.banned.lock().get(participant).copied();
        if since.is_some_and(|since| clock::now().since(since) < BAN_HOLDS) {
            return Err(banned(participant, self.room.as_str()));
        }
        self.status().map_or(Ok(()), |status| check_listed(&status, participant))
    }
}

impl Audience {
    /// Who it is, if its ticket says so.
    pub(crate) fn participant(&self) -> Option<&ParticipantId> {
        self.claims.as_ref().map(|claims| &claims.participant)
    }
}

/// Whether a room's state lets a participant hear it.
///
/// # Errors
/// `Banned`.
pub(crate) fn check_listed(status: &v1::RoomStatus, participant: &ParticipantId) -> Result<(), Fault> {
    if status.banned.iter().any(|listed| listed == participant.as_str()) {
        return Err(banned(participant, &status.room));
    }
    Ok(())
}

fn banned(participant: &ParticipantId, room: &str) -> Fault {
    Fault::new(Code::Banned, format!("{participant} was banned from room {room}"))
}

impl std::fmt::Debug for OnAir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnAir({}, {} listen)", self.room(), self.listeners())
    }
}
