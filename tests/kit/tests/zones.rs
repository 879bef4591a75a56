//! Two origins that are cut from each other, and a directory that both see: the one that reaches more has the room, at once or
//! after a while, and it changes its owner once at most.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{net::Ipv4Addr, time::Duration};

use stentor_directory::View;
use stentor_kit::{Heard, Pair};
use stentor_room::Spec;

/// Whoever listens.
const LISTENER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// How long nothing may change: some contests, and several times as long as a mirror takes that contests nothing.
const NOTHING_CHANGES: Duration = Duration::from_secs(8);

/// Asserts that the room's epoch stays this one.
async fn stays(pair: &Pair, epoch: u64) {
    let mut view = pair.cluster.directory.view();
    let changes = |view: &View| view.owner(&pair.room).is_none_or(|now| now.epoch.0 != epoch);
    let changed = tokio::time::timeout(NOTHING_CHANGES, view.wait_for(changes)).await;
    assert!(changed.is_err(), "its owner is {:?}", pair.cluster.owner(&pair.room));
}

/// The two origins of a room, and somebody who hears its first owner.
async fn heard_pair() -> (Pair, Heard) {
    let pair = Pair::of(Spec::default()).await;
    let heard = pair.cluster.listen_as_edge("edge-1", &pair.room).await;
    heard.heard_of(1, 50).await;
    (pair, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_reaches_as_much_as_its_mirror_keeps_the_room() {
    let (pair, heard) = heard_pair().await;
    pair.cut_apart();
    stays(&pair, 1).await;
    assert_eq!(pair.owner.status(&pair.room).await.owner, pair.owner.id.as_str());
    assert_eq!(heard.audio().missing, [0; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_reaches_more_than_its_owner_has_the_room_and_keeps_it() {
    let (pair, heard) = heard_pair().await;
    pair.cut_apart();
    pair.to_owner.cut(LISTENER);
    let claim = pair.cluster.owner_from(&pair.room, 2).await;
    assert_eq!((claim.node, claim.epoch.0), (pair.mirror.id.clone(), 2));
    heard.heard_of(2, 50).await;
    stays(&pair, 2).await;
    assert_eq!(heard.audio().missing, [0; 0], "the mirror has led on");
}
