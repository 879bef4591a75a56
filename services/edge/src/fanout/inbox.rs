//! What a shard is told by the rest of the process: a bounded queue, in order, and a waker. The lock is taken once a frame
//! and shard, never a listener.
//!
//! Invariants: no audio waits here, only that there is some, once a room; what is told of rooms and participants is never
//! dropped, and is as little as rooms and moderators are.

use std::{collections::VecDeque, io};

use mio::Waker;
use parking_lot::Mutex;
use stentor_ids::ParticipantId;

use super::session::Newcomer;

/// Listeners that may wait to be seated: a fifth of a second of joins at 5,000 a second. Beyond it they are told to come
/// back.
const MAX_NEWCOMERS: usize = 1024;

/// How a room leaves the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// It has ended: every listener's stream is brought to its end.
    Ended,
    /// This edge has it no more: connections are cut, so that no player takes the stream for complete.
    Lost,
}

/// Something that a shard is told of a room, `R`.
#[derive(Debug)]
pub(super) enum Note<R> {
    /// A listener of the room comes.
    Seat(R, Box<Newcomer>),
    /// There is something to play.
    Play(R),
    Cut(R, ParticipantId),
    Close(R, Close),
}

/// What waits for a shard.
#[derive(Debug)]
pub(super) struct Mail<R> {
    pub(super) notes: VecDeque<Note<R>>,
    pub(super) stop: bool,
    newcomers: usize,
}

/// A shard's queue.
#[derive(Debug)]
pub(super) struct Inbox<R> {
    mail: Mutex<Mail<R>>,
    waker: Waker,
}

impl<R: Clone> Inbox<R> {
    pub(super) fn new(waker: Waker) -> Self {
        Self { mail: Mutex::default(), waker }
    }

    pub(super) fn tell(&self, note: Note<R>) {
        self.put(|mail| mail.notes.push_back(note));
    }

    /// Hands a listener over. It comes back if as many wait as may, or the shard has stopped.
    pub(super) fn seat(&self, room: &R, newcomer: Box<Newcomer>) -> Result<(), Box<Newcomer>> {
        let mut newcomer = Some(newcomer);
        self.put(|mail| {
            if mail.newcomers < MAX_NEWCOMERS
                && !mail.stop
                && let Some(newcomer) = newcomer.take()
            {
                mail.newcomers += 1;
                mail.notes.push_back(Note::Seat(room.clone(), newcomer));
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
    pub(super) fn take(&self, mail: &mut Mail<R>) {
        let mut waiting = self.mail.lock();
        let stop = waiting.stop;
        std::mem::swap(&mut *waiting, mail);
        (waiting.stop, waiting.newcomers) = (stop, 0);
    }

    /// Changes the mail, and wakes the shard if it had none: one that has some is awake or about to be.
    fn put(&self, change: impl FnOnce(&mut Mail<R>)) {
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

impl<R> Default for Mail<R> {
    fn default() -> Self {
        Self { notes: VecDeque::new(), stop: false, newcomers: 0 }
    }
}

impl<R> Mail<R> {
    fn is_empty(&self) -> bool {
        self.notes.is_empty() && !self.stop
    }
}

/// The shard still reads its mail at its next sweep.
fn wake_failed(error: &io::Error) {
    tracing::warn!(%error, "a shard could not be woken");
}
