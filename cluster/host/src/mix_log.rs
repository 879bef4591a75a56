//! The mix log of a room at one of its origins: what every slot was made of, the stage it was mixed under, the slot itself, and
//! how the origin stands, for whoever follows.
//!
//! A follower that lags misses entries, and is told nothing of it: it sees from the slots that its history is not whole
//! (`MirrorReady`), and waits until it is.

use std::{future::Future, sync::Arc};

use futures::{Stream, StreamExt};
use stentor_mix::LogEntry;
use stentor_relay::{Frame, origin::State};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use crate::status::Staged;

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
    Stage(Staged),
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

    /// What is said from now on.
    pub(crate) fn follow(&self) -> impl Stream<Item = Mixed> + Send + use<> {
        BroadcastStream::new(self.said.subscribe()).filter_map(async |said: Result<_, _>| said.ok())
    }

    /// Ends when the room is not here any more.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.closed.clone().cancelled_owned()
    }

    /// The room is not here any more.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }
}
