//! The process's clocks, as the pure parts want them.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stentor_pace::{Time, WallTime};
use tokio::time::Instant;

/// The moment that monotonic time counts from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Monotonic time now.
pub(crate) fn now() -> Time {
    Time::default() + START.elapsed()
}

/// Wall-clock time now; the Unix epoch if the clock stands before it.
pub(crate) fn wall() -> WallTime {
    WallTime::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The moment at which the monotonic time is `at`, to sleep until.
pub(crate) fn instant(at: Time) -> Instant {
    *START + Duration::from_micros(at.as_micros())
}

/// The monotonic time at which the wall clock shows `at`, as the two run now; now if that has passed.
pub(crate) fn when(at: WallTime) -> Time {
    now() + at.since(wall())
}
