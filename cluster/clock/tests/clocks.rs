//! Both clocks by the time of the runtime. What a moved wall clock does is shown with whole nodes.

use std::time::Duration;

use stentor_clock::{instant, now, wall, when};
use stentor_pace::{Time, WallTime};
use tokio::time::{Instant, advance, sleep, sleep_until};

const HOUR: Duration = Duration::from_secs(3600);
/// The wall clock is put together of three readings, between which a busy machine may do something else.
const BETWEEN: Duration = Duration::from_secs(5);

fn is(wall: WallTime, expected: WallTime) -> bool {
    wall.since(expected) < BETWEEN && expected.since(wall) < BETWEEN
}

#[tokio::test(start_paused = true)]
async fn a_paused_test_stops_both_clocks_and_moves_both() {
    let (time, at) = (now(), wall());
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(now(), time);
    advance(HOUR).await;
    assert_eq!(now(), time + HOUR);
    assert!(is(wall(), at + HOUR));
    sleep(HOUR).await;
    assert!(now().since(time) >= 2 * HOUR && is(wall(), at + 2 * HOUR));
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_paused_does_not_run_on() {
    // A single reading may be late; the earliest of many is not.
    let earliest = || (0..100).map(|_| wall()).min();
    let before = earliest();
    std::thread::sleep(Duration::from_millis(200));
    let passed = earliest().zip(before).map(|(after, before)| after.since(before));
    assert!(passed < Some(Duration::from_millis(100)), "{passed:?}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "it is compared with the system's")]
async fn what_runs_is_the_clock_of_the_system() {
    let (system, at) = (std::time::SystemTime::now(), wall());
    let system = system.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(is(at, WallTime::default() + system), "{at:?} is {system:?}");
    let (time, began) = (now(), Instant::now());
    sleep(Duration::from_millis(20)).await;
    assert!(now().since(time) >= Duration::from_millis(20) && now().since(time) <= began.elapsed() + BETWEEN);
}

#[test]
fn a_thread_of_no_runtime_has_the_time_of_the_system() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    runtime.block_on(advance(HOUR));
    let ahead = runtime.block_on(async { now() });
    let here = now();
    assert!(ahead.since(here) > HOUR / 2, "{ahead:?} there, {here:?} here");
    let _entered = runtime.enter();
    assert_eq!(now(), ahead);
}

#[tokio::test(start_paused = true)]
async fn one_sleeps_until_a_time_and_until_the_wall_clock_shows_another() {
    let due = now() + HOUR;
    sleep_until(instant(due)).await;
    assert!(now() >= due && now().since(due) < Duration::from_millis(2), "timers are of a millisecond");
    let left = when(wall() + HOUR).since(now());
    assert!(left < HOUR + BETWEEN && left + BETWEEN > HOUR, "{left:?}");
    assert_eq!(when(WallTime::default()), now(), "that has passed");
}

#[tokio::test]
async fn a_moment_from_before_the_process_can_be_told_and_is_over() {
    assert!(now() - HOUR > Time::default());
    for at in [Time::default(), now() - HOUR] {
        assert!(instant(at) <= Instant::now());
    }
}
