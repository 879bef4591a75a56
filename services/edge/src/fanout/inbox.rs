//! What a shard is told by the rest of the process: a bounded queue, in order, and a waker. The lock is taken once a frame
//! and shard, never a listener.
//!
//! Invariants: no audio waits here, only that there is some, once a room; what is told of rooms and participants is never
//! dropped, and is as little as rooms and moderators are.

use std::{collections::VecDeque, io, sync::Arc};

use mio::Waker;
use parking_lot::Mutex;
use stentor_ids::ParticipantId;

use super::{Close, Newcomer, track::Track};

/// Listeners that may wait to be seated: a fifth of a second of joins at 5,000 a second. Beyond it they are told to come
/// back.
const MAX_NEWCOMERS: usize = 1024;

/// Something that a shard is told.
#[derive(Debug)]
pub(super) enum Note {
    /// A listener of the room comes.
    Seat(Arc<Track>, Box<Newcomer>),
    /// There is something to play.
    Play(Arc<Track>),
    Cut(Arc<Track>, ParticipantId),
    Close(Arc<Track>, Close),
}

/// What waits for a shard.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) notes: VecDeque<Note>,
    pub(super) stop: bool,
    newcomers: usize,
}

/// A shard's queue.
#[derive(Debug)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    waker: Waker,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self { mail: Mutex::default(), waker }
    }

    pub(super) fn tell(&self, note: Note) {
        self.put(|mail| mail.notes.push_back(note));
    }

    /// Hands a listener over. It comes back if as many wait as may, or the shard has stopped.
    pub(super) fn seat(&self, track: &Arc<Track>, newcomer: Box<Newcomer>) -> Result<(), Box<Newcomer>> {
        let mut newcomer = Some(newcomer);
        self.put(|mail| {
            if mail.newcomers < MAX_NEWCOMERS
                && !mail.stop
                && let Some(newcomer) = newcomer.take()
            {
                mail.newcomers += 1;
                mail.notes.push_back(Note::Seat(track.clone(), newcomer));
            }
        });
        newcomer.map_or(Ok(()), Err)
    }

    /// Tells the shard to stop, and says whether it had been told before.
    pub(super) fn stop(&self) -> bool {
        let mut told = false;
        self.put(|mail| told = std::mem::replace(&mut mail.stop, true));
        told
    }

    /// Swaps what waits for `mail`, which must be empty; so two buffers serve for ever.
    pub(super) fn take(&self, mail: &mut Mail) {
        let mut waiting = self.mail.lock();
        let stop = waiting.stop;
        std::mem::swap(&mut *waiting, mail);
        (waiting.stop, waiting.newcomers) = (stop, 0);
    }

    /// Changes the mail, and wakes the shard if it had none: one that has some is awake or about to be.
    fn put(&self, change: impl FnOnce(&mut Mail)) {
        let mut mail = self.mail.lock();
        let asleep = mail.is_empty();
        change(&mut mail);
        let wake = asleep && !mail.is_empty();
        drop(mail);
        if wake && let Err(error) = self.waker.wake() {
            wake_failed(&error);
        }
    }

    /// How many notes wait.
    #[cfg(test)]
    pub(super) fn notes(&self) -> usize {
        self.mail.lock().notes.len()
    }
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.notes.is_empty() && !self.stop
    }
}

/// The shard still reads its mail at its next sweep.
fn wake_failed(error: &io::Error) {
    tracing::warn!(%error, "a shard could not be woken");
}
