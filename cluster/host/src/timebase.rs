//! The clocks of this process, read here and passed on as values.

use std::time::Duration;

pub(crate) use stentor_link::clock::wall;
use stentor_pace::Time;
use tokio::time::Instant;

/// Monotonic time at the start of the host: a day, so that moments from before it can be told as well.
const HEAD_START: Duration = Duration::from_secs(24 * 3600);

/// Where this host's monotonic time starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timebase(Instant);

impl Timebase {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Monotonic time.
    pub(crate) fn now(self) -> Time {
        Time::default() + HEAD_START + self.0.elapsed()
    }

    /// The moment of a monotonic time, to sleep until.
    pub(crate) fn instant(self, at: Time) -> Instant {
        self.0 + at.since(Time::default() + HEAD_START)
    }
}
