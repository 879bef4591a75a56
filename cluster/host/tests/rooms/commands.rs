//! Commands to a room's owner.

use std::time::Duration;

use stentor_ids::{Code, Role, RoomId};
use stentor_kit::{Cluster, Node, SOON, speak, speaker, until, who};
use stentor_link::{
    Carry, Cursor, Item,
    uplink::{Speaker, SpeakerEvent},
};
use stentor_proto::v1::{
    self, Empty, InviteRequest, Lifecycle, TargetRequest, command_request::Command, participant_event::What,
};
use tokio::time::{Instant, sleep, timeout};

/// How long hands wait to be told at most, in virtual time.
const HANDS_WAIT: Duration = Duration::from_millis(200);

async fn as_listener(
    origin: &Node,
    room: &RoomId,
    name: &str,
    command: Command,
) -> Result<v1::CommandReply, stentor_ids::Fault> {
    let by = v1::Actor { participant: name.into(), name: name.into(), role: v1::Role::Listener.into() };
    let request = v1::CommandRequest { room: room.to_string(), by: Some(by), command: Some(command) };
    origin.host().command(room, request).await
}

#[tokio::test(start_paused = true)]
async fn a_room_is_opened_up_to_a_listener_goes_live_and_ends() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", false).await;
    cluster.owner_from(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    until("it runs", || origin.host().owns(&room).is_some()).await;

    let raised = as_listener(&origin, &room, "eve", Command::RaiseHand(Empty {})).await.unwrap();
    assert_eq!(raised.room.unwrap().hands, Some(1));
    let hands = as_listener(&origin, &room, "eve", Command::ListHands(Empty {})).await.unwrap_err();
    assert_eq!(hands.code, Code::RoleForbids);
    let hands = origin.command(&room, Command::ListHands(Empty {})).await.unwrap().hands;
    assert_eq!(hands.iter().map(|hand| hand.id.as_str()).collect::<Vec<_>>(), ["eve"]);

    let invite = InviteRequest { participant: "eve".into(), ..InviteRequest::default() };
    origin.command(&room, Command::Invite(invite)).await.unwrap();
    let accepted = as_listener(&origin, &room, "eve", Command::Accept(Empty {})).await.unwrap();
    assert_eq!(accepted.role(), v1::Role::Speaker);
    assert!(cluster.record(&room).await.participant(&who("eve")).is_some(), "it is committed");

    let live = origin.command(&room, Command::GoLive(Empty {})).await.unwrap().room.unwrap();
    assert_eq!((live.lifecycle(), live.owner.as_str()), (Lifecycle::Live, "origin-1"));
    heard.heard_of(1, 20).await;
    assert!(heard.frames()[0].slot.0 < 50, "numbered from the moment it went live");
    let again = origin.command(&room, Command::GoLive(Empty {})).await.unwrap_err();
    assert_eq!(again.code, Code::WrongState);

    let ended = origin.command(&room, Command::End(Empty {})).await.unwrap().room.unwrap();
    assert_eq!(ended.lifecycle(), Lifecycle::Ended);
    until("listeners are told", || heard.is_closed()).await;
    assert_eq!(heard.audio().missing, [0; 0]);
    cluster.shows("nobody owns it", |view| view.rooms[&room].owner.is_none()).await;
    assert_eq!(origin.host().rooms(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_is_told_and_may_not_come_back_by_its_ticket() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let edge = cluster.uplinks("edge-1");
    let mut ann = speak(&edge, &room, "ann", false).await;
    let remove =
        TargetRequest { participant: "ann".into(), reason: "noise".into(), ..TargetRequest::default() };
    let status = origin.command(&room, Command::Remove(remove)).await.unwrap().room.unwrap();
    assert!(status.stage.is_empty());
    let told = timeout(SOON, ann.events().recv()).await.unwrap();
    assert!(
        matches!(&told, Some(SpeakerEvent::Event(event)) if event.what == Some(v1::participant_event::What::Removed("noise".into()))),
        "{told:?}"
    );
    drop(ann);
    let refused = edge.attach(&room, speaker("ann", false), None).await.err().unwrap();
    assert_eq!(refused.code, Code::RoleForbids);
}

#[tokio::test(start_paused = true)]
async fn malformed_packets_and_a_listener_that_wants_to_speak_disturb_nothing() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    let edge = cluster.uplinks("edge-1");
    let ann = speak(&edge, &room, "ann", false).await;
    let before = heard.highest();
    for seq in 0..200_u64 {
        let garbage: Vec<u8> = (0..=seq % 97).map(|i| (i * seq) as u8).collect();
        ann.send(seq, garbage.into(), stentor_pace::WallTime::from_micros(u64::MAX));
    }
    let eve = Speaker { role: Role::Listener, ..speaker("eve", false) };
    assert_eq!(edge.attach(&room, eve, None).await.err().unwrap().code, Code::RoleForbids);
    until("the room goes on", || heard.highest() > before.plus(50)).await;
    assert_eq!(heard.audio().missing, [0; 0]);
    assert_eq!(cluster.metrics.for_node(&origin.id).room_restarts().get(), 0);
}

/// Raises (true) or lowers the hands of so many listeners in one call.
async fn hands(origin: &Node, room: &RoomId, names: std::ops::Range<usize>, up: bool) -> v1::HandsReply {
    let change = |n: usize| {
        let name = format!("lis{n}");
        let by = v1::Actor { participant: name.clone(), name, role: v1::Role::Listener.into() };
        v1::HandChange { by: Some(by), up }
    };
    let request = v1::HandsRequest { room: room.to_string(), changes: names.map(change).collect() };
    origin.host().hands(room, request).await.unwrap()
}

/// The statuses that a reader is given now.
fn statuses(cursor: &mut Cursor) -> Vec<std::sync::Arc<v1::RoomStatus>> {
    let items = std::iter::from_fn(|| cursor.try_next());
    items.filter_map(|item| if let Item::Status(status) = item { Some(status) } else { None }).collect()
}

#[tokio::test(start_paused = true)]
async fn a_crowd_s_hands_are_told_five_times_a_second_and_the_stage_at_once() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    until("it runs", || origin.host().owns(&room).is_some()).await;
    let mut cursor = origin.host().feed(&room).await.unwrap().subscribe(None);
    until("it is told", || !statuses(&mut cursor).is_empty()).await;
    let (start, mut told) = (Instant::now(), 0);
    for n in 0..300 {
        hands(&origin, &room, 0..10, n % 2 == 0).await;
        told += statuses(&mut cursor).len();
    }
    // One as they begin, one as they end, and one for the second's tick.
    let most = start.elapsed().div_duration_f32(HANDS_WAIT) as usize + 3;
    assert!(told <= most, "{told} statuses for 300 batches, and not {most} at most");

    let reply = hands(&origin, &room, 0..7, true).await;
    assert!(reply.outcomes.iter().all(|outcome| outcome.code.is_empty()));
    assert_eq!(reply.room.unwrap().hands, Some(7));
    until("the last is told", || statuses(&mut cursor).last().is_some_and(|status| status.hands == Some(7)))
        .await;
    sleep(HANDS_WAIT).await;
    statuses(&mut cursor);
    hands(&origin, &room, 0..7, true).await;
    sleep(HANDS_WAIT).await;
    let told = statuses(&mut cursor).len();
    assert!(told <= 1, "what changes nothing is told {told} times, and not by the second's tick alone");

    let lower =
        TargetRequest { participant: "lis3".into(), reason: "later".into(), ..TargetRequest::default() };
    origin.command(&room, Command::Remove(lower)).await.unwrap();
    let told = std::iter::from_fn(|| cursor.try_next()).find_map(|item| match item {
        Item::Event(event) => event.what.map(|what| (event.participant, what)),
        _ => None,
    });
    assert_eq!(told, Some(("lis3".into(), What::HandLowered("later".into()))));

    let change = v1::SpecChange { title: Some("Another".into()), ..v1::SpecChange::default() };
    origin.command(&room, Command::Update(change)).await.unwrap();
    let titled = |status: &v1::RoomStatus| status.spec.as_ref().is_some_and(|spec| spec.title == "Another");
    assert!(statuses(&mut cursor).iter().any(|status| titled(status)), "the spec is told with its answer");

    cluster.uplinks("edge-1").attach(&room, speaker("ann", false), None).await.unwrap();
    let there = |status: &v1::RoomStatus| status.stage.iter().any(|one| one.id == "ann");
    assert!(statuses(&mut cursor).iter().any(|status| there(status)), "the stage is told with its answer");
}

#[tokio::test(start_paused = true)]
async fn who_is_banned_is_told_by_words_and_not_with_the_status() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    until("it runs", || origin.host().owns(&room).is_some()).await;
    let feed = origin.host().feed(&room).await.unwrap();
    let mut cursor = feed.subscribe(None);
    let ban = TargetRequest { participant: "eve".into(), ..TargetRequest::default() };
    origin.command(&room, Command::Ban(ban)).await.unwrap();
    let eve = who("eve");
    assert!(feed.is_banned(&eve));
    until("a word is told", || {
        let items = std::iter::from_fn(|| cursor.try_next());
        items.into_iter().any(|item| matches!(item, Item::Bans { words, .. } if words.iter().any(|word| word.participant == eve && !word.lifted)))
    })
    .await;
    origin
        .command(&room, Command::Unban(v1::UnbanRequest { participant: "eve".into(), ..Default::default() }))
        .await
        .unwrap();
    assert!(!feed.is_banned(&eve));
    assert!(!cluster.record(&room).await.bans().contains(&eve), "it is committed");
}
