//! A relay that leaves the tree: its children go first.

use std::time::Duration;

use stentor_ids::Code;
use stentor_link::Carry;

use super::cluster::{Cluster, assert_each_once, emit, room, slots_until, until};

#[tokio::test]
async fn a_relay_that_leaves_is_left_by_its_children_without_a_missing_slot() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let relays =
        [cluster.relay("relay-1").await, cluster.relay("relay-2").await, cluster.relay("relay-3").await];
    let source = cluster.on_air(&origin);
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    let children = || relays.each_ref().map(|relay| relay.carrier.children());
    until("two relays have a child", || children().iter().sum::<usize>() == 2 && source.cursors() == 2).await;
    emit(&source, 1, 0..20, Duration::from_millis(10)).await;

    let leaving = relays.iter().find(|relay| relay.carrier.children() == 1).unwrap();
    leaving.carrier.leave();
    emit(&source, 1, 20..120, Duration::from_millis(10)).await;
    until("its child has gone", || leaving.carrier.children() == 0).await;
    assert_eq!(children().iter().sum::<usize>(), 2, "to another one");
    let fault = leaving.carrier.feed(&room()).await.err().unwrap();
    assert_eq!(fault.code, Code::Draining);
    assert_each_once(slots_until(&mut cursor, 119).await, 0..120);

    leaving.carrier.stay();
    assert!(leaving.carrier.feed(&room()).await.is_ok());
}

#[tokio::test]
async fn a_relay_that_leaves_and_is_the_only_one_goes_on_to_serve() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let relays = [cluster.relay("relay-1").await, cluster.relay("relay-2").await];
    let source = cluster.on_air(&origin);
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("both have a child", || relays.iter().all(|relay| relay.carrier.children() == 1)).await;
    until("both follow", || source.cursors() == 2).await;
    emit(&source, 1, 0..5, Duration::from_millis(10)).await;
    relays.iter().for_each(|relay| relay.carrier.leave());
    emit(&source, 1, 5..60, Duration::from_millis(10)).await;
    assert_each_once(slots_until(&mut cursor, 59).await, 0..60);
}
