//! Rooms as they change.

use std::time::Duration;

use stentor_ids::Code;
use stentor_kit::{SOON, until, until_async};
use stentor_proto::{
    fault_of,
    v1::{Lifecycle, Room, WatchRoomsRequest},
};
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use crate::support::{Cluster, Operator, asked, new, refused, told};

/// What five questions to an owner take at least: two as a watch begins, and then one a second.
const FIVE_TAKE: Duration = Duration::from_secs(2);

async fn watch(operator: &mut Operator, room: &str) -> Streaming<Room> {
    operator.watch_rooms(WatchRoomsRequest { room: room.into() }).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<Room>) -> Option<Room> {
    timeout(SOON, stream.message()).await.expect("news in time").unwrap()
}

#[tokio::test]
async fn a_room_is_told_now_at_each_change_and_no_longer_than_it_lasts() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", false)).await.unwrap();
    let mut stream = watch(&mut operator, "talk").await;
    assert_eq!(next(&mut stream).await.unwrap().lifecycle(), Lifecycle::Scheduled);
    operator.open_room(asked("talk")).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().lifecycle(), Lifecycle::Open);
    operator.end_room(asked("talk")).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().lifecycle(), Lifecycle::Ended);
    assert_eq!(next(&mut stream).await, None);
    let fault =
        fault_of(&operator.watch_rooms(WatchRoomsRequest { room: "nowhere".into() }).await.unwrap_err());
    assert_eq!(fault.code, Code::UnknownRoom);
}

#[tokio::test]
async fn every_room_is_told_and_new_ones_too() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    operator.create_room(new("a", false)).await.unwrap();
    operator.create_room(new("b", false)).await.unwrap();
    let mut stream = watch(&mut operator, "").await;
    assert_eq!(next(&mut stream).await.unwrap().room, "a");
    assert_eq!(next(&mut stream).await.unwrap().room, "b");
    operator.create_room(new("c", false)).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().room, "c");
    operator.end_room(asked("a")).await.unwrap();
    let ended = next(&mut stream).await.unwrap();
    assert_eq!((ended.room.as_str(), ended.lifecycle()), ("a", Lifecycle::Ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_owner_knows_is_told_while_it_is_watched() {
    let cluster = Cluster::start().await;
    let _origin = cluster.origin("o-1").await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", true)).await.unwrap();
    operator.take_room_live(asked("talk")).await.unwrap();
    let mut stream = watch(&mut operator, "talk").await;
    let mut slots = Vec::new();
    while slots.len() < 3 {
        let status = next(&mut stream).await.unwrap();
        if status.slot() > 0 {
            slots.push(status.slot());
        }
    }
    assert!(slots.is_sorted() && slots[2] > slots[1], "{slots:?}");
}

#[tokio::test]
async fn what_has_not_changed_is_not_told_again() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let puppet = cluster.puppet("o-1", |_, _| Ok(told("talk", Lifecycle::Open, 4))).await;
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&puppet.session, "talk", false).await;
    let began = Instant::now();
    let mut stream = watch(&mut operator, "talk").await;
    assert_eq!(next(&mut stream).await.unwrap().slot(), 4);
    let asked = until("the owner is asked five times", || puppet.said.heard().len() >= 5);
    tokio::select! {
        news = stream.message() => panic!("told again: {news:?}"),
        () = asked => {}
    }
    let took = began.elapsed();
    assert!(took >= FIVE_TAKE, "the owner is asked at every look: five times within {took:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_finds_the_newest_state_and_not_all_of_them() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let title = "x".repeat(200);
    for nth in 0..400 {
        let spec = stentor_proto::v1::RoomSpec { title: title.clone(), ..Default::default() };
        let create = stentor_proto::v1::CreateRoomRequest {
            spec: Some(spec),
            ..new(&format!("room-{nth:03}"), false)
        };
        operator.create_room(create).await.unwrap();
    }
    // Little of it fits on the way, so that the watch stands until the client reads.
    let channel = cluster.narrow_channel().await;
    let mut stream = watch(&mut Cluster::operator_over(channel), "").await;
    assert_eq!(next(&mut stream).await.unwrap().room, "room-000");
    operator.open_room(asked("room-399")).await.unwrap();
    operator.end_room(asked("room-399")).await.unwrap();
    let mut last = Vec::new();
    while last.is_empty() {
        let status = next(&mut stream).await.unwrap();
        if status.room == "room-399" {
            last.push(status.lifecycle());
        }
    }
    assert_eq!(last, [Lifecycle::Ended]);
}

#[tokio::test]
async fn watches_are_bounded_and_one_that_is_left_makes_place() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", false)).await.unwrap();
    let mut streams = Vec::new();
    let fault = loop {
        match operator.watch_rooms(WatchRoomsRequest::default()).await {
            Ok(stream) => streams.push(stream.into_inner()),
            Err(status) => break fault_of(&status),
        }
    };
    assert_eq!((streams.len(), fault.code), (32, Code::Overloaded));
    assert!(fault.retry_after.is_some());
    drop(streams);
    let free = async || operator.watch_rooms(WatchRoomsRequest::default()).await.is_ok();
    until_async("a place is free", free).await;
}

#[tokio::test]
async fn a_watch_is_told_that_its_node_leaves() {
    let mut cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", false)).await.unwrap();
    let mut stream = watch(&mut operator, "talk").await;
    next(&mut stream).await.unwrap();
    let _left = cluster.leave();
    let left = timeout(SOON, stream.message()).await.expect("news in time").unwrap_err();
    assert_eq!(fault_of(&left).code, Code::Draining);
    until_async("it stops", async || operator.get_room(asked("talk")).await.is_err()).await;
    assert_eq!(refused(operator.get_room(asked("talk")).await).code, Code::NodeUnavailable);
}
