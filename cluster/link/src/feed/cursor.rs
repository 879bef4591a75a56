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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stentor_ids::{Lineage, RoomId};
    use stentor_pace::WallTime;

    use super::*;
    use crate::{FeedWriter, feed::Place};

    fn feed() -> FeedWriter {
        FeedWriter::new(RoomId::new("demo").unwrap())
    }

    fn frame(epoch: u64, slot: u64) -> Frame {
        Frame {
            epoch: Epoch(epoch),
            lineage: Lineage(1),
            slot: Slot(slot),
            opus: Bytes::new(),
            captured: WallTime::default(),
        }
    }

    /// What a cursor is given now, as text.
    fn told(cursor: &mut Cursor) -> String {
        let mut told = Vec::new();
        while let Some(item) = cursor.try_next() {
            told.push(match item {
                Item::Status(status) => format!("status {}", status.stage_version),
                Item::Levels(levels) => format!("levels {}", levels.serial),
                Item::Bans { words, whole_above } => {
                    let word =
                        |word: &Word| format!("{}{}", if word.lifted { "-" } else { "+" }, word.participant);
                    let whole = whole_above.map_or("", |_| " whole");
                    format!("bans{whole} {}", words.iter().map(word).collect::<String>())
                }
                Item::Stage(stage) => format!("stage {}", stage.version),
                Item::Frame(frame) => frame.slot.to_string(),
                Item::Event(event) => event.participant,
                Item::Gap { slot, count } => format!("{slot}+{count}"),
                Item::Fence { epoch, from_slot } => format!("{epoch:?} from {from_slot}"),
                Item::Closed(closed) => {
                    told.push(format!("{closed:?}"));
                    break;
                }
            });
        }
        told.join(", ")
    }

    fn event(participant: &str, serial: u64) -> v1::ParticipantEvent {
        v1::ParticipantEvent { participant: participant.into(), serial, ..Default::default() }
    }

    #[test]
    fn a_reader_is_given_the_latest_state_first_and_the_end_last() {
        let feed = feed();
        let mut cursor = feed.subscribe(None);
        feed.push(frame(1, 4));
        for stage_version in 1..4 {
            feed.set_status(Arc::new(v1::RoomStatus { stage_version, ..Default::default() }));
        }
        feed.close(Closed::Ended);
        feed.close(Closed::Moved);
        feed.push(frame(1, 5));
        assert_eq!(told(&mut cursor), "status 3, 4, 5, Ended");
        assert_eq!(told(&mut cursor), "Ended");
    }

    #[test]
    fn a_reader_from_a_slot_is_refilled_and_one_that_lags_skips_and_is_told() {
        let feed = feed();
        let mut lagging = feed.subscribe(None);
        feed.push(frame(1, 0));
        assert_eq!(told(&mut lagging), "0");
        for slot in 1..=300 {
            feed.push(frame(1, slot));
        }
        assert_eq!(told(&mut lagging), "1+295, 296, 297, 298, 299, 300");
        assert_eq!(told(&mut feed.subscribe(Some(Slot(298)))), "298, 299, 300");
        assert_eq!(told(&mut feed.subscribe(Some(Slot(0)))).split(", ").count(), 100);
        assert_eq!(told(&mut feed.subscribe(None)), "");
    }

    #[test]
    fn a_slow_reader_is_given_its_frames_while_the_room_s_state_changes_all_the_time() {
        let feed = feed();
        let tell = |stage_version| {
            feed.set_status(Arc::new(v1::RoomStatus { stage_version, ..Default::default() }));
        };
        tell(0);
        let mut cursor = feed.subscribe(None);
        assert_eq!(told(&mut cursor), "status 0");
        let (mut frames, mut statuses) = (0, 0);
        // It takes one message for each slot; the state is another one each time.
        for slot in 0..200 {
            feed.push(frame(1, slot));
            tell(slot + 1);
            match cursor.try_next() {
                Some(Item::Frame(_)) => frames += 1,
                Some(Item::Status(_)) => statuses += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(frames >= 190, "{frames} frames and {statuses} statuses");
        assert!(statuses >= 2, "the state comes too, in the end");
    }

    #[test]
    fn who_is_banned_is_told_first_and_then_what_changes_between_frames() {
        let id = |name: &str| stentor_ids::ParticipantId::new(name).unwrap();
        let feed = feed();
        feed.set_all_banned(Epoch(0), [id("eve"), id("mal")]);
        feed.set_status(Arc::default());
        feed.push(frame(1, 0));
        let mut cursor = feed.subscribe(Some(Slot(0)));
        assert_eq!(told(&mut cursor), "bans +eve+mal, status 0, 0");
        feed.set_banned(id("bob"), true);
        feed.set_banned(id("eve"), false);
        feed.event(event("bob", 0));
        feed.push(frame(1, 1));
        feed.push(frame(1, 2));
        feed.set_levels(v1::Levels { serial: 4, ..Default::default() });
        feed.set_levels(v1::Levels { serial: 3, ..Default::default() });
        assert_eq!(told(&mut cursor), "bob, 1, bans +bob-eve, 2, levels 4");
        feed.fence(Epoch(2), Slot(3));
        feed.set_all_banned(Epoch(2), [id("mal")]);
        assert_eq!(told(&mut cursor), "e2 from 3, bans whole +mal");

        let below = self::feed();
        let mut cursor = feed.subscribe(None);
        while let Some(item) = cursor.try_next() {
            if let Item::Bans { words, whole_above } = item {
                below.take_bans(crate::feed::bans_to_wire(words, whole_above));
            }
        }
        assert!(below.is_banned(&id("mal")) && !below.is_banned(&id("bob")));
    }

    fn stage(epoch: u64, version: u64, muted: bool) -> v1::StageState {
        let ann = v1::Participant { id: "ann".into(), muted, ..Default::default() };
        v1::StageState { version, seats: vec![ann], epoch }
    }

    #[test]
    fn who_may_speak_is_told_at_once_and_the_newest_counts_whichever_way_it_comes() {
        let id = |name: &str| stentor_ids::ParticipantId::new(name).unwrap();
        let feed = feed();
        feed.set_status(Arc::default());
        assert_eq!(feed.place_of(&id("ann")), Place::Unknown);
        feed.take_stage(&stage(1, 4, false)).unwrap();
        feed.push(frame(1, 0));
        let mut cursor = feed.subscribe(Some(Slot(0)));
        assert_eq!(told(&mut cursor), "status 0, stage 4, 0");
        assert_eq!((feed.place_of(&id("ann")), feed.place_of(&id("bob"))), (Place::Open, Place::Off));
        feed.push(frame(1, 1));
        feed.take_stage(&stage(1, 6, true)).unwrap();
        // Another parent says it late, and a third says what a former owner said.
        for old in [stage(1, 5, false), stage(1, 6, false), stage(0, 99, false)] {
            feed.take_stage(&old).unwrap();
        }
        assert_eq!((told(&mut cursor).as_str(), feed.place_of(&id("ann"))), ("stage 6, 1", Place::Muted));
        feed.take_stage(&stage(2, 3, false)).unwrap();
        assert_eq!((told(&mut cursor).as_str(), feed.place_of(&id("ann"))), ("stage 3", Place::Open));
    }

    #[test]
    fn a_stage_gone_wrong_is_cut_to_its_bounds_or_nothing_of_it_is_believed() {
        let feed = feed();
        feed.push(frame(1, 0));
        let seat = |id: String| v1::Participant { id, ..Default::default() };
        let many = (0..9_999).map(|n| seat(format!("p{n:04}"))).collect();
        feed.take_stage(&v1::StageState { version: 1, seats: many, epoch: 1 }).unwrap();
        let Some(Item::Stage(taken)) = feed.subscribe(None).try_next() else { panic!("it is told") };
        assert_eq!(taken.seats.len(), crate::feed::MAX_SEATS);
        let bad = v1::StageState { version: 2, seats: vec![seat("a/b".into())], epoch: 1 };
        assert!(feed.take_stage(&bad).unwrap_err().detail.contains("a/b"));
        assert!(feed.take_stage(&stage(9_999_999, 1, true)).unwrap_err().detail.contains("9999999"));
        assert!(matches!(feed.subscribe(None).try_next(), Some(Item::Stage(known)) if known.version == 1));
    }

    #[test]
    fn a_flood_of_events_leaves_every_second_place_to_a_frame() {
        let feed = feed();
        let mut cursor = feed.subscribe(None);
        for slot in 0..3 {
            feed.push(frame(1, slot));
            feed.event(event("anna", 0));
        }
        assert_eq!(told(&mut cursor), "anna, 0, anna, 1, anna, 2");
    }

    #[test]
    fn a_claim_is_told_once_and_before_what_comes_under_it() {
        let feed = feed();
        let mut cursor = feed.subscribe(None);
        feed.push(frame(1, 7));
        assert!(feed.fence(Epoch(2), Slot(8)));
        assert!(!feed.fence(Epoch(2), Slot(8)));
        feed.push(frame(1, 8));
        feed.push(frame(2, 8));
        assert_eq!(told(&mut cursor), "e2 from 8, 7, 8");
    }

    #[test]
    fn an_event_that_comes_by_two_ways_is_given_once_and_a_child_that_missed_some_gets_them() {
        let owner = feed();
        owner.fence(Epoch(3), Slot(0));
        let mut own = owner.subscribe(None);
        owner.event(event("anna", 0));
        owner.event(event("bert", 0));
        assert_eq!(told(&mut own), "e3 from 0, anna, bert");
        let first = owner.serial() - 1;

        let relay = feed();
        let mut below = relay.subscribe(None);
        for (participant, serial) in
            [("bert", first + 1), ("anna", first), ("bert", first + 1), ("anna", first)]
        {
            relay.event(event(participant, serial));
        }
        assert_eq!(told(&mut below), "bert, anna");
        let mut missed = owner.subscribe(None).with_events_after(first);
        assert_eq!(told(&mut missed), "e3 from 0, bert");
        // The next owner's events come after all of this one's.
        owner.fence(Epoch(4), Slot(9));
        owner.event(event("carl", 0));
        assert!(owner.serial() > first + 1000);
    }
}
