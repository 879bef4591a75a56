//! What a shard is told by the rest of the process: a bounded queue and a waker. The lock is taken once a frame and
//! shard, never a listener.
//!
//! Invariants: audio beyond its bound drops oldest first and is counted; what is not audio is never dropped, and is as
//! little as rooms and moderators are.

use std::{collections::VecDeque, io};

use mio::Waker;
use parking_lot::Mutex;
use stentor_ids::{ParticipantId, RoomId};
use stentor_relay::Output;

use super::{Close, Newcomer};

/// Slots of all rooms that may wait for a shard: 1 s of eighty rooms. A shard that is further behind has lost its
/// listeners' patience already. Beyond it the oldest goes.
const MAX_AUDIO: usize = 4096;
/// Listeners that may wait to be seated: a fifth of a second of joins at 5,000 a second. Beyond it they are told to come
/// back.
const MAX_NEWCOMERS: usize = 1024;

/// Something that a shard is told.
#[derive(Debug)]
pub(super) enum Note {
    Open(RoomId),
    Play(RoomId, Output),
    Cut(RoomId, ParticipantId),
    Close(RoomId, Close),
}

/// What waits for a shard.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) notes: VecDeque<Note>,
    pub(super) newcomers: Vec<Newcomer>,
    /// Slots dropped since the mail was last taken.
    pub(super) dropped: u64,
    pub(super) stop: bool,
    audio: usize,
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
        self.put(|mail| {
            if matches!(note, Note::Play(..)) {
                mail.make_room();
                mail.audio += 1;
            }
            mail.notes.push_back(note);
        });
    }

    pub(super) fn join(&self, newcomer: Newcomer) -> Result<(), Box<Newcomer>> {
        let mut newcomer = Some(newcomer);
        self.put(|mail| {
            if mail.newcomers.len() < MAX_NEWCOMERS && !mail.stop {
                mail.newcomers.extend(newcomer.take());
            }
        });
        newcomer.map_or(Ok(()), |newcomer| Err(Box::new(newcomer)))
    }

    pub(super) fn stop(&self) {
        self.put(|mail| mail.stop = true);
    }

    /// Swaps what waits for `mail`, which must be empty; so two buffers serve for ever.
    pub(super) fn take(&self, mail: &mut Mail) {
        let mut waiting = self.mail.lock();
        let stop = waiting.stop;
        std::mem::swap(&mut *waiting, mail);
        waiting.stop = stop;
        (waiting.audio, waiting.dropped) = (0, 0);
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
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.newcomers.is_empty() && !self.stop
    }

    fn make_room(&mut self) {
        if self.audio < MAX_AUDIO {
            return;
        }
        if let Some(oldest) = self.notes.iter().position(|note| matches!(note, Note::Play(..))) {
            self.notes.remove(oldest);
            self.audio -= 1;
            self.dropped += 1;
        }
    }
}

/// The shard still reads its mail at its next sweep.
fn wake_failed(error: &io::Error) {
    tracing::warn!(%error, "a shard could not be woken");
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};
    use stentor_ids::Slot;

    use super::*;

    #[test]
    fn audio_beyond_the_bound_drops_oldest_first_and_nothing_else_is_dropped() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let room = RoomId::new("demo").unwrap();
        inbox.tell(Note::Open(room.clone()));
        for slot in 0..MAX_AUDIO as u64 + 3 {
            inbox.tell(Note::Play(room.clone(), Output::Gap { slot: Slot(slot), count: 1 }));
        }
        inbox.tell(Note::Close(room, Close::Ended));
        let mut mail = Mail::default();
        inbox.take(&mut mail);
        assert_eq!((mail.notes.len(), mail.dropped), (MAX_AUDIO + 2, 3));
        assert!(matches!(mail.notes[0], Note::Open(_)));
        assert!(matches!(mail.notes[1], Note::Play(_, Output::Gap { slot: Slot(3), .. })));
        assert!(matches!(mail.notes[MAX_AUDIO + 1], Note::Close(..)));
        let mut mail = Mail::default();
        inbox.take(&mut mail);
        assert!(mail.is_empty() && mail.dropped == 0);
    }
}
