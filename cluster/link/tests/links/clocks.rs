//! Owners and relays whose clocks do not agree: a room is judged by how it goes on, and a parent by what is taken of it.

use std::{sync::Arc, time::Duration};

use stentor_link::{Carry, Cursor, FeedWriter, Item};
use stentor_proto::v1;
use stentor_telemetry::Tier;
use tokio::time::timeout;

use super::cluster::{
    Cluster, Extra, Node, Rooms, SOON, assert_each_once, emit, frame, live, room, slots_until, until,
};

const PACE: Duration = Duration::from_millis(10);
const MINUTE_US: i64 = 60 * 1_000_000;
const YEAR_US: i64 = 365 * 24 * 60 * MINUTE_US;

/// The room as an owner tells it whose clock is so far off, and which went live an hour ago.
fn off_by(us: i64, epoch: u64) -> v1::RoomStatus {
    let live_since_us = i64::try_from(stentor_clock::wall().as_micros()).unwrap() + us - 60 * MINUTE_US;
    v1::RoomStatus { live_since_us, ..live("origin-1", epoch) }
}

const AN_HOUR: u64 = 3600 * 50;

#[tokio::test]
async fn a_room_is_heard_whatever_its_owner_s_clock_shows() {
    for us in [0, 2_000_000, -2_000_000, 71 * MINUTE_US, -71 * MINUTE_US, YEAR_US, -YEAR_US] {
        let cluster = Cluster::new();
        let origin = cluster.origin("origin-1").await;
        let source = origin.rooms.own(off_by(us, 1));
        let edge = cluster.edge("edge-1");
        let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
        until("the edge follows", || source.cursors() == 1).await;
        let emitting = tokio::spawn(async move { emit(&source, 1, AN_HOUR..AN_HOUR + 1_000, PACE).await });
        let first = timeout(SOON, first_slot(&mut cursor)).await;
        let first = first.unwrap_or_else(|_| panic!("an owner whose clock is {us} us off is not heard"));
        assert_each_once(slots_until(&mut cursor, first + 50).await, first + 1..first + 51);
        emitting.abort();
    }
}

async fn first_slot(cursor: &mut Cursor) -> u64 {
    loop {
        if let Item::Frame(frame) = cursor.next().await {
            return frame.slot.0;
        }
    }
}

#[tokio::test]
async fn a_room_that_is_heard_stays_so_when_its_state_names_another_go_live() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let source = origin.rooms.own(off_by(0, 1));
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the edge follows", || source.cursors() == 1).await;
    emit(&source, 1, AN_HOUR..AN_HOUR + 20, PACE).await;
    source.set_status(Arc::new(v1::RoomStatus { stage_version: 1, ..off_by(YEAR_US, 1) }));
    emit(&source, 1, AN_HOUR + 20..AN_HOUR + 60, PACE).await;
    assert_each_once(slots_until(&mut cursor, AN_HOUR + 59).await, AN_HOUR..AN_HOUR + 60);
}

/// A relay that brings what the test puts into its feed.
async fn source(cluster: &Cluster, name: &str) -> (Node, Arc<FeedWriter>) {
    let rooms = Arc::new(Rooms::default());
    let feed = rooms.own(off_by(0, 1));
    let own: Arc<dyn Carry> = rooms;
    (cluster.node(name, Tier::Relay, Extra { own: Some(own), ..Extra::default() }).await, feed)
}

#[tokio::test]
async fn a_parent_whose_slots_are_refused_is_not_heard_and_another_takes_its_place() {
    let cluster = Cluster::new();
    let mut relays = Vec::new();
    for n in 1..=3 {
        relays.push(source(&cluster, &format!("relay-{n}")).await);
    }
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    let taken =
        |relays: &[(Node, Arc<FeedWriter>)]| relays.iter().filter(|(_, feed)| feed.cursors() > 0).count();
    until("the edge has two parents", || taken(&relays) == 2).await;
    // The one that is not a parent comes last, and the liar first.
    relays.sort_by_key(|(_, feed)| std::cmp::Reverse(feed.cursors()));
    let [(_, liar), (_, true_one), (_, spare)] = &relays[..] else { panic!("there are three") };
    let mut slot = AN_HOUR;
    let all = timeout(SOON, async {
        while spare.cursors() == 0 {
            liar.push(frame(1, u64::MAX - 2 * AN_HOUR + slot));
            true_one.push(frame(1, slot));
            slot += 1;
            tokio::time::sleep(PACE).await;
        }
    });
    assert!(all.await.is_ok(), "the edge stays with a parent of which it takes nothing");
    assert_each_once(slots_until(&mut cursor, slot - 1).await, AN_HOUR..slot);
}
