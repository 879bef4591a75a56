//! Commands to a room's owner.

use stentor_ids::{Code, RoomId};
use stentor_link::uplink::SpeakerEvent;
use stentor_proto::v1::{self, Empty, InviteRequest, Lifecycle, TargetRequest, command_request::Command};

use crate::cluster::{Cluster, Origin, speak, until};

async fn as_listener(
    origin: &Origin,
    room: &RoomId,
    name: &str,
    command: Command,
) -> Result<v1::CommandReply, stentor_ids::Fault> {
    let by = v1::Actor { participant: name.into(), name: name.into(), role: v1::Role::Listener.into() };
    let request = v1::CommandRequest { room: room.to_string(), by: Some(by), command: Some(command) };
    origin.handle.command(room, request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_opened_up_to_a_listener_goes_live_and_ends() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", false).await;
    cluster.owner(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    until("it runs", || origin.handle.owns(&room).is_some()).await;

    let raised = as_listener(&origin, &room, "eve", Command::RaiseHand(Empty {})).await.unwrap();
    assert_eq!(raised.room.unwrap().hands, 1);
    let hands = as_listener(&origin, &room, "eve", Command::ListHands(Empty {})).await.unwrap_err();
    assert_eq!(hands.code, Code::RoleForbids);
    let hands = origin.command(&room, Command::ListHands(Empty {})).await.unwrap().hands;
    assert_eq!(hands.iter().map(|hand| hand.id.as_str()).collect::<Vec<_>>(), ["eve"]);

    let invite = InviteRequest { participant: "eve".into(), ..InviteRequest::default() };
    origin.command(&room, Command::Invite(invite)).await.unwrap();
    let accepted = as_listener(&origin, &room, "eve", Command::Accept(Empty {})).await.unwrap();
    assert_eq!(accepted.role(), v1::Role::Speaker);
    assert!(cluster.record(&room).await.seat(&crate::cluster::who("eve")).is_some(), "it is committed");

    let live = origin.command(&room, Command::GoLive(Empty {})).await.unwrap().room.unwrap();
    assert_eq!((live.lifecycle(), live.primary.as_str()), (Lifecycle::Live, "origin-1"));
    heard.heard_of(1, 20).await;
    assert!(heard.frames()[0].slot.0 < 50, "numbered from the moment it went live");
    let again = origin.command(&room, Command::GoLive(Empty {})).await.unwrap_err();
    assert_eq!(again.code, Code::WrongState);

    let ended = origin.command(&room, Command::End(Empty {})).await.unwrap().room.unwrap();
    assert_eq!(ended.lifecycle(), Lifecycle::Ended);
    until("listeners are told", || heard.is_closed()).await;
    assert_eq!(heard.audio().missing, [0; 0]);
    let mut view = cluster.directory.view();
    view.wait_for(|view| view.rooms[&room].owner.is_none()).await;
    assert_eq!(origin.handle.rooms(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_is_told_and_may_not_come_back_by_its_ticket() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner(&room, 1).await;
    let edge = cluster.edge("edge-1");
    let mut ann = speak(&edge, &room, "ann", false).await;
    let remove =
        TargetRequest { participant: "ann".into(), reason: "noise".into(), ..TargetRequest::default() };
    let status = origin.command(&room, Command::Remove(remove)).await.unwrap().room.unwrap();
    assert!(status.stage.is_empty());
    let told = tokio::time::timeout(crate::cluster::SOON, ann.events().recv()).await.unwrap();
    assert!(
        matches!(&told, Some(SpeakerEvent::Event(event)) if event.what == Some(v1::participant_event::What::Removed("noise".into()))),
        "{told:?}"
    );
    drop(ann);
    let speaker = stentor_link::uplink::Speaker {
        participant: crate::cluster::who("ann"),
        name: "ann".into(),
        role: stentor_ids::Role::Speaker,
        monitor: false,
    };
    let refused = edge.attach(&room, speaker, None).await.err().unwrap();
    assert_eq!(refused.code, Code::RoleForbids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_packets_and_a_listener_that_wants_to_speak_disturb_nothing() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    let edge = cluster.edge("edge-1");
    let ann = speak(&edge, &room, "ann", false).await;
    let before = heard.highest();
    for seq in 0..200_u64 {
        let garbage: Vec<u8> = (0..=seq % 97).map(|i| (i * seq) as u8).collect();
        ann.send(seq, garbage.into(), stentor_pace::WallTime::from_micros(u64::MAX));
    }
    let eve = stentor_link::uplink::Speaker {
        participant: crate::cluster::who("eve"),
        name: "eve".into(),
        role: stentor_ids::Role::Listener,
        monitor: false,
    };
    assert_eq!(edge.attach(&room, eve, None).await.err().unwrap().code, Code::RoleForbids);
    until("the room goes on", || heard.highest() > before.plus(50)).await;
    assert_eq!(heard.audio().missing, [0; 0]);
    assert_eq!(cluster.metrics.for_node(&origin.id).room_restarts().get(), 0);
}
