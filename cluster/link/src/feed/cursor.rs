//! One reader of a feed.

use std::{collections::VecDeque, sync::Arc};

use stentor_ids::{Epoch, Slot};
use stentor_proto::v1;
use stentor_relay::{Frame, Read};
use tokio::sync::watch;

use super::{Closed, Feed};
use crate::clock;

/// Frames behind the newest at which a reader goes on that lagged out of the log: 100 ms, which is enough for the playout
/// of what lies below it, and nothing that is late already.
const RESUME_FRAMES: usize = 5;

/// What a reader is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// The room as it is: first of all if it is known, and whenever it changes.
    Status(Arc<v1::RoomStatus>),
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
    /// Frames to give before those of the log: what the ring held, and one that a gap came before.
    backlog: VecDeque<Frame>,
    frames: u64,
    events: u64,
    status: u64,
    fence: u64,
    /// Highest slot given.
    last: Option<Slot>,
    lagged: bool,
}

impl Cursor {
    pub(super) fn new(feed: Feed, from: Option<Slot>) -> Self {
        let changed = feed.0.changed.subscribe();
        let mut state = feed.0.state.lock();
        state.cursors += 1;
        let backlog = from.map_or_else(VecDeque::new, |from| state.ring.from(from).cloned().collect());
        let (frames, events) = (state.frames.end(), state.events.end());
        drop(state);
        Self { feed, changed, backlog, frames, events, status: 0, fence: 0, last: None, lagged: false }
    }

    /// Goes back to the event after `serial`, as far as they are held.
    pub(crate) fn with_events_after(mut self, serial: u64) -> Self {
        self.events = self.feed.0.state.lock().events.first(|event| event.serial > serial);
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
        if let (version, Some(status)) = &state.status
            && *version > self.status
        {
            self.status = *version;
            return Some(Item::Status(status.clone()));
        }
        if let (version, Some((epoch, from_slot))) = state.fence
            && version > self.fence
        {
            self.fence = version;
            return Some(Item::Fence { epoch, from_slot });
        }
        loop {
            match state.events.read(&mut self.events, usize::MAX) {
                Read::Entry(event) => return Some(Item::Event(event)),
                Read::Skipped => {}
                Read::End => break,
            }
        }
        if let Some(frame) = self.backlog.pop_front() {
            return Some(given(&mut self.last, frame));
        }
        loop {
            match state.frames.read(&mut self.frames, RESUME_FRAMES) {
                Read::Entry(frame) => {
                    let gap = std::mem::take(&mut self.lagged).then(|| gap(self.last, frame.slot)).flatten();
                    let Some(gap) = gap else { return Some(given(&mut self.last, frame)) };
                    self.backlog.push_front(frame);
                    return Some(gap);
                }
                Read::Skipped => self.lagged = true,
                Read::End => return state.closed.clone().map(Item::Closed),
            }
        }
    }
}

fn given(last: &mut Option<Slot>, frame: Frame) -> Item {
    *last = (*last).max(Some(frame.slot));
    Item::Frame(frame)
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
        state.idle_since = clock::now();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stentor_ids::{Lineage, RoomId};
    use stentor_pace::WallTime;

    use super::*;

    fn feed() -> Feed {
        Feed::new(RoomId::new("demo").unwrap())
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
