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
pub struct Preemptions(BTreeMap<RoomId, Claimed>);

/// The last of them of a room was then, and how it waits for the next.
#[derive(Debug)]
struct Claimed {
    last: Time,
    pauses: Pauses,
}

/// The pauses between bids of one node for one room, each twice as long as the one before.
#[derive(Debug)]
pub(crate) struct Pauses {
    backoff: Backoff,
    from: Time,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { backoff: Backoff::new(PREEMPT, PREEMPT_CAP), from: Time::default() }
    }
}

impl Pauses {
    /// The next one begins.
    pub(crate) fn wait(&mut self, now: Time) {
        // A room has one mirror, so there is nothing to jitter.
        self.from = now + self.backoff.next(u64::MAX);
    }

    /// From when it may bid; long past if it has not waited.
    pub(crate) const fn over(&self) -> Time {
        self.from
    }
}

impl Preemptions {
    /// A room is being claimed.
    pub fn preempts(&mut self, now: Time, room: &RoomId) {
        self.0.retain(|_, claimed| now.since(claimed.last) < PREEMPTED);
        let fresh = || Claimed { last: now, pauses: Pauses::default() };
        let claimed = self.0.entry(room.clone()).or_insert_with(fresh);
        claimed.last = now;
        claimed.pauses.wait(now);
    }

    /// From when this node may bid for the room; long past if it has not claimed it so of late.
    #[must_use]
    pub fn next(&self, room: &RoomId) -> Time {
        self.0.get(room).map(|claimed| claimed.pauses.over()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn claims_of_a_room_are_further_and_further_apart_until_it_was_quiet() {
        let (mut preemptions, mut now) = (Preemptions::default(), Time::from_millis(5_000));
        let [room, other] = ["a", "b"].map(|name| RoomId::new(name).unwrap());
        let mut claim = |now: Time| {
            preemptions.preempts(now, &room);
            (preemptions.next(&room).since(now).as_secs(), preemptions.next(&other))
        };
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(claim(now), (pause, Time::default()));
            now = now + Duration::from_secs(pause);
        }
        assert_eq!(claim(now + PREEMPTED).0, 1, "it is forgotten");
    }
}
