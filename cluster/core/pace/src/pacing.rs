//! How often something is told that may change faster than anybody needs to know. It does not know what is told: whoever
//! tells it tells it as it is then, so that what changed meanwhile is told once.
//!
//! Invariants: what was wanted is due within one period; between two tellings that nobody hurried lies at least a period.

use std::time::Duration;

use crate::Time;

/// Tells when something that changes is to be told again.
#[derive(Debug, Clone)]
pub struct Pacing {
    period: Duration,
    last: Option<Time>,
    due: Option<Time>,
}

impl Pacing {
    /// At most once in each `period`.
    #[must_use]
    pub const fn new(period: Duration) -> Self {
        Self { period, last: None, due: None }
    }

    /// There is something to tell: at once if nothing was told for a period, else when that is over.
    pub fn want(&mut self, now: Time) {
        let at = self.last.map_or(now, |last| last + self.period).max(now);
        self.due.get_or_insert(at);
    }

    /// There is something to tell that does not wait.
    pub fn hurry(&mut self, now: Time) {
        self.due = Some(now);
    }

    /// When it is to be told; `None` while there is nothing to tell.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        self.due
    }

    /// Whether it is to be told now. Whoever asks tells it then.
    pub fn take(&mut self, now: Time) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            (self.last, self.due) = (Some(now), None);
        }
        due
    }

    /// When the period since the last telling is over: until then nothing is due that nobody hurries.
    #[must_use]
    pub fn rested(&self) -> Time {
        self.last.map_or_else(Time::default, |last| last + self.period)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(200);

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn the_first_is_told_at_once_and_what_follows_when_the_period_is_over() {
        let mut pacing = Pacing::new(PERIOD);
        assert!(!pacing.take(at(1000)));
        pacing.want(at(1000));
        assert!(pacing.take(at(1000)));
        for millis in [1010, 1100, 1150] {
            pacing.want(at(millis));
            assert!(!pacing.take(at(millis)));
        }
        assert_eq!(pacing.deadline(), Some(at(1200)));
        assert!(pacing.take(at(1203)) && !pacing.take(at(1204)));
        pacing.want(at(2000));
        assert_eq!(pacing.deadline(), Some(at(2000)));
    }

    #[test]
    fn what_is_urgent_does_not_wait_and_tells_what_waited() {
        let mut pacing = Pacing::new(PERIOD);
        pacing.hurry(at(1000));
        assert!(pacing.take(at(1000)));
        pacing.want(at(1001));
        pacing.hurry(at(1002));
        assert!(pacing.take(at(1002)));
        assert_eq!(pacing.deadline(), None);
        pacing.want(at(1003));
        assert_eq!((pacing.deadline(), pacing.rested()), (Some(at(1202)), at(1202)));
    }

    proptest! {
        #[test]
        fn however_often_it_changes_no_second_has_more_than_six_tellings_and_none_waits_longer_than_a_period(
            changes in prop::collection::vec(0_u64..40, 1..400),
        ) {
            let (mut pacing, mut now, mut told, mut since) = (Pacing::new(PERIOD), 0, Vec::new(), None);
            for wait in changes {
                for _ in 0..wait {
                    now += 1;
                    if pacing.take(at(now)) {
                        prop_assert!(now - since.take().unwrap_or(now) <= 200);
                        told.push(now);
                    }
                }
                pacing.want(at(now));
                since.get_or_insert(now);
            }
            prop_assert!(told.windows(2).all(|two| two[1] - two[0] >= 200));
        }
    }
}
