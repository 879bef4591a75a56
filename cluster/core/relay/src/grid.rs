//! The grid on which a room's slots fall due at the origin that mixes them.
//!
//! Slot `s` of a live room is due `s × 20 ms` after go-live. The wall clock is asked once, when an owner starts; from then
//! on the grid runs on monotonic time, so that a clock that is set does not make slots stutter.
//!
//! Invariant: slots only rise. A slot may be skipped, none comes twice.

use std::time::Duration;

use stentor_ids::{SLOT_DURATION, Slot};
use stentor_pace::{Time, WallTime};

/// Slots that a late loop still makes up for, one by one: 200 ms. Up to here listeners with a buffer miss nothing; later
/// slots would come after every playout deadline, so they are skipped and the loop is on time again.
const CATCH_UP: u64 = 10;

/// Longest wait for the first slot: 2 s. A first slot further ahead than this comes from an owner whose clock went ahead
/// of ours; then the grid is shifted rather than the room silent.
const LONGEST_LEAD: Duration = Duration::from_secs(2);

/// When which slot is due.
#[derive(Debug, Clone)]
pub struct Grid {
    next: Slot,
    /// When `next` is due.
    at: Time,
}

/// A slot whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The slot.
    pub slot: Slot,
    /// How late it is asked for.
    pub late: Duration,
    /// Slots given up right before this one.
    pub skipped: u64,
}

impl Grid {
    /// A grid whose first slot is `first`, of a room that is live `since`. `wall` and `now` are the same moment.
    #[must_use]
    pub fn new(first: Slot, since: WallTime, wall: WallTime, now: Time) -> Self {
        let due = since + first.offset();
        Self { next: first, at: now + due.since(wall).min(LONGEST_LEAD) - wall.since(due) }
    }

    /// A grid that goes on from one whose `next` slot was due `at`.
    #[must_use]
    pub const fn resumed(next: Slot, at: Time) -> Self {
        Self { next, at }
    }

    /// A grid that goes on from `first` on the beat of one whose `next` slot is due `at`.
    #[must_use]
    pub fn going_on(first: Slot, (next, at): (Slot, Time)) -> Self {
        let first = first.max(next);
        Self { next: first, at: at + slots(first.since(next)).min(LONGEST_LEAD) }
    }

    /// When to ask again.
    #[must_use]
    pub const fn at(&self) -> Time {
        self.at
    }

    /// The slot that comes next.
    #[must_use]
    pub const fn next(&self) -> Slot {
        self.next
    }

    /// The next slot, if it is due.
    pub fn poll(&mut self, now: Time) -> Option<Due> {
        if now < self.at {
            return None;
        }
        let behind =
            u64::try_from(now.since(self.at).as_micros() / SLOT_DURATION.as_micros()).unwrap_or(u64::MAX);
        let skipped = if behind > CATCH_UP { behind } else { 0 };
        let late = now.since(self.at) - slots(skipped);
        let slot = self.next.plus(skipped);
        self.next = slot.next();
        self.at = self.at + slots(skipped + 1);
        Some(Due { slot, late, skipped })
    }

    /// Goes on from `slot` if that is ahead; the grid keeps its beat. Slots that are overdue are given up first, so that it
    /// ends no further ahead of time than `slot` is.
    pub fn lift(&mut self, now: Time, slot: Slot) {
        let overdue = u64::try_from(now.since(self.at).as_micros() / SLOT_DURATION.as_micros());
        let given_up = slot.since(self.next).min(overdue.unwrap_or(u64::MAX));
        self.at = self.at + slots(given_up);
        self.next = self.next.max(slot);
    }
}

/// Time that `count` slots take.
pub(crate) fn slots(count: u64) -> Duration {
    Slot(count).offset()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: WallTime = WallTime::from_millis(1_000_000);

    fn grid(first: u64, wall_ms: u64) -> Grid {
        Grid::new(Slot(first), SINCE, WallTime::from_millis(1_000_000 + wall_ms), Time::from_millis(500))
    }

    fn due(slot: u64, late_ms: u64, skipped: u64) -> Option<Due> {
        Some(Due { slot: Slot(slot), late: Duration::from_millis(late_ms), skipped })
    }

    #[test]
    fn slots_fall_due_on_the_grid_since_go_live() {
        let mut grid = grid(102, 2_000);
        assert_eq!(grid.at(), Time::from_millis(540));
        assert_eq!(grid.poll(Time::from_millis(539)), None);
        assert_eq!(grid.poll(Time::from_millis(543)), due(102, 3, 0));
        assert_eq!(grid.poll(Time::from_millis(559)), None);
        assert_eq!(grid.poll(Time::from_millis(560)), due(103, 0, 0));
    }

    #[test]
    fn a_short_stall_is_made_up_slot_by_slot_and_a_long_one_is_skipped() {
        let mut late = grid(0, 0);
        let now = Time::from_millis(500 + 200);
        let made_up: Vec<_> = std::iter::from_fn(|| late.poll(now)).map(|due| due.slot.0).collect();
        assert_eq!(made_up, (0..=10).collect::<Vec<_>>());
        let mut paused = grid(0, 0);
        assert_eq!(paused.poll(Time::from_millis(500 + 5_005)), due(250, 5, 250));
        assert_eq!(paused.poll(Time::from_millis(500 + 5_005)), None);
        assert_eq!(paused.next(), Slot(251));
    }

    #[test]
    fn a_slot_that_somebody_has_seen_is_never_given_again() {
        let mut grid = grid(5, 0);
        grid.lift(Time::from_millis(500), Slot(400));
        grid.lift(Time::from_millis(500), Slot(7));
        assert_eq!(grid.poll(Time::from_millis(600)).map(|due| due.slot), Some(Slot(400)));
    }

    #[test]
    fn a_first_slot_of_a_clock_far_ahead_does_not_silence_the_room() {
        assert_eq!(grid(1_000_000, 0).at(), Time::from_millis(2_500));
    }

    #[test]
    fn a_grid_that_goes_on_asks_no_clock() {
        let at = Time::from_millis(700);
        let due = |first| {
            let grid = Grid::going_on(Slot(first), (Slot(50), at));
            (grid.next().0, grid.at().since(at).as_millis())
        };
        assert_eq!([due(0), due(50), due(60), due(50_000)], [(50, 0), (50, 0), (60, 200), (50_000, 2_000)]);
    }

    #[test]
    fn a_first_slot_that_is_late_by_now_keeps_the_grid() {
        let mut late = grid(100, 2_015);
        assert_eq!(late.poll(Time::from_millis(500)), due(100, 15, 0));
        assert_eq!(late.at(), Time::from_millis(505));
    }
}
