//! What each of a room's two origins tells the other: what every slot was made of, the stage it was mixed under, the slot
//! itself, and how the origin stands. The owner also tells the room's state and what happens to its participants.
//!
//! A follower that lags misses entries, and is told nothing of it: it sees from the slots that its history is not whole
//! (`MirrorReady`), and waits until it is.

mod wire;

use std::sync::Arc;

use futures::{StreamExt, stream};
use stentor_link::{Cursor, Item, bans_to_wire};
use stentor_mix::{LogEntry, Stage};
use stentor_proto::v1::{self, follow_response::Message};
use stentor_relay::{Frame, origin::State};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use crate::{hosted::Hosted, status};
pub(crate) use wire::{entry_of, frame_of, stage_of, state_of};

/// Entries that a follower may lag behind: two seconds of slots and their frames. What is older is of no use to who would
/// go on from it; the oldest goes first.
const LOG_ENTRIES: usize = 200;

/// What one origin of a room says to the other, as it is said.
pub(crate) struct MixLog {
    said: broadcast::Sender<Mixed>,
    closed: CancellationToken,
}

/// What is said.
#[derive(Debug, Clone)]
pub(crate) enum Mixed {
    /// The slots that follow are mixed under this stage.
    Stage(Arc<Stage>),
    /// A slot was mixed from this.
    Slot(Arc<LogEntry>),
    /// And came out as this.
    Frame(Frame),
    /// How this origin stands.
    Origin(State),
}

impl MixLog {
    pub(crate) fn new() -> Self {
        Self { said: broadcast::Sender::new(LOG_ENTRIES), closed: CancellationToken::new() }
    }

    /// Whether anybody follows; else there is nothing to say.
    pub(crate) fn is_followed(&self) -> bool {
        self.said.receiver_count() > 0
    }

    pub(crate) fn write(&self, mixed: Mixed) {
        // Nobody follows any more: then nobody misses it.
        drop(self.said.send(mixed));
    }

    /// The room is not here any more.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }
}

/// What this origin says of a room from now on; an owner begins with the stage as it is.
pub(crate) fn follow(hosted: &Hosted) -> stentor_link::FollowStream {
    let said = BroadcastStream::new(hosted.mix_log.said.subscribe());
    let said = said.filter_map(async |said: Result<_, _>| said.ok());
    let closed = hosted.mix_log.closed.clone().cancelled_owned();
    if !hosted.is_owned() {
        return Box::pin(said.map(|said| wire::response(&said)).take_until(closed));
    }
    let stage = Mixed::Stage(Arc::new(status::stage(&hosted.kept().record)));
    let said = stream::once(async { stage }).chain(said).map(|said| wire::response(&said));
    let told = stream::unfold(hosted.feed.subscribe(None), told);
    Box::pin(stream::select(said, told).take_until(closed))
}

/// The next that the owner tells any child, but for frames: those come with what they were made of.
async fn told(mut cursor: Cursor) -> Option<(v1::FollowResponse, Cursor)> {
    loop {
        let message = match cursor.next().await {
            Item::Status(status) => Message::Room(status.as_ref().clone()),
            Item::Levels(levels) => Message::Levels(levels.as_ref().clone()),
            Item::Bans { words, whole_above } => Message::Bans(bans_to_wire(words, whole_above)),
            Item::Event(event) => Message::Event(event),
            Item::Fence { epoch, from_slot } => {
                Message::Fence(v1::Fence { epoch: epoch.0, from_slot: from_slot.0 })
            }
            Item::Frame(_) | Item::Gap { .. } => continue,
            Item::Closed(_) => return None,
        };
        return Some((v1::FollowResponse { message: Some(message) }, cursor));
    }
}
