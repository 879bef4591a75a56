//! Rooms handed from one origin to another.

use std::time::Duration;

use stentor_ids::{Code, NodeId};
use stentor_kit::{Cluster, Node, speak, talk, until, until_async, voice};
use stentor_proto::v1::{Empty, command_request::Command};

/// Two origins: the owner of the room first.
async fn pair(cluster: &Cluster, live: bool) -> (stentor_ids::RoomId, Node, Node) {
    let first = cluster.origin("origin-1").await;
    let room = cluster.create("demo", live).await;
    cluster.owner_from(&room, 1).await;
    until("it runs", || first.host().owns(&room).is_some()).await;
    let second = cluster.origin("origin-2").await;
    (room, first, second)
}

#[tokio::test(start_paused = true)]
async fn a_room_moves_without_a_missing_slot_and_its_speakers_go_with_it() {
    let cluster = Cluster::in_memory();
    let (room, first, second) = pair(&cluster, true).await;
    let edge = cluster.uplinks("edge-1");
    let heard = cluster.listen("relay-1", &room).await;
    let _talking = talk(speak(&edge, &room, "ann", false).await, voice("voice-a.ogg"));
    heard.heard_of(1, 100).await;

    let moved = first.host().hand_off(&room, Some(&second.id)).await.unwrap();
    assert_eq!((moved.node.as_str(), moved.epoch), ("origin-2", 2));
    heard.heard_of(2, 150).await;
    until("the old owner has let go", || first.host().rooms() == 0).await;

    let audio = heard.audio();
    assert_eq!(audio.missing, [0; 0], "slots around {}", moved.from_slot);
    let frames = heard.frames();
    assert!(frames.iter().all(|frame| (frame.epoch.0 == 2) == (frame.slot.0 >= moved.from_slot)));
    let quiet = frames
        .iter()
        .filter(|frame| frame.slot.0 + 50 > moved.from_slot && frame.captured.as_micros() == 0)
        .count();
    assert_eq!(quiet, 0, "slots around the move that had no speech in them");
    let status = second.status(&room).await;
    assert!(status.stage.iter().any(|one| one.id == "ann" && one.connected()));
}

#[tokio::test(start_paused = true)]
async fn a_room_that_has_just_moved_can_be_moved_back_in_a_moment() {
    let cluster = Cluster::in_memory();
    let (room, first, second) = pair(&cluster, true).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 50).await;
    first.host().hand_off(&room, Some(&second.id)).await.unwrap();
    let still = second.host().hand_off(&room, Some(&first.id)).await.unwrap_err();
    assert_eq!(still.code, Code::NodeUnavailable, "{still}");
    assert!(still.retry_after.is_some() && still.detail.contains("gives room demo up"), "{still}");
    let back = async || second.host().hand_off(&room, Some(&first.id)).await.is_ok();
    until_async("it is moved back", back).await;
    heard.heard_of(3, 50).await;
    assert_eq!(heard.audio().missing, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_open_room_moves_at_once_and_goes_live_there() {
    let cluster = Cluster::in_memory();
    let (room, first, second) = pair(&cluster, false).await;
    let heard = cluster.listen("relay-1", &room).await;
    let moved = first.host().hand_off(&room, None).await.unwrap();
    assert_eq!((moved.node.as_str(), moved.from_slot), ("origin-2", 0));
    until("the old owner has let go", || first.host().rooms() == 0).await;
    until("the new one has it", || second.host().owns(&room).is_some()).await;
    second.command(&room, Command::GoLive(Empty {})).await.unwrap();
    heard.heard_of(2, 20).await;
    assert!(heard.frames()[0].slot.0 < 50, "numbered from the moment it went live");
}

#[tokio::test(start_paused = true)]
async fn a_room_that_nobody_can_take_stays_and_says_why() {
    let cluster = Cluster::in_memory();
    let (room, first, second) = pair(&cluster, true).await;
    let nobody = NodeId::new("origin-9").unwrap();
    let fault = first.host().hand_off(&room, Some(&nobody)).await.unwrap_err();
    assert_eq!(fault.code, Code::UnknownNode);
    assert_eq!(second.host().hand_off(&room, None).await.unwrap_err().code, Code::NotOwner);
    second.set_draining().await;
    cluster.shows("it drains", |view| view.nodes[&second.id].labels.draining).await;
    assert_eq!(first.host().hand_off(&room, None).await.unwrap_err().code, Code::NodeUnavailable);
    let report = first.host().drain(Duration::from_secs(2)).await;
    assert_eq!((report.moved, report.left.len()), (0, 1));
    assert_eq!(report.left[0].1.code, Code::NodeUnavailable);
    first.command(&room, Command::Get(Empty {})).await.unwrap();
    assert_eq!(first.host().owns(&room).unwrap().0.0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_every_room_over_and_says_so() {
    let cluster = Cluster::in_memory();
    let first = cluster.origin("origin-1").await;
    let mut rooms = Vec::new();
    for i in 0..10 {
        rooms.push(cluster.create(&format!("room-{i}"), i < 5).await);
    }
    until("all run", || first.host().rooms() == 10).await;
    cluster.owner_from(&rooms[0], 1).await;
    let heard = cluster.listen("relay-1", &rooms[0]).await;
    heard.heard_of(1, 10).await;
    let second = cluster.origin("origin-2").await;
    first.set_draining().await;
    let report = first.host().drain(Duration::from_secs(30)).await;
    assert_eq!((report.moved, report.left), (10, vec![]));
    assert_eq!(first.host().rooms(), 0);
    until("the other has them all", || second.host().rooms() == 10).await;
    heard.heard_of(2, 50).await;
    assert_eq!(heard.audio().missing, [0; 0]);
    first.stop().await;
}
