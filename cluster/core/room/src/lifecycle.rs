//! Where a room stands between being planned and being over, and the media clock that starts when it goes live.

use std::fmt;

use serde::{Deserialize, Serialize};
use stentor_ids::Slot;
use stentor_pace::WallTime;

/// `scheduled → open → live → ended`. It only ever moves forward; any state may end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Lifecycle {
    /// Known, with no actor anywhere.
    #[default]
    Scheduled,
    /// Doors are open, not on the air.
    Open,
    /// On the air.
    Live {
        /// Go-live time: the start of slot 0.
        since: WallTime,
    },
    /// Over, for good.
    Ended {
        /// When it was ended.
        at: WallTime,
    },
}

impl Lifecycle {
    /// Whether the room needs an owner: somebody may be in it.
    #[must_use]
    pub const fn has_owner(self) -> bool {
        matches!(self, Self::Open | Self::Live { .. })
    }

    /// The slot that is under way by the wall clock, if the room is live.
    #[must_use]
    pub const fn slot_at(self, now: WallTime) -> Option<Slot> {
        match self {
            Self::Live { since } => Some(Slot::at(now.since(since))),
            Self::Scheduled | Self::Open | Self::Ended { .. } => None,
        }
    }

    /// The first slot of a new owner, if the room is live: `margin` slots above both the wall clock and the highest slot
    /// that anyone has seen, so that no number comes twice even if the clocks of the two owners differ.
    #[must_use]
    pub fn resume_slot(self, now: WallTime, highest_seen: Option<Slot>, margin: u64) -> Option<Slot> {
        let by_clock = self.slot_at(now)?;
        Some(highest_seen.map_or(by_clock, |seen| by_clock.max(seen.next())).plus(margin))
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Live { .. } => "live",
            Self::Ended { .. } => "ended",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_from_go_live() {
        let live = Lifecycle::Live { since: WallTime::from_millis(1_000) };
        assert_eq!(live.slot_at(WallTime::from_millis(1_059)), Some(Slot(2)));
        assert_eq!(live.slot_at(WallTime::from_millis(900)), Some(Slot(0)));
        assert_eq!(Lifecycle::Open.slot_at(WallTime::from_millis(1_059)), None);
    }

    #[test]
    fn a_new_owner_starts_above_the_clock_and_above_what_was_heard() {
        let live = Lifecycle::Live { since: WallTime::from_millis(0) };
        let resume = |seen| live.resume_slot(WallTime::from_millis(2_000), seen, 5).unwrap();
        assert_eq!(resume(None), Slot(105));
        assert_eq!(resume(Some(Slot(7))), Slot(105));
        assert_eq!(resume(Some(Slot(100))), Slot(106));
        assert_eq!(resume(Some(Slot(300))), Slot(306));
        assert_eq!(Lifecycle::Open.resume_slot(WallTime::from_millis(2_000), None, 5), None);
    }
}
