//! A room that was deleted and made again under its name, at nodes that still know the former one.

use std::time::Duration;

use stentor_ids::Slot;
use stentor_link::{Carry, Closed, Item};
use stentor_proto::v1;

use super::{
    cluster::{Cluster, assert_each_once, emit, live, next, room, slots_until, until},
    lagging_child::{child, hello},
};

const PACE: Duration = Duration::from_millis(10);

fn made(owner: &str, epoch: u64, incarnation: u64) -> v1::RoomStatus {
    v1::RoomStatus { incarnation, ..live(owner, epoch) }
}

#[tokio::test]
async fn nodes_that_carry_the_former_room_begin_anew_below_its_slots_and_epochs() {
    let cluster = Cluster::new();
    let [first, second] = [cluster.origin("origin-1").await, cluster.origin("origin-2").await];
    let _relays = [cluster.relay("relay-1").await, cluster.relay("relay-2").await];
    let old = first.rooms.own(made("origin-1", 5, 7));
    cluster.view.set_status(Some(made("", 5, 7)));
    cluster.view.set_owner(Some((&first, 5, 0)));
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the relays follow", || old.cursors() == 2).await;
    emit(&old, 5, 500..520, PACE).await;
    slots_until(&mut cursor, 519).await;

    // Nobody told of the end. The former owner does not know either, and goes on.
    let new = second.rooms.own(made("origin-2", 1, 9));
    cluster.view.set_owner(Some((&second, 1, 0)));
    cluster.view.set_status(Some(made("", 1, 9)));
    let closed = loop {
        if let Item::Closed(closed) = next(&mut cursor).await {
            break closed;
        }
    };
    assert_eq!(closed, Closed::Ended);
    edge.meet(&room(), 9);
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the relays follow the new one", || new.cursors() == 2).await;
    old.push(super::cluster::frame(5, 520));
    emit(&new, 1, 0..30, PACE).await;
    assert_each_once(slots_until(&mut cursor, 29).await, 0..30);
    assert_eq!(edge.feed(&room()).await.unwrap().incarnation(), 9);
}

#[tokio::test]
async fn what_a_child_has_seen_of_the_former_room_says_nothing_of_this_one() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let source = origin.rooms.own(made("origin-1", 1, 9));
    let seen = |incarnation| v1::SubscribeHello {
        highest_slot: 4_000,
        highest_epoch: 5,
        incarnation,
        ..hello("relay-1")
    };
    let _former = child(&cluster, &origin, seen(7)).await;
    assert_eq!(source.reported(), Some(stentor_link::Reported::default()));
    let _this = child(&cluster, &origin, seen(9)).await;
    assert_eq!(source.reported().unwrap().slot, Slot(4_000));
}

#[tokio::test]
async fn a_parent_that_still_tells_the_former_room_undoes_nothing() {
    let cluster = Cluster::new();
    let mut origins = Vec::new();
    for (n, incarnation) in [(1, 9), (2, 9)] {
        let name = format!("origin-{n}");
        let origin = cluster.origin(&name).await;
        let feed = origin.rooms.own(made(&name, 1, incarnation));
        origins.push((origin, feed));
    }
    let edge = cluster.edge("edge-1");
    edge.meet(&room(), 9);
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("both are parents", || origins.iter().all(|(_, feed)| feed.cursors() == 1)).await;
    emit(&origins[0].1, 1, 0..5, PACE).await;
    slots_until(&mut cursor, 4).await;
    // It is made anew, and one parent knows.
    origins[0].0.rooms.disown();
    let new = origins[0].0.rooms.own(made("origin-1", 1, 11));
    let closed = loop {
        if let Item::Closed(closed) = next(&mut cursor).await {
            break closed;
        }
    };
    assert_eq!(closed, Closed::Ended);
    edge.meet(&room(), 11);
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the new one is followed", || new.cursors() == 1 && origins[1].1.cursors() == 1).await;
    origins[1].1.push(super::cluster::frame(1, 5));
    origins[1].1.set_status(std::sync::Arc::new(made("origin-2", 3, 9)));
    emit(&new, 1, 0..20, PACE).await;
    assert_each_once(slots_until(&mut cursor, 19).await, 0..20);
}
