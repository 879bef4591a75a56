//! How long to wait before the next try of something that failed. It knows nothing of what is tried, and draws no random
//! number itself.
//!
//! Invariant: no wait is longer than the cap.

use std::time::Duration;

/// Capped exponential backoff with full jitter: the wait is uniform between zero and a ceiling that doubles with each
/// failure. Full jitter spreads the many children of a lost parent widest (M. Brooker, "Exponential Backoff And
/// Jitter", AWS Architecture Blog, 2015).
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// The ceiling is `base` for the first wait and doubles up to `cap`. A `base` below 1 ms counts as 1 ms, as doubling
    /// zero would retry for ever without a pause.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base: base.max(Duration::from_millis(1)), cap, failures: 0 }
    }

    /// Counts a failure and says how long to wait; `random` is any uniformly distributed number.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        let nanos = ceiling.as_nanos() * u128::from(random) / u128::from(u64::MAX);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Forgets the failures: what was tried has worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last [`reset`](Self::reset).
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The longest wait that [`next`](Self::next) can give now.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        let doubled = 2_u32.checked_pow(self.failures).and_then(|factor| self.base.checked_mul(factor));
        doubled.map_or(self.cap, |ceiling| ceiling.min(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap_and_starts_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..6).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX / 2).as_millis(), 49);
        assert_eq!(backoff.next(0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_cap(base: u32, cap: u64, randoms: Vec<u64>) {
            let cap = Duration::from_nanos(cap);
            let mut backoff = Backoff::new(Duration::from_millis(base.into()), cap);
            for random in randoms {
                prop_assert!(backoff.next(random) <= cap);
            }
        }
    }
}
