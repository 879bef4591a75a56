//! A room from before its start to after its end, over one connection.

use std::sync::Arc;

use stentor_ids::Code;
use stentor_link::{Carry, Closed, Item};
use stentor_proto::v1;

use super::cluster::{Cluster, frame, live, next, room, scheduled, until};

fn ended() -> v1::RoomStatus {
    v1::RoomStatus { lifecycle: v1::Lifecycle::Ended.into(), ..live("", 1) }
}

#[tokio::test]
async fn a_scheduled_room_goes_live_and_ends_without_anyone_connecting_again() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let relays = [cluster.relay("relay-1").await, cluster.relay("relay-2").await];
    cluster.view.set_status(Some(scheduled()));
    let edge = cluster.edge("edge-1");
    let feed = edge.feed(&room()).await.unwrap();
    let mut cursor = feed.subscribe(None);
    let Item::Status(status) = next(&mut cursor).await else { panic!("the state comes first") };
    assert_eq!(status.lifecycle(), v1::Lifecycle::Scheduled);

    let source = cluster.on_air(&origin);
    until("the relays follow", || source.cursors() == 2).await;
    source.push(frame(1, 0));
    source.set_status(Arc::new(ended()));
    source.push(frame(1, 1));
    source.close(Closed::Ended);

    let (mut slots, mut last) = (0, None);
    loop {
        match next(&mut cursor).await {
            Item::Frame(frame) => slots = frame.slot.0 + 1,
            Item::Status(status) => last = Some(status),
            Item::Closed(closed) => {
                assert_eq!(closed, Closed::Ended);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(
        (slots, last.unwrap().lifecycle()),
        (2, v1::Lifecycle::Ended),
        "all of it came before the end"
    );
    // Who asks late is told the same, from what is kept of the room.
    let late = edge.feed(&room()).await.unwrap();
    assert_eq!(late.closed(), Some(Closed::Ended));
    drop(relays);
}

#[tokio::test]
async fn a_room_that_ended_long_ago_is_told_as_ended_and_one_that_never_was_as_unknown() {
    let cluster = Cluster::new();
    let _relays = [cluster.relay("relay-1").await, cluster.relay("relay-2").await];
    cluster.view.set_status(Some(ended()));
    let edge = cluster.edge("edge-1");
    let feed = edge.feed(&room()).await.unwrap();
    let mut cursor = feed.subscribe(None);
    let mut status = None;
    loop {
        match next(&mut cursor).await {
            Item::Status(told) => status = Some(told),
            Item::Closed(closed) => {
                assert_eq!(closed, Closed::Ended);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(status.unwrap().lifecycle(), v1::Lifecycle::Ended);
    let nowhere = stentor_ids::RoomId::new("nowhere").unwrap();
    let fault = edge.feed(&nowhere).await.err().unwrap();
    assert_eq!(fault.code, Code::UnknownRoom, "{fault}");
    until("nothing is kept of it", || edge.rooms() == 1).await;
}
