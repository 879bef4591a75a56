//! A relay under both origins of a room: either may fail, and the room goes on.

use std::{future, sync::Arc, time::Duration};

use futures::StreamExt;
use stentor_ids::{Epoch, Slot};
use stentor_link::{Carry, Cursor, FeedWriter, Item};
use stentor_proto::v1::{self, happening::What};
use stentor_telemetry::LinkKind;
use tokio::time::timeout;

use super::cluster::{
    Cluster, Node, SOON, assert_each_once, frame, id, live, next, room, slots_until, until,
};

const PACE: Duration = Duration::from_millis(10);

/// An owner, a mirror that passes the same on, a relay that follows both, and a reader of the relay.
struct Pair {
    cluster: Cluster,
    origins: [Node; 2],
    feeds: [Arc<FeedWriter>; 2],
    relay: Node,
    cursor: Cursor,
}

impl Pair {
    async fn new() -> Self {
        let cluster = Cluster::new();
        let origins = [cluster.origin("origin-1").await, cluster.origin("origin-2").await];
        let relay = cluster.relay("relay-1").await;
        let feeds = [0, 1].map(|n: usize| origins[n].rooms.own(live("origin-1", 1)));
        cluster.view.set_status(Some(live("", 1)));
        cluster.view.set_owner(Some((&origins[0], 1, 0)));
        cluster.view.set_mirror(Some(&origins[1]));
        let cursor = relay.carrier.feed(&room()).await.unwrap().subscribe(None);
        let pair = Self { cluster, origins, feeds, relay, cursor };
        until("the relay follows both", || pair.feeds.iter().all(|feed| feed.cursors() == 1)).await;
        pair
    }

    /// The two origins emit the same.
    async fn emit(&self, slots: std::ops::Range<u64>) {
        let mut tick = tokio::time::interval(PACE);
        for slot in slots {
            tick.tick().await;
            for feed in &self.feeds {
                feed.push(frame(1, slot));
            }
        }
    }

    fn heard(&self, origin: &str) -> Option<Duration> {
        self.relay.carrier.heard(&room(), &id(origin))
    }
}

#[tokio::test]
async fn an_origin_that_dies_or_is_a_black_hole_costs_no_slot_and_is_told_as_unheard() {
    let mut pair = Pair::new().await;
    let told = pair.cluster.journal.watch();
    pair.emit(0..30).await;
    assert!(pair.heard("origin-1").unwrap() < Duration::from_millis(200));
    pair.origins[0].proxy.freeze();
    pair.emit(30..100).await;
    assert!(pair.heard("origin-1").unwrap() > Duration::from_millis(500));
    assert!(pair.heard("origin-2").unwrap() < Duration::from_millis(200));
    assert_eq!(pair.heard("origin-3"), None);
    pair.origins[0].proxy.restore();
    until("the black hole is left for a new connection", || pair.feeds[0].cursors() == 1).await;
    pair.emit(100..130).await;
    until("it is heard again", || pair.heard("origin-1").unwrap() < Duration::from_millis(200)).await;
    pair.origins[1].proxy.cut();
    pair.emit(130..180).await;
    assert_each_once(slots_until(&mut pair.cursor, 179).await, 0..180);

    let parents = told.filter_map(|happening| {
        future::ready(match happening.what {
            Some(What::Parent(change)) => Some((change.parent, change.taken, !change.why.is_empty())),
            _ => None,
        })
    });
    // That both were taken may be told after they follow.
    let parents = parents.skip_while(|(_, taken, _)| future::ready(*taken));
    let parents: Vec<_> = timeout(SOON, parents.take(3).collect()).await.unwrap();
    let expected = [("origin-1", false, true), ("origin-1", true, false), ("origin-2", false, true)];
    assert_eq!(parents, expected.map(|(parent, taken, why)| (parent.to_owned(), taken, why)));
}

#[tokio::test]
async fn an_origin_that_does_not_have_the_room_any_more_does_not_end_it() {
    let mut pair = Pair::new().await;
    pair.emit(0..10).await;
    pair.origins[0].rooms.disown();
    pair.emit(10..40).await;
    assert_each_once(slots_until(&mut pair.cursor, 39).await, 0..40);
    // It comes back as the mirror of the one that was.
    let back = pair.origins[0].rooms.own(live("origin-2", 2));
    back.fence(Epoch(2), Slot(40));
    pair.cluster.view.set_owner(Some((&pair.origins[1], 2, 40)));
    pair.cluster.view.set_mirror(Some(&pair.origins[0]));
    until("the relay follows it again", || back.cursors() == 1).await;
    for slot in 40..60 {
        pair.feeds[1].push(frame(2, slot));
        back.push(frame(2, slot));
    }
    assert_each_once(slots_until(&mut pair.cursor, 59).await, 40..60);
}

#[tokio::test]
async fn an_owner_whose_key_is_gone_is_followed_until_there_is_another() {
    let mut pair = Pair::new().await;
    pair.emit(0..10).await;
    pair.cluster.view.set_owner(None);
    pair.emit(10..80).await;
    assert!(pair.feeds.iter().all(|feed| feed.cursors() == 1), "both are followed still");
    pair.cluster.view.set_owner(Some((&pair.origins[1], 2, 80)));
    pair.cluster.view.set_mirror(None);
    pair.emit(80..82).await;
    until("the old owner is left", || pair.feeds[0].cursors() == 0).await;
    let relay = pair.cluster.metrics.for_node(&id("relay-1"));
    assert_eq!(relay.links(LinkKind::Parent).get(), 1);
    assert_each_once(slots_until(&mut pair.cursor, 79).await, 0..80);
}

#[tokio::test]
async fn an_older_word_on_the_room_does_not_undo_a_newer_one() {
    let mut pair = Pair::new().await;
    let told = |serial, hands| v1::RoomStatus { serial, hands: Some(hands), ..live("origin-1", 1) };
    pair.feeds[0].set_status(told(50, 7).into());
    loop {
        if let Item::Status(status) = next(&mut pair.cursor).await
            && status.hands == Some(7)
        {
            break;
        }
    }
    pair.feeds[1].set_status(told(40, 6).into());
    pair.emit(0..5).await;
    slots_until(&mut pair.cursor, 4).await;
    pair.feeds[0].set_status(told(60, 8).into());
    loop {
        if let Item::Status(status) = next(&mut pair.cursor).await {
            assert_eq!(status.hands, Some(8));
            break;
        }
    }
}
