//! Rooms with two origins: what is heard when one of them is gone, and who owns them then.

use std::time::Duration;

use futures::StreamExt;
use stentor_ids::{Code, RoomId};
use stentor_kit::{Cluster, Node, SOON, speak, talk, until, until_async, voice, who};
use stentor_link::Carry;
use stentor_proto::v1::{
    self, Empty, MuteRequest, TakeOverRequest, command_request::Command,
    uplink_service_client::UplinkServiceClient,
};

/// Slots after a mute is asked for that may still have speech in them.
const MUTED_WITHIN: u64 = 2;

/// A live room with its owner and its mirror, which is ready.
async fn mirrored(cluster: &Cluster) -> (RoomId, Node, Node) {
    let origins = [cluster.origin("origin-1").await, cluster.origin("origin-2").await];
    let room = cluster.create("demo", true).await;
    let owner = cluster.owner_from(&room, 1).await.node;
    let [first, second] = origins;
    let (owner, mirror) = if owner == first.id { (first, second) } else { (second, first) };
    until("it is mirrored", || mirror.host().mirrors(&room)).await;
    until_async("the mirror is ready", async || owner.status(&room).await.mirror_ready).await;
    (room, owner, mirror)
}

#[tokio::test(start_paused = true)]
async fn when_the_owner_is_killed_its_mirror_goes_on_without_a_missing_slot_and_owns_the_room() {
    let cluster = Cluster::in_memory();
    let (room, owner, mirror) = mirrored(&cluster).await;
    let edge = cluster.uplinks("edge-1");
    let heard = cluster.listen("relay-1", &room).await;
    let _talking = talk(speak(&edge, &room, "ann", false).await, voice("voice-a.ogg"));
    heard.heard_of(1, 100).await;

    owner.kill().await;
    until("the mirror owns it", || mirror.host().owns(&room).is_some()).await;
    heard.heard_of(2, 100).await;
    assert_eq!(heard.audio().missing, [0; 0]);
    let frames = heard.frames();
    let spoken = frames.iter().rev().take(50).filter(|frame| frame.captured.as_micros() > 0).count();
    assert!(spoken > 40, "{spoken} of the last 50 slots have speech in them");
    let status = mirror.status(&room).await;
    assert!(status.stage.iter().any(|one| one.id == "ann" && one.connected()), "{status:?}");
    assert!(status.last_takeover_ms > 0 && status.leader == status.owner, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_mirror_is_killed_nothing_is_heard_and_another_takes_its_place() {
    let cluster = Cluster::in_memory();
    let (room, owner, mirror) = mirrored(&cluster).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 50).await;
    let third = cluster.origin("origin-3").await;
    mirror.kill().await;
    until("another mirrors it", || third.host().mirrors(&room)).await;
    let at = heard.highest();
    until("it goes on", || heard.highest() > at.plus(50)).await;
    let audio = heard.audio();
    assert_eq!((audio.missing, audio.twice), (vec![], 0));
    assert_eq!(owner.host().owns(&room).unwrap().0.0, 1);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_asks_for_a_mirror_is_told_what_the_directory_answers() {
    let cluster = Cluster::in_memory();
    let (room, owner, mirror) = mirrored(&cluster).await;
    let third = cluster.origin("origin-3").await;
    // As an owner asks that does not know that its room has a mirror.
    let request = v1::MirrorRequest { room: room.to_string(), epoch: 1, mirror_revision: 0 };
    let fault = third.host().mirror(&room, &request).await.unwrap_err();
    assert_eq!(fault.code, Code::WrongState);
    assert!(fault.detail.contains(mirror.id.as_str()), "{fault}");
    assert!(mirror.host().mirrors(&room) && !third.host().mirrors(&room));
    assert_eq!(cluster.owner(&room).unwrap().node, owner.id);
}

#[tokio::test(start_paused = true)]
async fn a_mute_by_the_owner_holds_at_the_mirror_that_goes_on() {
    let cluster = Cluster::in_memory();
    let (room, owner, mirror) = mirrored(&cluster).await;
    let edge = cluster.uplinks("edge-1");
    let heard = cluster.listen("relay-1", &room).await;
    let _talking = talk(speak(&edge, &room, "ann", false).await, voice("voice-a.ogg"));
    heard.heard_of(1, 50).await;
    let mute = MuteRequest { participant: who("ann").to_string(), muted: true, ..Default::default() };
    let asked = owner.newest(&room).unwrap();
    owner.command(&room, Command::Mute(mute)).await.unwrap();
    owner.kill().await;
    until("the mirror has gone on", || heard.highest() > asked.plus(100)).await;
    let frames = heard.frames();
    let late = frames.iter().filter(|frame| frame.slot > asked.plus(MUTED_WITHIN));
    let spoken: Vec<_> =
        late.filter(|frame| frame.captured.as_micros() > 0).map(|frame| frame.slot).collect();
    assert_eq!(spoken, [], "nobody hears who was muted when slot {asked} was out");
    until("the mirror owns it", || mirror.host().owns(&room).is_some()).await;
    let status = mirror.status(&room).await;
    assert!(status.stage.iter().any(|one| one.id == "ann" && one.muted), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_room_that_its_mirror_took_over_can_be_given_back_without_a_missing_slot() {
    let cluster = Cluster::in_memory();
    let (room, owner, mirror) = mirrored(&cluster).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 50).await;
    for (from, to) in [(&owner, &mirror), (&mirror, &owner), (&owner, &mirror)] {
        from.host().hand_off(&room, Some(&to.id)).await.unwrap();
        until("the other owns it", || to.host().owns(&room).is_some()).await;
        until("this one mirrors it", || from.host().mirrors(&room)).await;
        to.command(&room, Command::Get(Empty {})).await.unwrap();
    }
    heard.heard_of(4, 50).await;
    let audio = heard.audio();
    assert_eq!(audio.missing, [0; 0]);
    let lineages: std::collections::BTreeSet<_> = heard.frames().iter().map(|frame| frame.lineage).collect();
    assert!(lineages.len() <= 8, "{lineages:?}");
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_cannot_be_is_not_taken_over_under() {
    let cluster = Cluster::in_memory();
    let (room, owner, mirror) = mirrored(&cluster).await;
    for epoch in [u64::MAX, 2_000] {
        let request = TakeOverRequest { room: room.to_string(), epoch, owner_revision: 0, from_slot: 500 };
        let fault = mirror.host().take_over(&room, &request).await.unwrap_err();
        assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
        assert!(fault.detail.contains(&epoch.to_string()), "{fault}");
    }
    assert_eq!(cluster.metrics.for_node(&mirror.id).reports_refused().get(), 2);
    assert_eq!(owner.host().owns(&room).unwrap().0.0, 1);
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_comes_when_the_mirror_has_changed_is_told_of_the_new_one() {
    let cluster = Cluster::in_memory();
    let owner = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    until("it runs", || owner.host().owns(&room).is_some()).await;
    // Hands go up all the time, so that a status is always told later.
    let hands = tokio::spawn({
        let (handle, room) = (owner.host().clone(), room.clone());
        async move {
            for n in 0_u32.. {
                let by = v1::Actor {
                    participant: format!("eve-{n}"),
                    name: String::new(),
                    role: v1::Role::Listener.into(),
                };
                let command = Some(Command::RaiseHand(Empty {}));
                let request = v1::CommandRequest { room: room.to_string(), by: Some(by), command };
                drop(handle.command(&room, request).await);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let channel = cluster.pool("edge-1").channel(owner.link_addr()).unwrap();
    let hello =
        v1::UplinkHello { room: room.to_string(), node: "edge-1".into(), epoch: 1, ..Default::default() };
    let hello = v1::UplinkRequest { message: Some(v1::uplink_request::Message::Hello(hello)) };
    let outbound = futures::stream::iter([hello]).chain(futures::stream::pending());
    let mut said = UplinkServiceClient::new(channel).uplink(outbound).await.unwrap().into_inner();
    let feed = owner.host().feed(&room).await.unwrap();
    let mirror = cluster.origin("origin-2").await;
    loop {
        let next = tokio::time::timeout(SOON, said.message()).await.unwrap().unwrap().unwrap();
        if let Some(v1::uplink_response::Message::Mirror(change)) = next.message {
            // What an edge that comes now begins with.
            assert_eq!(feed.status().unwrap().mirror, change.node);
            assert_eq!(change.node, mirror.id.as_str());
            break;
        }
    }
    hands.abort();
}
