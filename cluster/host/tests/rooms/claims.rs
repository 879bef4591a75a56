//! Who owns a room, and who does after it.

use std::time::Duration;

use stentor_clock::wall;
use stentor_ids::{Code, Slot};
use stentor_kit::{Cluster, until, until_async};

/// Virtual time from a dead owner until a second of its successor is heard: its lease of a second, the question to it that
/// nobody answers, the claim a second ahead.
const ON_THE_AIR_AGAIN: Duration = Duration::from_secs(6);
/// Slots that are lost then: that time, without the second that is heard.
const MOST_SKIPPED: u64 = 250;
/// A second, in slots: how far a room may go on above what a child has seen, and how far what is heard may lie behind the clock.
const SECOND: u64 = 50;
/// Slots that what is heard may be ahead of the clock, which counts whole slots.
const AHEAD: u64 = 5;

#[tokio::test(start_paused = true)]
async fn exactly_one_of_three_origins_runs_each_room() {
    let cluster = Cluster::in_memory();
    let origins = [
        cluster.origin("origin-1").await,
        cluster.origin("origin-2").await,
        cluster.origin("origin-3").await,
    ];
    let mut rooms = Vec::new();
    for i in 0..12 {
        rooms.push(cluster.create(&format!("room-{i}"), i % 2 == 0).await);
    }
    for room in &rooms {
        let owner = cluster.owner_from(room, 1).await;
        until("its owner runs it", || {
            origins.iter().any(|origin| origin.id == owner.node && origin.host().owns(room).is_some())
        })
        .await;
        assert_eq!(owner.epoch.0, 1, "nobody else has claimed {room}");
        let running = origins.iter().filter(|origin| origin.host().owns(room).is_some()).count();
        assert_eq!(running, 1, "{room}");
    }
    assert_eq!(origins.iter().map(|origin| origin.host().rooms()).sum::<usize>(), 12);
    assert!(origins.iter().all(|origin| origin.host().rooms() < 12), "one origin has them all");
    let scheduled = origins[0].host().owns(&stentor_kit::room("unknown"));
    assert_eq!(scheduled, None);
}

#[tokio::test(start_paused = true)]
async fn when_the_owner_dies_another_goes_on_at_a_higher_epoch_lineage_and_slot() {
    let cluster = Cluster::in_memory();
    let mut origins = vec![cluster.origin("origin-1").await, cluster.origin("origin-2").await];
    let room = cluster.create("demo", true).await;
    let first = cluster.owner_from(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 50).await;

    let place = origins.iter().position(|origin| origin.id == first.node).unwrap();
    origins.remove(place).kill().await;
    let killed = tokio::time::Instant::now();
    let second = cluster.owner_from(&room, 2).await;
    heard.heard_of(2, 50).await;
    let silent = killed.elapsed();
    assert!(silent < ON_THE_AIR_AGAIN, "claimed and heard for a second only {silent:?} after the owner died");

    assert_eq!(second.node, origins[0].id);
    let frames = heard.frames();
    let split = frames.iter().position(|frame| frame.epoch == second.epoch).unwrap();
    let (old, new) = frames.split_at(split);
    assert!(new.iter().all(|frame| frame.epoch == second.epoch && frame.slot >= second.from_slot));
    let newest = |frames: &[stentor_relay::Frame]| frames.iter().map(|f| (f.slot, f.lineage)).max().unwrap();
    let (last, lineage) = newest(old);
    assert!(new[0].slot > last && new[0].lineage > lineage);
    let skipped = new[0].slot.since(last);
    assert!(skipped < MOST_SKIPPED, "{skipped} slots were skipped");
    let since = cluster.record(&room).await.lifecycle().slot_at(wall()).unwrap();
    let (ahead, behind) = (heard.highest().since(since), since.since(heard.highest()));
    assert!(ahead <= AHEAD && behind <= SECOND, "the grid is the same");
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_elsewhere_or_unknown_is_refused_with_the_place_or_the_reason() {
    let cluster = Cluster::in_memory();
    let origins = [cluster.origin("origin-1").await, cluster.origin("origin-2").await];
    let room = cluster.create("demo", false).await;
    let owner = cluster.owner_from(&room, 1).await;
    let other = origins.iter().find(|origin| origin.id != owner.node).unwrap();
    let get = || stentor_proto::v1::command_request::Command::Get(stentor_proto::v1::Empty {});
    let fault = other.command(&room, get()).await.unwrap_err();
    assert_eq!(fault.code, Code::NotOwner);
    assert!(fault.detail.contains(owner.node.as_str()), "{fault}");
    let fault = other.command(&stentor_kit::room("nowhere"), get()).await.unwrap_err();
    assert_eq!(fault.code, Code::UnknownRoom);
}

#[tokio::test(start_paused = true)]
async fn slots_go_on_above_what_a_child_says_it_has_seen() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    until("it runs", || origin.newest(&room) > Some(Slot(10))).await;
    let channel = cluster.pool("relay-9").channel(origin.link_addr()).unwrap();
    let mut client = stentor_proto::v1::downlink_service_client::DownlinkServiceClient::new(channel);
    let highest = origin.newest(&room).unwrap().plus(200);
    let hello = stentor_proto::v1::SubscribeHello {
        room: room.to_string(),
        node: "relay-9".into(),
        highest_slot: highest.0,
        highest_lineage: 1 << 20,
        ..Default::default()
    };
    let message = stentor_proto::v1::subscribe_request::Message::Hello(hello);
    let request = stentor_proto::v1::SubscribeRequest { message: Some(message) };
    let hello = tokio_stream::iter([request]);
    let _responses = client.subscribe(hello).await.unwrap();
    until("the room has jumped", || origin.newest(&room) > Some(highest)).await;
    assert!(origin.newest(&room).unwrap().since(highest) < SECOND, "it goes on right above");
    until_async("its lineage is above as well", async || origin.status(&room).await.lineage > 1 << 20).await;
}
