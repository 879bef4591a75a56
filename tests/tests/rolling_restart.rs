//! A new version is rolled out: every node in turn gets SIGTERM and is started again. Who listens and follows the hints of
//! leaving edges misses nothing.

use std::time::Duration;

use stentor_tests::chaos::{Fault, Setting, World};

#[tokio::test(flavor = "multi_thread")]
async fn listeners_who_follow_the_hints_miss_nothing_of_a_rolling_restart() {
    let setting = Setting { drain: Duration::from_secs(8), ..Setting::unhurried(1) };
    let mut world = World::start(setting).await.unwrap();
    let outcome = world.round(Fault::RollingRestart, 1).await.unwrap();
    assert!(outcome.wrong().is_empty(), "{:?}: {outcome}", outcome.wrong());
}
