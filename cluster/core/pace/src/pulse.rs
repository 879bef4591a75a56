//! Whether this process stood still: stopped by a signal, or with the machine that it runs on. It is told by beats of
//! something that does nothing else, so that much to do is not taken for it. What follows from a standstill is for others to
//! say.
//!
//! Invariant: a standstill of more than [`Pulse::STILL`] and a beat is told from its end on, also before the first beat after
//! it; one of less than [`Pulse::STILL`] never is.

use std::time::Duration;

use crate::Time;

/// The pulse of a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pulse {
    last: Option<Time>,
    /// When the process went on after it last stood still.
    stood: Option<Time>,
}

impl Pulse {
    /// How often [`Pulse::beat`] is to be called: half a slot. A thousandth of a core pays for it.
    pub const BEAT: Duration = Duration::from_millis(10);
    /// How late a beat is that says so: two slots, which is more than a thread that mostly sleeps waits for its turn on a
    /// machine with work to do.
    pub const STILL: Duration = Duration::from_millis(40);

    /// The process goes on. Returns for how long it stood still before, if it did.
    pub fn beat(&mut self, now: Time) -> Option<Duration> {
        let last = self.last.replace(now)?;
        let stood = Some(now.since(last)).filter(|passed| *passed > Self::BEAT + Self::STILL);
        self.stood = stood.map_or(self.stood, |_| Some(now));
        stood
    }

    /// Until when the process last stood still; `now`, if a beat is missing that was due before.
    #[must_use]
    pub fn stood(&self, now: Time) -> Option<Time> {
        let missing = self.last.is_some_and(|last| now.since(last) > Self::BEAT + Self::STILL);
        if missing { Some(now) } else { self.stood }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_process_that_has_not_begun_to_beat_has_not_stood_still() {
        assert_eq!(Pulse::default().stood(Time::from_millis(90_000)), None);
    }

    proptest! {
        #[test]
        fn a_standstill_is_told_from_its_end_on_and_a_busy_moment_never_is(
            late in prop::collection::vec(0_u64..39, 1..40), still in 51_u64..9_000, asked in 0_u64..10,
        ) {
            let (mut pulse, mut now) = (Pulse::default(), 1_000);
            pulse.beat(Time::from_millis(now));
            for late in late {
                now += 10 + late;
                prop_assert_eq!(pulse.stood(Time::from_millis(now)), None);
                prop_assert_eq!(pulse.beat(Time::from_millis(now)), None);
            }
            now += still;
            let awake = Some(Time::from_millis(now));
            prop_assert_eq!(pulse.stood(Time::from_millis(now)), awake, "asked before the first beat");
            prop_assert_eq!(pulse.beat(Time::from_millis(now)), Some(Duration::from_millis(still)));
            prop_assert_eq!(pulse.stood(Time::from_millis(now + asked)), awake);
        }
    }
}
