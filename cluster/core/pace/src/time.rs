//! The two kinds of time that cores are given.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

macro_rules! micros {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(u64);

        impl $type {
            /// From microseconds.
            #[must_use]
            pub const fn from_micros(micros: u64) -> Self {
                Self(micros)
            }

            /// From milliseconds. Saturates.
            #[must_use]
            pub const fn from_millis(millis: u64) -> Self {
                Self(millis.saturating_mul(1000))
            }

            /// In microseconds.
            #[must_use]
            pub const fn as_micros(self) -> u64 {
                self.0
            }

            /// In whole milliseconds.
            #[must_use]
            pub const fn as_millis(self) -> u64 {
                self.0 / 1000
            }

            /// How long after `earlier` this is; zero if it is not.
            #[must_use]
            pub const fn since(self, earlier: Self) -> Duration {
                Duration::from_micros(self.0.saturating_sub(earlier.0))
            }
        }

        impl Add<Duration> for $type {
            type Output = Self;
            fn add(self, wait: Duration) -> Self {
                Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
            }
        }

        impl Sub<Duration> for $type {
            type Output = Self;
            fn sub(self, wait: Duration) -> Self {
                Self(self.0.saturating_sub(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
            }
        }
    };
}

micros!(
    /// Monotonic time of this process: microseconds since a moment that only its driver knows. Never compared across
    /// processes.
    Time
);
micros!(
    /// Wall-clock time: microseconds since the Unix epoch, which is also how it is stored. Compared across nodes, so only
    /// ever as good as their clocks.
    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    WallTime
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_never_go_below_zero() {
        let (early, late) = (Time::from_millis(5), Time::from_millis(9));
        assert_eq!(late.since(early), Duration::from_millis(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early - Duration::from_secs(1), Time::default());
        assert_eq!(early + Duration::from_millis(4), late);
    }
}
