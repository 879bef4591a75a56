//! Who waits for a lineage that nobody mixes any more. Whoever plays a lineage takes no slot of a lower one; so if who mixed it
//! is gone, and who mixes now has a lower one, it would wait for good. It can only be helped by whoever mixes. It does not
//! know how that is told.
//!
//! Invariants: nobody is stuck for less than [`STUCK`]; what children say takes at most the lower half of an epoch's lineages,
//! and no more of them in a time than [`Lifts`] lets them.

use std::time::Duration;

use stentor_ids::Lineage;
use stentor_pace::{Time, TokenBucket};

/// How long a lineage brings no slot until who plays it is stuck on it. Twice the time in which a parent that stalls is let
/// go, so that a take-over or another parent is none of it: those take less.
pub const STUCK: Duration = Duration::from_secs(1);
/// How far above the highest lineage known somebody may say to be stuck: those of an origin that is not heard, and was started
/// anew some thirty times meanwhile. Beyond it the word is let go.
const LINEAGES_AHEAD: u64 = 64;
/// Up to which of an epoch's lineages one goes above who is stuck: half of them, so that nobody can use those up that
/// take-overs need. Beyond it who is stuck stays so until the next epoch.
const HIGHEST_STUCK: u64 = 1 << 15;
/// How many times in a row one goes above who is stuck, and how long until once more. A true word is rare: an origin that led
/// must vanish for each. One that lies each time needs eight hours to come to [`HIGHEST_STUCK`].
const LIFTS: u32 = 8;
const LIFT_AGAIN: Duration = Duration::from_secs(60);

/// That a lineage is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stuck {
    /// What somebody played, or a node took, and has nothing of any more.
    pub lineage: Lineage,
    /// For how long at least: it may have been longer by the age of a report.
    pub stood: Duration,
}

impl Stuck {
    /// On this lineage, if it has stood still for long enough.
    #[must_use]
    pub fn on(lineage: Lineage, stood: Duration) -> Option<Self> {
        (stood >= STUCK && lineage > Lineage(0)).then_some(Self { lineage, stood })
    }
}

/// Whether somebody can be stuck on this lineage, where the highest known is `known`. Of an epoch that is not known here
/// nobody can be helped from here.
#[must_use]
pub const fn can_be_stuck(known: Lineage, said: Lineage) -> bool {
    said.0 <= known.0
        || (said.epoch().0 == known.epoch().0
            && said.0 - known.0 <= LINEAGES_AHEAD
            && said.count() < HIGHEST_STUCK)
}

/// How often one goes above who is stuck.
#[derive(Debug)]
pub struct Lifts(TokenBucket);

impl Default for Lifts {
    fn default() -> Self {
        Self(TokenBucket::new(1, LIFT_AGAIN, LIFTS))
    }
}

impl Lifts {
    /// Whether to go above somebody who is stuck on `said`, where the highest lineage known is `known`; if so it counts.
    pub fn take(&mut self, now: Time, known: Lineage, said: Lineage) -> bool {
        can_be_stuck(known, said) && self.0.take(now, 1)
    }
}

#[cfg(test)]
mod tests {
    use stentor_ids::Epoch;

    use super::*;

    fn at(count: u64) -> Lineage {
        Lineage(Lineage::of(Epoch(7)).0 + count)
    }

    #[test]
    fn what_has_stood_still_for_less_than_a_second_or_was_never_played_is_not_stuck() {
        assert_eq!(Stuck::on(at(1), Duration::from_millis(999)), None);
        assert_eq!(Stuck::on(Lineage(0), Duration::from_secs(9)), None);
        assert!(Stuck::on(at(1), STUCK).is_some());
    }

    #[test]
    fn nobody_is_stuck_far_above_what_is_known_nor_in_the_upper_half_of_an_epoch() {
        assert!(can_be_stuck(at(3), at(1)) && can_be_stuck(at(0), Lineage::of(Epoch(2))), "what is known");
        assert!(can_be_stuck(at(0), at(LINEAGES_AHEAD)) && !can_be_stuck(at(0), at(LINEAGES_AHEAD + 1)));
        assert!(!can_be_stuck(at(0), Lineage::of(Epoch(8))) && !can_be_stuck(at(9), Lineage(u64::MAX)));
        assert!(can_be_stuck(at(HIGHEST_STUCK - 2), at(HIGHEST_STUCK - 1)));
        assert!(!can_be_stuck(at(HIGHEST_STUCK - 1), at(HIGHEST_STUCK)));
    }

    #[test]
    fn whoever_lies_each_time_needs_hours_for_the_lower_half_and_never_comes_beyond() {
        let (mut lifts, mut known, mut now) = (Lifts::default(), at(0), Time::default());
        let mut hours = None;
        for second in 0..48 * 3600 {
            now = now + Duration::from_secs(1);
            let said = [LINEAGES_AHEAD, 1].map(|ahead| Lineage(known.0 + ahead));
            let said = said.into_iter().find(|said| can_be_stuck(known, *said));
            match said {
                Some(said) if lifts.take(now, known, said) => known = said.next(),
                Some(_) => {}
                None => hours = hours.or(Some(second / 3600)),
            }
        }
        assert!(known.count() <= HIGHEST_STUCK, "{known}");
        assert_eq!(hours, Some(8));
    }
}
