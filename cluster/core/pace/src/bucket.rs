//! A bound on how often something happens. It does not know what is counted: packets, bytes, restarts.
//!
//! Invariant: in any span of time no more is let through than the burst and what that time refills.

use std::time::Duration;

use crate::Time;

/// A token bucket: `count` tokens drip in evenly every `period`, up to `burst`, and each thing done takes some out. It
/// starts full. The arithmetic is exact: nothing is lost to rounding however often it is asked.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// Tokens a period, which is also what one microsecond adds to `level`.
    count: u64,
    /// Length of a period in microseconds, which is also what one token takes from `level`.
    period: u64,
    burst: u64,
    level: u64,
    at: Time,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens into which `count` drip every `period` (at least 1 µs).
    #[must_use]
    pub fn new(count: u32, period: Duration, burst: u32) -> Self {
        let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
        let burst = u64::from(burst);
        Self { count: count.into(), period, burst, level: burst.saturating_mul(period), at: Time::default() }
    }

    /// Takes `tokens` out if all of them are there, and says whether it did. Time that goes back counts as no time.
    pub fn take(&mut self, now: Time, tokens: u32) -> bool {
        self.level = self.level_at(now);
        self.at = self.at.max(now);
        let cost = self.cost(tokens);
        let enough = cost <= self.level;
        if enough {
            self.level -= cost;
        }
        enough
    }

    /// Puts back what was taken for something that turned out not to count.
    pub fn put_back(&mut self, tokens: u32) {
        self.level = self.level.saturating_add(self.cost(tokens)).min(self.burst.saturating_mul(self.period));
    }

    /// How long until `tokens` can be taken: zero if they are there, [`Duration::MAX`] if they never will be.
    #[must_use]
    pub fn wait(&self, now: Time, tokens: u32) -> Duration {
        let missing = self.cost(tokens).saturating_sub(self.level_at(now));
        if missing == 0 {
            Duration::ZERO
        } else if u64::from(tokens) > self.burst || self.count == 0 {
            Duration::MAX
        } else {
            Duration::from_micros(missing.div_ceil(self.count))
        }
    }

    fn cost(&self, tokens: u32) -> u64 {
        u64::from(tokens).saturating_mul(self.period)
    }

    fn level_at(&self, now: Time) -> u64 {
        let micros = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let full = self.burst.saturating_mul(self.period);
        self.level.saturating_add(micros.saturating_mul(self.count)).min(full)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::new(100, Duration::from_secs(1), 3);
        let now = Time::from_millis(1000);
        assert!(bucket.take(now, 3));
        assert!(!bucket.take(now, 1));
        assert_eq!(bucket.wait(now, 1), Duration::from_millis(10));
        assert!(!bucket.take(now + Duration::from_micros(9_999), 1));
        assert!(bucket.take(now + Duration::from_millis(10), 1));
        assert_eq!(bucket.wait(now, 4), Duration::MAX);
    }

    #[test]
    fn a_rate_below_one_a_second_refills_too() {
        let mut restarts = TokenBucket::new(5, Duration::from_secs(60), 5);
        let now = Time::from_millis(7);
        assert!(restarts.take(now, 5));
        assert_eq!(restarts.wait(now, 1), Duration::from_secs(12));
    }

    #[test]
    fn what_is_put_back_can_be_taken_again_and_never_makes_more_than_the_burst() {
        let (mut bucket, now) = (TokenBucket::new(1, Duration::from_secs(1), 3), Time::from_millis(7));
        assert!(bucket.take(now, 3));
        bucket.put_back(1);
        assert!(bucket.take(now, 1) && !bucket.take(now, 1));
        bucket.put_back(9);
        assert!(bucket.take(now, 3) && !bucket.take(now, 1));
    }

    proptest! {
        #[test]
        fn no_span_of_time_lets_more_through_than_burst_and_refill(
            count in 1_u32..200, burst in 1_u32..50, steps: Vec<(u16, u8)>,
        ) {
            let period = Duration::from_millis(100);
            let mut bucket = TokenBucket::new(count, period, burst);
            let (mut now, mut taken) = (Time::default(), 0_u64);
            for (micros, tokens) in steps {
                now = now + Duration::from_micros(micros.into());
                let wait = bucket.wait(now, tokens.into());
                if bucket.take(now, tokens.into()) {
                    prop_assert_eq!(wait, Duration::ZERO);
                    taken += u64::from(tokens);
                } else if wait != Duration::MAX {
                    prop_assert!(bucket.clone().take(now + wait, tokens.into()));
                    prop_assert!(!bucket.clone().take(now + wait - Duration::from_micros(1), tokens.into()));
                }
                prop_assert!(taken <= u64::from(burst) + now.as_micros() * u64::from(count) / 100_000);
            }
        }
    }
}
