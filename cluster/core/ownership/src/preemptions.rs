//! How often this node has claimed rooms of late from owners whose key stood. A tenure ends with its office, so it is remembered beside
//! all of them.
//!
//! Invariants: such claims of one room are [`PREEMPT`] apart and twice as long each time, up to [`PREEMPT_CAP`]; what is remembered
//! is no more than the rooms so claimed within [`PREEMPTED`].

use std::collections::BTreeMap;

use stentor_ids::RoomId;
use stentor_pace::{Backoff, Time};

use crate::timing::{PREEMPT, PREEMPT_CAP, PREEMPTED};

/// Such claims of one node.
#[derive(Debug, Default)]
pub struct Preemptions(BTreeMap<RoomId, Contests>);

#[derive(Debug)]
struct Contests {
    pauses: Backoff,
    last: Time,
    /// When the next may begin.
    from: Time,
}

impl Preemptions {
    /// A room is being claimed.
    pub fn preempts(&mut self, now: Time, room: &RoomId) {
        self.0.retain(|_, contests| now.since(contests.last) < PREEMPTED);
        let fresh = || Contests { pauses: Backoff::new(PREEMPT, PREEMPT_CAP), last: now, from: now };
        let contests = self.0.entry(room.clone()).or_insert_with(fresh);
        // A room has one mirror, so there is nothing to jitter.
        (contests.last, contests.from) = (now, now + contests.pauses.next(u64::MAX));
    }

    /// From when this node may bid for the room; long past if it has not claimed it so of late.
    #[must_use]
    pub fn next(&self, room: &RoomId) -> Time {
        self.0.get(room).map(|contests| contests.from).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn contests_of_a_room_are_further_and_further_apart_until_it_was_quiet() {
        let (mut preemptions, mut now) = (Preemptions::default(), Time::from_millis(5_000));
        let [room, other] = ["a", "b"].map(|name| RoomId::new(name).unwrap());
        let mut contest = |now: Time| {
            preemptions.preempts(now, &room);
            (preemptions.next(&room).since(now).as_secs(), preemptions.next(&other))
        };
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(contest(now), (pause, Time::default()));
            now = now + Duration::from_secs(pause);
        }
        assert_eq!(contest(now + PREEMPTED).0, 1, "it is forgotten");
    }
}
