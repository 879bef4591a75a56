//! A room as this edge plays it, and its audience.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use stentor_admission::Claims;
use stentor_ids::{Code, Fault, ParticipantId, RoomId};
use stentor_link::{Closed, Cursor, Feed};
use stentor_proto::v1;
use stentor_relay::Output;
use tokio::sync::broadcast;

use crate::count::{Count, Held};

/// What a listener that is a task may fall behind: 5 s of slots. Beyond it it is skipped forward.
const BACKLOG: usize = 256;
/// Banned participants that are remembered. Beyond it no more are: their tickets run out, and the owner still keeps them
/// off the stage.
const MAX_BANNED: usize = 4096;

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
    listeners: Count,
    banned: Mutex<HashSet<ParticipantId>>,
}

/// One listener's place in a room; the room is played for as long as anyone has one.
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
            listeners: Count::default(),
            banned: Mutex::default(),
        }
    }

    pub(super) fn admit(self: &Arc<Self>, claims: Option<Claims>) -> Audience {
        Audience { on_air: self.clone(), claims, held: self.listeners.hold() }
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

    pub(super) fn tell(&self, heard: Heard) {
        // Without followers nobody needs to hear it.
        drop(self.heard.send(heard));
    }

    pub(super) fn ban(&self, participant: ParticipantId) {
        let mut banned = self.banned.lock();
        if banned.len() < MAX_BANNED {
            banned.insert(participant);
        }
    }

    pub(super) fn check_banned(&self, participant: &ParticipantId) -> Result<(), Fault> {
        if self.banned.lock().contains(participant) {
            let detail = format!("{participant} was banned from room {}", self.room());
            return Err(Fault::new(Code::Banned, detail));
        }
        Ok(())
    }
}

impl std::fmt::Debug for OnAir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnAir({}, {} listen)", self.room(), self.listeners())
    }
}
