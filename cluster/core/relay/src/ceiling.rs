//! The highest slot that can be true of a room now, so that one number gone wrong does not put every true one out for good.
//! It does not know what the clock of whoever emits shows: a room is judged by its own last slot and by monotonic time.
//!
//! | known of the room | a slot is believed |
//! |---|---|
//! | a slot that was taken | up to as many slots after it as time has passed since, and [`MARGIN`] |
//! | nothing yet | up to [`CLOCKS`] after the slot that is under way by one's own clock |
//! | either, and it lies above that | once a line of slots has gone on for [`GOES_ON`], no lower line does, and nothing that was believed has come for [`QUIET`] |
//!
//! The last row is how a room is heard whose owner's clock is a year off, or whose next owner counts from another clock.
//!
//! Invariants: a slot above [`MOST`] is never believed; one slot alone raises nothing beyond the first two rows; what is
//! remembered is a few numbers.

use std::time::Duration;

use stentor_ids::{SLOTS_PER_SECOND, Slot};
use stentor_pace::Time;

/// How far ahead of its line a slot may be: 10 s. A claim names a slot a second ahead, and each of two owners may be 2 s
/// from the true time; twice that, for links that were held up.
const MARGIN: u64 = 10 * SLOTS_PER_SECOND;
/// How far ahead of one's own clock the first slot may be at once: ten minutes, for clocks that nobody sets.
pub const CLOCKS: u64 = 600 * SLOTS_PER_SECOND;
/// The highest slot that is believed at all: 87 years after go-live. A clock that stands in 1970 is nearer than that, and
/// a number of random bits is not.
pub const MOST: Slot = Slot(1 << 37);
/// How long a line of slots must have gone on that nothing else speaks for: 200 ms, which is heard once by whoever joins.
const GOES_ON: Duration = Duration::from_millis(200);
/// How many slots of such a line must have come, each above the last: those of that time.
const RISES: u32 = 10;
/// How long nothing that is believed may have come until another line may take its place: longer than any take-over.
const QUIET: Duration = Duration::from_secs(1);
/// Lines that are looked at: one from each of a few parents. Beyond it the one that was seen longest ago goes.
const LINES: usize = 4;

/// What can be true of one room's slots.
#[derive(Debug, Default)]
pub struct Ceiling {
    /// The highest slot taken, and when it came.
    line: Option<(Slot, Time)>,
    /// When a slot was taken last, whichever.
    taken: Time,
    /// Lines above what can be believed, as far as they have come.
    far: Vec<Far>,
}

#[derive(Debug)]
struct Far {
    slot: Slot,
    since: Time,
    at: Time,
    rises: u32,
}

impl Ceiling {
    /// Whether a slot that came now can be true. `clock` is asked for the slot that is under way by one's own clock, if that
    /// tells, while nothing is known of the room.
    pub fn admits(&mut self, now: Time, slot: Slot, clock: impl FnOnce() -> Option<Slot>) -> bool {
        let near = match self.line {
            Some((last, at)) => after(last, at, now),
            None => clock().unwrap_or_default().plus(CLOCKS),
        };
        slot <= MOST && (slot <= near || self.goes_on(now, slot))
    }

    /// A slot was taken.
    pub fn took(&mut self, now: Time, slot: Slot) {
        self.taken = now;
        if self.line.is_none_or(|(last, _)| slot > last) {
            self.line = Some((slot, now));
            self.far.retain(|far| far.slot > slot);
        }
    }

    /// Whether a slot above all that can be believed is of a line that has gone on for long enough.
    fn goes_on(&mut self, now: Time, slot: Slot) -> bool {
        let own = self.far.iter().position(|far| slot >= far.slot && slot <= after(far.slot, far.at, now));
        let Some(own) = own else {
            if self.far.len() == LINES {
                let oldest =
                    self.far.iter().enumerate().min_by_key(|(_, far)| far.at).map(|(place, _)| place);
                self.far.swap_remove(oldest.unwrap_or_default());
            }
            self.far.push(Far { slot, since: now, at: now, rises: 1 });
            return false;
        };
        let far = &mut self.far[own];
        if slot > far.slot {
            *far = Far { slot, at: now, rises: far.rises.saturating_add(1), ..*far };
        }
        let steady = far.rises >= RISES && now.since(far.since) >= GOES_ON;
        let lower = self.far.iter().any(|other| other.slot < slot && now.since(other.at) <= GOES_ON);
        let quiet = self.line.is_none() || now.since(self.taken) >= QUIET;
        steady && quiet && !lower
    }
}

/// The highest slot that a line can have come to since it was at `last`.
fn after(last: Slot, at: Time, now: Time) -> Slot {
    last.plus(Slot::at(now.since(at)).0).plus(MARGIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const YEAR: u64 = 365 * 24 * 3600 * SLOTS_PER_SECOND;

    fn ms(ms: u64) -> Time {
        Time::from_millis(1_000_000 + ms)
    }

    /// Whether the slot is believed, and taken if it is.
    fn comes(ceiling: &mut Ceiling, at: Time, slot: u64, clock: Option<u64>) -> bool {
        let admitted = ceiling.admits(at, Slot(slot), || clock.map(Slot));
        if admitted {
            ceiling.took(at, Slot(slot));
        }
        admitted
    }

    /// How many of a line's slots are believed, one each 20 ms.
    fn line(ceiling: &mut Ceiling, from_ms: u64, first: u64, count: u64, clock: Option<u64>) -> u64 {
        let believed =
            |n: &u64| comes(ceiling, ms(from_ms + n * 20), first + n, clock.map(|clock| clock + n));
        (0..count).filter(believed).count() as u64
    }

    #[test]
    fn a_room_is_believed_for_as_long_as_it_goes_on_whatever_the_clock_shows() {
        // Go-live was 11 minutes in the future of this clock, so it tells nothing, or 0.
        for clock in [None, Some(0)] {
            let mut ceiling = Ceiling::default();
            let hour = 3600 * SLOTS_PER_SECOND;
            assert_eq!((0..hour).filter(|n| comes(&mut ceiling, ms(n * 20), *n, clock)).count() as u64, hour);
        }
    }

    #[test]
    fn a_slot_far_ahead_is_not_believed_and_puts_nobody_out() {
        let mut ceiling = Ceiling::default();
        assert_eq!(line(&mut ceiling, 0, 100, 50, Some(100)), 50);
        for far in [100 + 50 + MARGIN + 1, YEAR, MOST.0 + 1, u64::MAX] {
            assert!(!comes(&mut ceiling, ms(1_000), far, Some(150)), "{far}");
        }
        assert_eq!(line(&mut ceiling, 1_000, 150, 50, Some(150)), 50);
    }

    #[test]
    fn what_passed_unheard_is_believed_by_the_time_that_it_took() {
        let mut ceiling = Ceiling::default();
        assert!(comes(&mut ceiling, ms(0), 7, None));
        assert!(!comes(&mut ceiling, ms(60_000), 7 + 3_000 + MARGIN + 1, None));
        assert!(comes(&mut ceiling, ms(60_000), 7 + 3_000 + MARGIN, None));
    }

    #[test]
    fn a_newcomer_hears_a_room_whose_clock_is_a_year_off_once_it_has_gone_on() {
        let mut ceiling = Ceiling::default();
        let believed = line(&mut ceiling, 0, YEAR, 100, Some(3));
        assert_eq!(believed, 90, "all but the first 200 ms");
    }

    #[test]
    fn a_line_that_stands_still_or_is_beyond_all_bounds_is_never_believed() {
        let mut ceiling = Ceiling::default();
        assert!((0..1_000).all(|n| !comes(&mut ceiling, ms(n * 20), YEAR, Some(n))));
        assert_eq!(line(&mut ceiling, 50_000, u64::MAX - 2_000, 1_000, Some(0)), 0);
        assert_eq!(line(&mut ceiling, 90_000, 3, 100, Some(3)), 100);
    }

    #[test]
    fn another_line_takes_the_place_of_one_that_has_ended_and_not_before() {
        let mut ceiling = Ceiling::default();
        assert_eq!(line(&mut ceiling, 0, 0, 50, None), 50);
        for n in 0..500 {
            assert!(!comes(&mut ceiling, ms(1_000 + n * 20), YEAR + n, None), "while the true one goes on");
            assert!(comes(&mut ceiling, ms(1_010 + n * 20), 50 + n, None));
        }
        let believed = line(&mut ceiling, 11_000, YEAR + 500, 200, None);
        assert!((140..=152).contains(&believed), "a second after the last true one: {believed}");
    }

    #[test]
    fn of_two_lines_that_nothing_speaks_for_the_lower_one_is_believed() {
        let mut ceiling = Ceiling::default();
        for n in 0..200 {
            assert!(!comes(&mut ceiling, ms(n * 20), 2 * YEAR + n, None));
            assert_eq!(comes(&mut ceiling, ms(n * 20 + 5), YEAR + n, None), n >= 10);
        }
    }

    proptest! {
        /// Whatever single slots come between, a line at the pace of time is believed from its first slot to its last.
        #[test]
        fn nothing_that_comes_once_keeps_a_line_from_being_believed(
            first in 0_u64..CLOCKS,
            noise in prop::collection::vec(prop::option::of(any::<u64>()), 1..300),
        ) {
            let mut ceiling = Ceiling::default();
            for (n, noise) in (0..).zip(noise) {
                prop_assert!(comes(&mut ceiling, ms(n * 20), first + n, Some(0)));
                if let Some(far) = noise.filter(|far| *far > first + n + 2 * MARGIN) {
                    prop_assert!(!comes(&mut ceiling, ms(n * 20 + 3), far, Some(0)));
                }
                prop_assert!(ceiling.far.len() <= LINES);
            }
        }
    }
}
