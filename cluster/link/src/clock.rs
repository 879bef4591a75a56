//! The process's clocks, as the pure cores want them: read here, in the drivers, and passed on as values.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stentor_pace::{Time, WallTime};
use tokio::time::Instant;

/// The moment that monotonic time counts from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Monotonic time now.
#[must_use]
pub fn now() -> Time {
    Time::default() + START.elapsed()
}

/// Wall-clock time now; the Unix epoch if the clock stands before it.
#[must_use]
pub fn wall() -> WallTime {
    WallTime::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The moment at which the monotonic time is `at`, to sleep until.
#[must_use]
pub fn instant(at: Time) -> Instant {
    *START + Duration::from_micros(at.as_micros())
}

/// The monotonic time at which the wall clock shows `at`, as the two run now; now if that has passed.
#[must_use]
pub fn when(at: WallTime) -> Time {
    now() + at.since(wall())
}
