//! One reader of a feed, and the order in which it is given things.
//!
//! | given | when |
//! |---|---|
//! | who is banned, and the state, as they are | first of all, so that nobody is let in before it is known who may be |
//! | a claim | before every frame: what comes under it is judged by it |
//! | events, words on bans, who may speak | as they come, but one between two frames at most: a mute must not wait, and moderators must not be able to silence the room |
//! | frames | next, so that a reader that is slow keeps its sound however often the state changes |
//! | the state, levels | when no frame waits, and else after [`STATE_YIELDS`] frames: a reader that always lags comes to know it too |
//! | the end | last |

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc};

use stentor_ids::{Epoch, Slot};
use stentor_proto::v1;
use stentor_relay::{Frame, Read, Word};
use tokio::sync::watch;

use super::{Closed, Feed, State, told::WORDS_A_MESSAGE};

/// Frames behind the newest at which a reader goes on that lagged out of the log: 100 ms, which is enough for the playout
/// of what lies below it, and nothing that is late already.
const RESUME_FRAMES: usize = 5;
/// Frames that go before a state that waits: a second of audio. Beyond it the state goes first, once.
const STATE_YIELDS: u32 = 50;

/// What a reader is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// The room as it is: first of all if it is known, and when it changes.
    Status(Arc<v1::RoomStatus>),
    /// How many listen and how loud who speaks is.
    Levels(Arc<v1::Levels>),
    /// Who is banned, or no more.
    Bans {
        /// The newest word on each, in the order of their serials.
        words: Vec<Word>,
        /// All words above this have been given: what is at or below it is over.
        whole_above: Option<u64>,
    },
    /// Who may speak.
    Stage(v1::StageState),
    /// A frame, in the order in which it came; slots may be out of order by a few, and in two lineages.
    Frame(Frame),
    /// Something happened to a participant.
    Event(v1::ParticipantEvent),
    /// This reader lagged, and these slots were left out for it.
    Gap {
        /// The first of them.
        slot: Slot,
        /// How many.
        count: u64,
    },
    /// A claim: from this slot on nothing of an older epoch is to be taken.
    Fence {
        /// The claim's epoch.
        epoch: Epoch,
        /// Its first slot.
        from_slot: Slot,
    },
    /// The feed is over; the same is given ever after.
    Closed(Closed),
}

/// A reader's place in a feed.
pub struct Cursor {
    feed: Feed,
    changed: watch::Receiver<()>,
    place: Place,
}

struct Place {
    /// Frames to give before those of the log: what the ring held, and one that a gap came before.
    backlog: VecDeque<Frame>,
    frames: u64,
    events: u64,
    status: u64,
    levels: u64,
    fence: u64,
    stage: u64,
    /// Serial of the last word on a ban.
    bans: u64,
    whole_above: u64,
    /// Highest slot given.
    last: Option<Slot>,
    lagged: bool,
    /// What goes between two frames was given since the last one.
    between: bool,
    /// Frames that have gone before a state that waits.
    yielded: u32,
}

impl Feed {
    /// Follows the feed: from now on, or from a slot as far as it is still held.
    #[must_use]
    pub fn subscribe(&self, from: Option<Slot>) -> Cursor {
        Cursor::new(self.clone(), from)
    }
}

impl Cursor {
    fn new(feed: Feed, from: Option<Slot>) -> Self {
        let changed = feed.0.changed.subscribe();
        let mut state = feed.0.state.lock();
        state.cursors += 1;
        let place = Place {
            backlog: from.map_or_else(VecDeque::new, |from| state.ring.from(from).cloned().collect()),
            frames: state.frames.end(),
            events: state.events.end(),
            status: 0,
            levels: 0,
            fence: 0,
            stage: 0,
            bans: 0,
            whole_above: 0,
            last: None,
            lagged: false,
            between: false,
            yielded: 0,
        };
        drop(state);
        Self { feed, changed, place }
    }

    /// Goes back to the event after `serial`, as far as they are held.
    pub(crate) fn with_events_after(mut self, serial: u64) -> Self {
        self.place.events = self.feed.0.state.lock().events.first(|event| event.serial > serial);
        self
    }

    /// The next item, once there is one. May be dropped and called again without losing any.
    pub async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            if self.changed.changed().await.is_err() {
                return Item::Closed(Closed::Moved);
            }
        }
    }

    /// The next item, if there is one now.
    pub fn try_next(&mut self) -> Option<Item> {
        let state = self.feed.0.state.lock();
        self.place.next(&state)
    }
}

impl Place {
    fn next(&mut self, state: &State) -> Option<Item> {
        if self.status == 0
            && state.status.1.is_some()
            && let Some(first) = self.bans(state).or_else(|| self.status(state))
        {
            return Some(first);
        }
        if let (version, Some((epoch, from_slot))) = state.fence
            && version > self.fence
        {
            self.fence = version;
            return Some(Item::Fence { epoch, from_slot });
        }
        let waits = !self.backlog.is_empty() || self.frames < state.frames.end();
        if !(waits && self.between)
            && let Some(item) = self.event(state).or_else(|| self.bans(state)).or_else(|| self.stage(state))
        {
            self.between = true;
            return Some(item);
        }
        let state_waits = state.status.0 > self.status || state.levels.0 > self.levels;
        if waits && !(state_waits && self.yielded >= STATE_YIELDS) {
            self.yielded += u32::from(state_waits);
            self.between = false;
            return self.frame(state);
        }
        self.yielded = 0;
        let told = self.status(state).or_else(|| self.levels(state));
        told.or_else(|| state.closed.clone().map(Item::Closed))
    }

    fn status(&mut self, state: &State) -> Option<Item> {
        let (version, status) = &state.status;
        let status = status.as_ref().filter(|_| *version > self.status)?;
        self.status = *version;
        Some(Item::Status(status.clone()))
    }

    fn stage(&mut self, state: &State) -> Option<Item> {
        let (version, stage) = &state.stage;
        let stage = stage.as_ref().filter(|_| *version > self.stage)?;
        self.stage = *version;
        Some(Item::Stage(stage.to_wire()))
    }

    fn levels(&mut self, state: &State) -> Option<Item> {
        let (version, levels) = &state.levels;
        let levels = levels.as_ref().filter(|_| *version > self.levels)?;
        self.levels = *version;
        Some(Item::Levels(levels.clone()))
    }

    fn event(&mut self, state: &State) -> Option<Item> {
        loop {
            match state.events.read(&mut self.events, usize::MAX) {
                Read::Entry(event) => return Some(Item::Event(event)),
                Read::Skipped => {}
                Read::End => return None,
            }
        }
    }

    fn bans(&mut self, state: &State) -> Option<Item> {
        let words = state.bans.after(self.bans, WORDS_A_MESSAGE);
        if let Some(last) = words.last() {
            self.bans = last.serial;
        }
        let ended = words.len() < WORDS_A_MESSAGE && state.bans.whole_above() > self.whole_above;
        let whole_above = ended.then(|| state.bans.whole_above());
        self.whole_above = whole_above.unwrap_or(self.whole_above);
        (!words.is_empty() || ended).then_some(Item::Bans { words, whole_above })
    }

    fn frame(&mut self, state: &State) -> Option<Item> {
        if let Some(frame) = self.backlog.pop_front() {
            return Some(self.given(frame));
        }
        loop {
            match state.frames.read(&mut self.frames, RESUME_FRAMES) {
                Read::Entry(frame) => {
                    let gap = std::mem::take(&mut self.lagged).then(|| gap(self.last, frame.slot)).flatten();
                    let Some(gap) = gap else { return Some(self.given(frame)) };
                    self.backlog.push_front(frame);
                    return Some(gap);
                }
                Read::Skipped => self.lagged = true,
                Read::End => return None,
            }
        }
    }

    fn given(&mut self, frame: Frame) -> Item {
        self.last = self.last.max(Some(frame.slot));
        Item::Frame(frame)
    }
}

/// The slots between the last one given and the one that a lagging reader goes on at.
fn gap(last: Option<Slot>, slot: Slot) -> Option<Item> {
    let first = last?.next();
    (slot > first).then(|| Item::Gap { slot: first, count: slot.since(first) })
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut state = self.feed.0.state.lock();
        state.cursors -= 1;
        state.idle_since = stentor_clock::now();
    }
}
