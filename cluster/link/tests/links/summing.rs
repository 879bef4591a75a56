//! Counts up the tree, and events down it.

use std::time::Duration;

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_link::{Carry, Item};
use stentor_proto::v1::{self, participant_event::What};
use stentor_relay::Stuck;

use super::cluster::{Cluster, next, room, until};

#[tokio::test]
async fn listeners_at_edges_with_two_parents_are_counted_once_and_events_come_once() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let _relays = [cluster.relay("relay-1").await, cluster.relay("relay-2").await];
    let source = cluster.on_air(&origin);
    let edges = [cluster.edge("edge-1"), cluster.edge("edge-2"), cluster.edge("edge-3")];
    let mut cursors = Vec::new();
    for (edge, listeners) in edges.iter().zip([5, 7, 0]) {
        cursors.push(edge.feed(&room()).await.unwrap().subscribe(None));
        edge.report_listeners(&room(), listeners);
        edge.report_filled(&room(), 2 * listeners);
    }
    until("all edges are in the sum", || source.counts().edges_reporting == 3).await;
    until("every listener and every filled slot is counted once", || {
        let count = source.counts();
        (count.listeners, count.edges_known, count.slots_filled) == (12, 3, 24) && count.age_ms < 4000
    })
    .await;

    until("both relays follow", || source.cursors() == 2).await;
    for muted in [true, false] {
        let event = v1::ParticipantEvent {
            participant: "anna".into(),
            what: Some(What::Muted(muted)),
            ..Default::default()
        };
        source.event(event);
    }
    source.push(super::cluster::frame(1, 1));
    for cursor in &mut cursors {
        let (mut muted, mut frames) = (Vec::new(), 0);
        while muted.len() < 2 || frames == 0 {
            match next(cursor).await {
                Item::Event(v1::ParticipantEvent { what: Some(What::Muted(told)), .. }) => muted.push(told),
                Item::Frame(frame) if frame.slot == Slot(1) => frames += 1,
                Item::Closed(closed) => panic!("the feed ended: {closed:?}"),
                _ => {}
            }
        }
        assert_eq!((muted, frames), (vec![true, false], 1));
        assert_eq!(cursor.try_next().filter(|item| matches!(item, Item::Event(_))), None);
    }
    drop(edges[0].clone());
}

#[tokio::test]
async fn who_is_stuck_at_an_edge_is_known_at_the_origin_until_it_is_not() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let _relays = [cluster.relay("relay-1").await, cluster.relay("relay-2").await];
    let source = cluster.on_air(&origin);
    source.push(super::cluster::frame(1, 1));
    let edges = [cluster.edge("edge-1"), cluster.edge("edge-2")];
    for edge in &edges {
        drop(edge.feed(&room()).await.unwrap());
    }
    let stood = Duration::from_millis(1_500);
    let [lower, higher] = [1, 3].map(|count| Lineage(Lineage::of(Epoch(1)).0 + count));
    edges[0].report_stuck(&room(), Some(Stuck { lineage: lower, stood }));
    let known = |lineage| move |stuck: Stuck| stuck.lineage == lineage;
    until("it is told", || source.stuck().is_some_and(known(lower))).await;
    edges[1].report_stuck(&room(), Some(Stuck { lineage: higher, stood }));
    until("the higher one counts", || source.stuck().is_some_and(known(higher))).await;
    edges[1].report_stuck(&room(), None);
    until("it was not hidden", || source.stuck().is_some_and(known(lower))).await;
    edges[0].report_stuck(&room(), None);
    until("nobody says so any more", || source.stuck().is_none_or(|stuck| stuck.lineage < lower)).await;
}
