//! The process's clocks, as the pure cores want them: read here, in the drivers, and passed on as values.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stentor_ids::Slot;
use stentor_pace::{Time, WallTime};
use stentor_proto::v1;
use tokio::time::Instant;

/// The moment that monotonic time counts from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// By how much the wall clock is moved, in microseconds.
static MOVED: AtomicI64 = AtomicI64::new(0);

/// Moves the wall clock of this process by so many microseconds from where the system has it. For a harness that sees what
/// a wrong clock does; nothing else calls it.
pub fn shift(micros: i64) {
    MOVED.store(micros, Relaxed);
}

/// Monotonic time now.
#[must_use]
pub fn now() -> Time {
    Time::default() + START.elapsed()
}

/// Wall-clock time now; the Unix epoch if the clock stands before it.
#[must_use]
pub fn wall() -> WallTime {
    let system = WallTime::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_micros(system.as_micros().saturating_add_signed(MOVED.load(Relaxed)))
}

/// The slot that is under way in a room of this state by the wall clock; `None` where that tells nothing, as it stands before
/// the go-live.
#[must_use]
pub fn slot(status: Option<&v1::RoomStatus>) -> Option<Slot> {
    let since = u64::try_from(status?.live_since_us).ok().filter(|since| *since > 0)?;
    let (since, now) = (WallTime::from_micros(since), wall());
    (now >= since).then(|| Slot::at(now.since(since)))
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
