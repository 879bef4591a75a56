//! A room as it is fanned out: what was played last, and which shards take part.
//!
//! A shard takes part from the first listener that is handed to it until its last has gone, and is woken for the room only
//! then. Each reads what it lacks at its own pace.
//!
//! Invariants: a listener that is handed to a shard finds the room there; audio beyond the bound drops oldest first, for the
//! shard that is behind and in this room alone.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use stentor_ids::{ParticipantId, RoomId};
use stentor_relay::Output;

use super::{
    inbox::{self, Close},
    session::Newcomer,
};

/// What a shard is told of rooms.
pub(super) type Note = inbox::Note<Arc<Track>>;
/// What of it waits.
pub(super) type Mail = inbox::Mail<Arc<Track>>;
/// Where.
pub(super) type Inbox = inbox::Inbox<Arc<Track>>;

/// Slots of a room that are kept: 5 s. A shard that is further behind has lost its listeners' patience soon. Beyond it the
/// oldest goes.
pub(super) const TRACK_SLOTS: usize = 256;

/// One room's audio, for all shards.
#[derive(Debug)]
pub(super) struct Track {
    room: RoomId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What was played last, numbered from 0.
    recent: VecDeque<Output>,
    /// The number that the next output gets.
    end: u64,
    /// By the number of the shard.
    parts: Vec<Option<Part>>,
    over: bool,
}

/// One shard's part in a room.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Listeners that were handed to it since it takes part.
    handed: u64,
    /// It has been told that there is something to play, and has not read it yet.
    told: bool,
}

impl Track {
    /// A room that begins.
    pub(super) fn new(room: RoomId) -> Self {
        let state = State { recent: VecDeque::new(), end: 0, parts: Vec::new(), over: false };
        Self { room, state: Mutex::new(state) }
    }

    /// A room that has left.
    pub(super) fn over(room: RoomId) -> Self {
        let mut track = Self::new(room);
        track.state.get_mut().over = true;
        track
    }

    pub(super) fn room(&self) -> &RoomId {
        &self.room
    }

    /// Plays what comes next.
    pub(super) fn play(self: &Arc<Self>, output: Output, shards: &[Arc<Inbox>]) {
        let mut state = self.state.lock();
        if state.recent.len() == TRACK_SLOTS {
            state.recent.pop_front();
        }
        state.recent.push_back(output);
        state.end += 1;
        for (part, inbox) in state.parts.iter_mut().zip(shards) {
            if let Some(part) = part.as_mut().filter(|part| !part.told) {
                part.told = true;
                inbox.tell(Note::Play(self.clone()));
            }
        }
    }

    /// Ends the streams of one participant.
    pub(super) fn cut(self: &Arc<Self>, participant: &ParticipantId, shards: &[Arc<Inbox>]) {
        self.state.lock().tell(shards, || Note::Cut(self.clone(), participant.clone()));
    }

    /// The room leaves.
    pub(super) fn close(self: &Arc<Self>, close: Close, shards: &[Arc<Inbox>]) {
        let mut state = self.state.lock();
        state.over = true;
        state.tell(shards, || Note::Close(self.clone(), close));
    }

    /// Hands a listener to a shard, which takes part from now on. The newcomer comes back if the shard takes none.
    pub(super) fn hand(
        self: &Arc<Self>,
        newcomer: Box<Newcomer>,
        shard: usize,
        inbox: &Inbox,
    ) -> Result<(), Box<Newcomer>> {
        let mut state = self.state.lock();
        inbox.seat(self, newcomer)?;
        if state.parts.len() <= shard {
            state.parts.resize(shard + 1, None);
        }
        state.parts[shard].get_or_insert_default().handed += 1;
        Ok(())
    }

    /// The number of the first output that a shard plays which takes part from now on; `None` if the room has left.
    pub(super) fn begin(&self) -> Option<u64> {
        let state = self.state.lock();
        (!state.over).then_some(state.end)
    }

    /// Gives a shard everything from the output `next` on, and says how many of them are gone.
    pub(super) fn read(&self, shard: usize, next: &mut u64, outputs: &mut Vec<Output>) -> u64 {
        let mut state = self.state.lock();
        if let Some(Some(part)) = state.parts.get_mut(shard) {
            part.told = false;
        }
        let start = state.start();
        let missed = start.saturating_sub(*next);
        let known = next.saturating_sub(start) as usize;
        outputs.extend(state.recent.iter().skip(known).cloned());
        *next = state.end;
        missed
    }

    /// Up to `count` outputs before `next`.
    pub(super) fn before(&self, next: u64, count: usize) -> Vec<Output> {
        let state = self.state.lock();
        let known = next.saturating_sub(state.start()) as usize;
        state.recent.iter().take(known).skip(known.saturating_sub(count)).cloned().collect()
    }

    /// A shard that has been given `seated` listeners, and has none any more, takes no part from now on, unless another is on
    /// its way. Says whether it does not.
    pub(super) fn leave(&self, shard: usize, seated: u64) -> bool {
        let mut state = self.state.lock();
        let Some(part) = state.parts.get_mut(shard) else { return true };
        let on_its_way = part.is_some_and(|part| part.handed > seated);
        if !on_its_way {
            *part = None;
        }
        !on_its_way
    }

    /// How many shards take part.
    #[cfg(test)]
    pub(super) fn shards(&self) -> usize {
        self.state.lock().parts.iter().flatten().count()
    }

    /// Whether every shard that takes part has read everything.
    #[cfg(test)]
    pub(super) fn is_read(&self) -> bool {
        self.state.lock().parts.iter().flatten().all(|part| !part.told)
    }
}

impl State {
    /// The number of the oldest output that is kept.
    fn start(&self) -> u64 {
        self.end - self.recent.len() as u64
    }

    fn tell(&self, shards: &[Arc<Inbox>], note: impl Fn() -> Note) {
        for (part, inbox) in self.parts.iter().zip(shards) {
            if part.is_some() {
                inbox.tell(note());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token, Waker};
    use stentor_ids::Slot;

    use super::*;

    fn gap(slot: u64) -> Output {
        Output::Gap { slot: Slot(slot), count: 1 }
    }

    #[test]
    fn a_shard_that_is_behind_loses_the_oldest_of_that_room_and_is_told_how_much() {
        let poll = Poll::new().unwrap();
        let inbox = [Arc::new(Inbox::new(Waker::new(poll.registry(), Token(0)).unwrap()))];
        let track = Arc::new(Track::new(RoomId::new("demo").unwrap()));
        let (mut next, mut outputs) = (track.begin().unwrap(), Vec::new());
        track.state.lock().parts.push(Some(Part::default()));
        for slot in 0..TRACK_SLOTS as u64 + 3 {
            track.play(gap(slot), &inbox);
        }
        assert_eq!(inbox[0].notes(), 1, "it is told once");
        assert_eq!(track.read(0, &mut next, &mut outputs), 3);
        assert_eq!((outputs.len(), &outputs[0]), (TRACK_SLOTS, &gap(3)));
        outputs.clear();
        assert_eq!((track.read(0, &mut next, &mut outputs), outputs.len()), (0, 0));
        track.play(gap(7), &inbox);
        assert_eq!((inbox[0].notes(), track.before(next, 2).len()), (2, 2));
        assert_eq!((track.read(0, &mut next, &mut outputs), outputs), (0, vec![gap(7)]));
    }
}
