//! The clock of this process, by the names that the host has for it.

pub(crate) use stentor_clock::wall;
use stentor_pace::Time;
use tokio::time::Instant;

/// Monotonic time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timebase;

impl Timebase {
    pub(crate) const fn start() -> Self {
        Self
    }

    pub(crate) fn now(self) -> Time {
        stentor_clock::now()
    }

    /// The moment of a monotonic time, to sleep until.
    pub(crate) fn instant(self, at: Time) -> Instant {
        stentor_clock::instant(at)
    }
}
