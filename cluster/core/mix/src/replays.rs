//! Rooms that wait for a replay: whose turn is next, and how many slots it may do again.
//!
//! When an origin dies, the mirrors of all of its talking rooms go on in the same slot. A whole replay takes as long as some
//! twenty slots of mixing, so those that wait share the time that is left: the room that is due first goes first, and does
//! again as many slots as leave everyone behind it the same share before its own deadline, with half of the time to spare. It does not know what a replay
//! is made of, nor which threads there are.
//!
//! Invariants: each job is given out once, the earliest deadline first; the shares of all that wait fit before their
//! deadlines, unless not even [`REPLAY_LEAST_SLOTS`] for each do.

use std::{collections::BTreeMap, time::Duration};

use stentor_pace::Time;

use crate::HISTORY_SLOTS;

/// What is replayed of a talking room however many wait. Fresh codecs alone take as long, and a voice that goes on in mid-word
/// needs to be known as one that is speaking.
pub const REPLAY_LEAST_SLOTS: usize = 2;

/// What a slot is taken to cost at least: 8 ms for a whole history. What was measured decides beyond that.
const SLOT_COST: Duration = Duration::from_micros(320);
/// What a slot is taken to cost at most: a measurement above it was a pause of the whole machine.
const SLOT_COST_MOST: Duration = Duration::from_millis(5);
/// Fresh codecs, before the first slot.
const FRESH_COST: Duration = Duration::from_micros(600);
/// What part of the time that is left is planned with: half of it. The other half is for what nobody knows beforehand: rooms
/// that come a moment later, other origins on the same machine that replay as well, and the mixing of all that are done.
const PLANNED: u32 = 2;

/// Rooms that wait for a replay. `J` is what the driver knows one by. Each room waits once, so they are no more than a node
/// has rooms.
#[derive(Debug)]
pub struct Replays<J> {
    workers: usize,
    /// Replays given out and not done.
    running: usize,
    /// By deadline, and of equal ones in the order in which they came.
    waiting: BTreeMap<(Time, u64), J>,
    serial: u64,
    slot_cost: Duration,
}

impl<J> Replays<J> {
    /// Nobody waits; `workers` replay at once.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        Self { workers, running: 0, waiting: BTreeMap::new(), serial: 0, slot_cost: SLOT_COST }
    }

    /// A room waits, and is to mix its first slot by then.
    pub fn push(&mut self, by: Time, job: J) {
        self.serial += 1;
        self.waiting.insert((by, self.serial), job);
    }

    /// Gives out the room that is due first, and how many slots it may replay; `None` if nobody waits or every worker is busy.
    pub fn take(&mut self, now: Time) -> Option<(J, usize)> {
        if self.running >= self.workers {
            return None;
        }
        let slots = self.share(now);
        let (_, job) = self.waiting.pop_first()?;
        if slots < HISTORY_SLOTS {
            // Who measures less often must not believe in a bad moment for ever.
            self.slot_cost = (self.slot_cost * 7 / 8).max(SLOT_COST);
        }
        self.running += 1;
        Some((job, slots))
    }

    /// A room that was given out has replayed so many slots, and took so long.
    pub fn done(&mut self, slots: usize, took: Duration) {
        self.running = self.running.saturating_sub(1);
        let Some(slots) = u32::try_from(slots).ok().filter(|slots| *slots > 0) else { return };
        let cost = took.saturating_sub(FRESH_COST) / slots;
        // Upwards at once, downwards slowly: an estimate that is too low costs somebody a slot.
        self.slot_cost = cost.max((self.slot_cost * 7 + cost) / 8).clamp(SLOT_COST, SLOT_COST_MOST);
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Slots that the first may replay so that everyone can have as many in time.
    fn share(&self, now: Time) -> usize {
        let mut least = HISTORY_SLOTS;
        for (ahead, (by, _)) in self.waiting.keys().enumerate() {
            // What runs is taken to be done when as many more would be.
            let turns = (ahead + self.running) / self.workers + 1;
            let each = by.since(now) / PLANNED / u32::try_from(turns).unwrap_or(u32::MAX);
            let fits = each.saturating_sub(FRESH_COST).as_nanos() / self.slot_cost.as_nanos();
            least = least.min(usize::try_from(fits).unwrap_or(HISTORY_SLOTS));
        }
        least.max(REPLAY_LEAST_SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn at(micros: u64) -> Time {
        Time::from_micros(1_000_000 + micros)
    }

    /// Lets `workers` replay until nobody waits, each slot at `cost`; gives for each room its slots, and when it was done.
    fn run(workers: usize, rooms: &[u64], cost: Duration) -> Vec<(usize, usize, Time)> {
        let mut replays = Replays::new(workers);
        rooms.iter().enumerate().for_each(|(room, by)| replays.push(at(*by), room));
        let (mut now, mut running, mut done) =
            (at(0), Vec::<(Time, usize, usize, Duration)>::new(), Vec::new());
        loop {
            while let Some((room, slots)) = replays.take(now) {
                let took = FRESH_COST + cost * u32::try_from(slots).unwrap();
                running.push((now + took, room, slots, took));
            }
            assert!(running.len() <= workers, "{} replay at once", running.len());
            running.sort();
            if running.is_empty() {
                return done;
            }
            let (end, room, slots, took) = running.remove(0);
            now = end;
            replays.done(slots, took);
            done.push((room, slots, end));
        }
    }

    #[test]
    fn a_room_alone_has_its_whole_history() {
        // As late as a mirror that has heard nothing of its owner's end.
        assert_eq!(run(2, &[20_000], SLOT_COST)[0].1, HISTORY_SLOTS);
    }

    #[test]
    fn a_machine_that_is_half_as_fast_as_thought_is_in_time() {
        let done = run(2, &[40_000; 20], SLOT_COST * 2);
        assert!(done.iter().all(|(_, _, end)| *end <= at(40_000)), "{done:?}");
    }

    #[test]
    fn many_share_the_time_that_the_last_of_them_has() {
        let rooms = [40_000; 20];
        let done = run(2, &rooms, SLOT_COST);
        assert!(done.iter().all(|(_, slots, end)| *slots >= 4 && *end <= at(35_000)), "{done:?}");
    }

    #[test]
    fn who_is_late_already_has_the_least_and_so_have_those_before() {
        let done = run(1, &[0, 30_000], SLOT_COST);
        assert_eq!(done[0].1, REPLAY_LEAST_SLOTS);
        assert_eq!(done[1].1, HISTORY_SLOTS);
    }

    #[test]
    fn a_slow_machine_is_believed_at_once_and_not_for_ever() {
        let mut replays = Replays::new(1);
        let mut slots_now = |took: Option<u64>| {
            replays.push(at(20_000), ());
            let (_, slots) = replays.take(at(0)).unwrap();
            replays.done(slots, took.map_or(Duration::from_micros(1), Duration::from_millis));
            slots
        };
        assert_eq!(slots_now(Some(500)), HISTORY_SLOTS);
        assert_eq!(slots_now(None), REPLAY_LEAST_SLOTS);
        assert!((0..40).any(|_| slots_now(None) == HISTORY_SLOTS));
    }

    proptest! {
        #[test]
        fn the_earliest_goes_first_and_everyone_is_in_time_where_the_least_would_be(
            workers in 1_usize..5,
            rooms in vec(5_000_u64..60_000, 1..60),
            cost in 50_u64..320,
        ) {
            let done = run(workers, &rooms, Duration::from_micros(cost));
            prop_assert_eq!(done.len(), rooms.len());
            let mut begun: Vec<_> = done.iter().map(|(room, slots, end)| {
                (*end - (FRESH_COST + Duration::from_micros(cost) * u32::try_from(*slots).unwrap()), rooms[*room])
            }).collect();
            begun.sort();
            // Of those that begin in the same moment the order is not seen.
            let ordered = begun.windows(2).all(|pair| pair[0].0 == pair[1].0 || pair[0].1 <= pair[1].1);
            prop_assert!(ordered, "{:?}", begun);
            // Where a little more than the least for everyone fits, nobody is late.
            let mut sorted = rooms.clone();
            sorted.sort_unstable();
            let least = FRESH_COST + SLOT_COST * u32::try_from(REPLAY_LEAST_SLOTS + 1).unwrap();
            let fits = sorted.iter().enumerate().all(|(ahead, by)| {
                least * u32::try_from(ahead / workers + 2).unwrap() <= Duration::from_micros(*by)
            });
            if fits {
                for (room, slots, end) in &done {
                    prop_assert!(*end <= at(rooms[*room]), "room {} with {} slots: {:?}", room, slots, end);
                }
            }
            prop_assert!(done.iter().all(|(_, slots, _)| (REPLAY_LEAST_SLOTS..=HISTORY_SLOTS).contains(slots)));
        }
    }
}
