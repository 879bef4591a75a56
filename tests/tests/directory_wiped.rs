//! The directory comes back with nothing in it: those who run rooms put them back as they were, and admin nodes those that
//! nobody runs.

use stentor_tests::chaos::{Fault, Setting, World};

#[tokio::test(flavor = "multi_thread")]
async fn rooms_stay_where_they_are_and_none_is_lost_when_etcd_comes_back_empty() {
    let mut world = World::start(Setting::unhurried(1)).await.unwrap();
    let outcome = world.round(Fault::WipeEtcd, 1).await.unwrap();
    assert!(outcome.wrong().is_empty(), "{:?}: {outcome}", outcome.wrong());
    let others = outcome.others.unwrap();
    assert_eq!((others.moved, others.lost), (0, 0), "of {} rooms: {outcome}", others.rooms);
}
