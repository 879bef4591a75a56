//! The clocks of this process, as the pure cores want them: read here, by the drivers, and passed on as values. Nothing else
//! in a driver or a service asks the system for the time.
//!
//! Both clocks go by the time of the runtime that asks, which is what its timers go by. In a node that is the system's. A test
//! that pauses its runtime stops both and moves both, and two such tests in one process do not see each other's. A thread
//! of no runtime has the system's time: what it is to share with tasks is read in a task, or with the runtime entered.
//!
//! | clock | runs by | follows a step of the system's clock | compared across nodes |
//! |---|---|---|---|
//! | [`now`] | the runtime's time since the process began | no | never |
//! | [`wall`] | the system's clock, plus how far the runtime's time is from the process's | yes | yes |

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stentor_pace::{Time, WallTime};
use tokio::time::Instant;

/// Monotonic time at the beginning: a day, so that moments from before it can be told as well, and nothing that was never
/// counts as just now.
const HEAD_START: Duration = Duration::from_secs(24 * 3600);

/// The moment that monotonic time counts from, with the head start. Of the process and not of a runtime, so that one that is
/// paused and moved gives no other a time before its own.
static START: LazyLock<std::time::Instant> = LazyLock::new(process);

/// By how much the wall clock is moved, in microseconds.
static MOVED: AtomicI64 = AtomicI64::new(0);

/// Moves the wall clock of this process by so many microseconds from where the system has it. For a harness that sees what
/// a wrong clock does; nothing else calls it.
pub fn shift(micros: i64) {
    MOVED.store(micros, Relaxed);
}

/// Monotonic time now. Starts at a day.
#[must_use]
pub fn now() -> Time {
    let (start, now) = (Instant::from_std(*START), Instant::now());
    // A runtime that was paused before the first call stands a little before the start. Rounded once, so that an hour is an
    // hour on either side of it.
    let ahead = HEAD_START + now.saturating_duration_since(start);
    Time::default() + ahead.saturating_sub(start.saturating_duration_since(now))
}

/// Monotonic time now by the system's time, however that of the runtime goes: for what is about the process itself, as
/// whether it stood still.
#[must_use]
pub fn system() -> Time {
    Time::default() + HEAD_START + process().saturating_duration_since(*START)
}

/// Wall-clock time now; the Unix epoch if the clock stands before it.
#[must_use]
pub fn wall() -> WallTime {
    // In this order: were the thread to wait between two of them, what comes out is still a time since the call began.
    let (runtime, here) = (Instant::now().into_std(), process());
    let ahead = runtime.saturating_duration_since(here);
    let behind = here.saturating_duration_since(runtime);
    let wall = WallTime::default() + since_epoch() + ahead - behind;
    WallTime::from_micros(wall.as_micros().saturating_add_signed(MOVED.load(Relaxed)))
}

/// The moment at which the monotonic time is `at`, to sleep until.
#[must_use]
pub fn instant(at: Time) -> Instant {
    let (start, beginning) = (*START, Time::default() + HEAD_START);
    let instant = start + at.since(beginning);
    // What was a day before the process may be before the machine: it is over all the same.
    Instant::from_std(instant.checked_sub(beginning.since(at)).unwrap_or(start))
}

/// The monotonic time at which the wall clock shows `at`, as the two run now; now if that has passed.
#[must_use]
pub fn when(at: WallTime) -> Time {
    now() + at.since(wall())
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
fn process() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
