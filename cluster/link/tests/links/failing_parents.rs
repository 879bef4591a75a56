//! An edge with two parents, one of which dies, stalls, or comes back.

use std::{sync::Arc, time::Duration};

use stentor_link::{Carrier, Carry, Cursor, FeedWriter};
use stentor_telemetry::{Frames, LinkKind, Tier};
use tokio::time::timeout;

use super::cluster::{
    Cluster, Node, SOON, assert_each_once, emit, frame, id, live, room, scheduled, slots_until, until,
};

const PACE: Duration = Duration::from_millis(10);

/// An origin that owns the room, relays, and an edge that follows it and has its first slot.
struct Tree {
    cluster: Cluster,
    source: Arc<FeedWriter>,
    relays: Vec<Node>,
    edge: Carrier,
    cursor: Cursor,
    _origin: Node,
}

impl Tree {
    async fn with_relays(count: usize) -> Self {
        let cluster = Cluster::new();
        let origin = cluster.origin("origin-1").await;
        let mut relays = Vec::new();
        for n in 1..=count {
            relays.push(cluster.relay(&format!("relay-{n}")).await);
        }
        let source = origin.rooms.own(live("origin-1", 1));
        cluster.view.set_status(Some(scheduled()));
        cluster.view.set_owner(Some((&origin, 1, 0)));
        let edge = cluster.edge("edge-1");
        let feed = timeout(SOON, edge.feed(&room())).await.unwrap().unwrap();
        let cursor = feed.subscribe(None);
        let tree = Self { cluster, source, relays, edge, cursor, _origin: origin };
        until("both parents are there", || tree.parents() == 2 && tree.carrying().len() == 2).await;
        until("the relays follow the origin", || tree.source.cursors() == 2).await;
        tree
    }

    fn parents(&self) -> i64 {
        self.cluster.metrics.for_node(&id("edge-1")).links(LinkKind::Parent).get()
    }

    fn failures(&self) -> u64 {
        self.cluster.metrics.for_node(&id("edge-1")).link_failures(LinkKind::Parent).get()
    }

    /// The relays that have a child.
    fn carrying(&self) -> Vec<&Node> {
        let serves = |relay: &&Node| relay.metrics.links(LinkKind::Child).get() > 0;
        self.relays.iter().filter(serves).collect()
    }
}

#[tokio::test]
async fn a_parent_that_dies_costs_no_slot() {
    let mut tree = Tree::with_relays(2).await;
    emit(&tree.source, 1, 0..40, PACE).await;
    tree.relays[0].proxy.cut();
    emit(&tree.source, 1, 40..90, PACE).await;
    tree.relays[0].proxy.restore();
    until("the lost parent is back", || tree.carrying().len() == 2 && tree.parents() == 2).await;
    tree.relays[1].proxy.cut();
    emit(&tree.source, 1, 90..140, PACE).await;
    let slots = slots_until(&mut tree.cursor, 139).await;
    assert_each_once(slots, 0..140);
    assert!(tree.failures() >= 2);
    let edge = tree.cluster.metrics.for_node(&id("edge-1"));
    let copies = edge.frames(Tier::Edge, Frames::Duplicate).get();
    assert!(copies >= 30, "two copies came while both were there: {copies}");
}

#[tokio::test]
async fn a_black_hole_is_noticed_by_its_missing_slots_and_another_relay_takes_its_place() {
    let mut tree = Tree::with_relays(3).await;
    emit(&tree.source, 1, 0..20, PACE).await;
    let spare = tree.relays.iter().position(|relay| relay.metrics.links(LinkKind::Child).get() == 0).unwrap();
    let frozen = (spare + 1) % 3;
    tree.relays[frozen].proxy.freeze();
    emit(&tree.source, 1, 20..150, PACE).await;
    assert_eq!(tree.relays[spare].metrics.links(LinkKind::Child).get(), 1, "within 1.3 s");
    assert_each_once(slots_until(&mut tree.cursor, 149).await, 0..150);
}

#[tokio::test]
async fn a_relay_that_stops_in_order_is_left_at_once() {
    let mut tree = Tree::with_relays(2).await;
    emit(&tree.source, 1, 0..10, PACE).await;
    tree.relays[1].stop.cancel();
    until("the edge has one parent", || tree.parents() == 1).await;
    emit(&tree.source, 1, 10..20, PACE).await;
    assert_each_once(slots_until(&mut tree.cursor, 19).await, 0..20);
    drop(tree.edge);
}

#[tokio::test]
async fn a_gap_of_under_two_seconds_is_refilled_after_a_reconnect() {
    let mut tree = Tree::with_relays(2).await;
    emit(&tree.source, 1, 0..5, PACE).await;
    slots_until(&mut tree.cursor, 4).await;
    for relay in &tree.relays {
        relay.proxy.cut();
    }
    until("the edge is alone", || tree.carrying().is_empty()).await;
    // More than a second of slots passes while nobody brings any.
    (5..75).for_each(|slot| {
        tree.source.push(frame(1, slot));
    });
    for relay in &tree.relays {
        relay.proxy.restore();
    }
    assert_each_once(slots_until(&mut tree.cursor, 74).await, 5..75);
}
