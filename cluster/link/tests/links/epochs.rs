//! A room whose owner changes: children stay, follow the new owner, and take nothing more of the old one.

use std::time::Duration;

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_link::{Carry, Item, Reported};
use stentor_pace::check::{EpochFence, SlotOnce};
use tokio::time::timeout;

use super::{
    cluster::{Cluster, SOON, emit, frame, live, next, room, slots_until, until},
    lagging_child::{child, hello},
};
use stentor_proto::v1::{self, subscribe_response::Message};

const PACE: Duration = Duration::from_millis(10);

#[tokio::test]
async fn children_stay_when_an_owner_dies_and_hear_the_next_one_without_asking_again() {
    let cluster = Cluster::new();
    let [first, second] = [cluster.origin("origin-1").await, cluster.origin("origin-2").await];
    let relays = [cluster.relay("relay-1").await, cluster.relay("relay-2").await];
    let source = cluster.on_air(&first);
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the relays follow", || source.cursors() == 2).await;
    emit(&source, 1, 0..20, PACE).await;
    slots_until(&mut cursor, 19).await;

    first.proxy.cut();
    cluster.view.set_owner(None);
    let unowned = loop {
        match next(&mut cursor).await {
            Item::Status(status) if status.owner.is_empty() => break status,
            Item::Closed(closed) => panic!("the feed ended: {closed:?}"),
            _ => {}
        }
    };
    assert_eq!(unowned.lifecycle(), v1::Lifecycle::Live);

    let source = second.rooms.own(live("origin-2", 2));
    cluster.view.set_owner(Some((&second, 2, 60)));
    until("the relays follow the new owner", || source.cursors() == 2).await;
    let reported = source.reported().unwrap();
    assert_eq!(reported, Reported { slot: Slot(19), epoch: Epoch(2), lineage: Lineage(1) });
    emit(&source, 2, 60..80, PACE).await;
    assert_eq!(slots_until(&mut cursor, 79).await.len(), 20);
    drop(relays);
}

#[tokio::test]
async fn an_older_epoch_is_refused_from_the_claim_on() {
    let cluster = Cluster::new();
    let [first, second] = [cluster.origin("origin-1").await, cluster.origin("origin-2").await];
    let relay = cluster.relay("relay-1").await;
    let old = first.rooms.own(live("origin-1", 1));
    cluster.view.set_status(Some(live("", 1)));
    cluster.view.set_owner(Some((&first, 1, 0)));
    let feed = relay.carrier.feed(&room()).await.unwrap();
    let mut cursor = feed.subscribe(None);
    until("the relay follows the old owner", || old.cursors() == 1).await;
    emit(&old, 1, 0..10, PACE).await;

    let new = second.rooms.own_from(15, live("origin-2", 2));
    cluster.view.set_owner(Some((&second, 2, 15)));
    until("the relay follows the new owner", || new.cursors() == 1).await;
    // The old owner knows nothing yet and goes on; its frames below the claim are still its own.
    emit(&old, 1, 10..25, PACE).await;
    emit(&new, 2, 15..40, PACE).await;
    let (mut once, mut fence) = (SlotOnce::default(), EpochFence::default());
    fence.claimed(Epoch(2), Slot(15));
    loop {
        match next(&mut cursor).await {
            Item::Frame(frame) => {
                once.given(frame.slot, frame.lineage).unwrap();
                fence.took(frame.epoch, frame.slot).unwrap();
                if frame.slot == Slot(39) {
                    break;
                }
            }
            Item::Closed(closed) => panic!("the feed ended: {closed:?}"),
            _ => {}
        }
    }
    until("the old owner is left", || old.cursors() == 0).await;
}

#[tokio::test]
async fn an_epoch_is_learned_from_a_frame_and_told_to_children() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let source = origin.rooms.own(live("origin-1", 4));
    let mut stream = child(&cluster, &origin, hello("child")).await;
    source.push(frame(5, 100));
    source.push(frame(4, 101));
    source.push(frame(5, 101));
    let mut told = Vec::new();
    while told.len() < 2 {
        let response = timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
        if let Some(Message::Frame(frame)) = response.message {
            told.push((frame.epoch, frame.slot));
        }
    }
    assert_eq!(told, [(5, 100), (5, 101)]);
}

#[tokio::test]
async fn a_room_that_is_handed_over_in_order_is_followed_without_a_missing_slot() {
    let cluster = Cluster::new();
    let [first, second] = [cluster.origin("origin-1").await, cluster.origin("origin-2").await];
    let _relays = [cluster.relay("relay-1").await, cluster.relay("relay-2").await];
    let old = first.rooms.own(live("origin-1", 1));
    cluster.view.set_status(Some(live("", 1)));
    cluster.view.set_owner(Some((&first, 1, 0)));
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the relays follow", || old.cursors() == 2).await;
    emit(&old, 1, 0..10, PACE).await;
    // The new owner begins while the old one still emits up to the named slot.
    let new = second.rooms.own_from(30, live("origin-2", 2));
    cluster.view.set_owner(Some((&second, 2, 30)));
    emit(&old, 1, 10..30, PACE).await;
    emit(&new, 2, 30..60, PACE).await;
    first.rooms.disown();
    emit(&new, 2, 60..70, PACE).await;
    super::cluster::assert_each_once(slots_until(&mut cursor, 69).await, 0..70);
}
