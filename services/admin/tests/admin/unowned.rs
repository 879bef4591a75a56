//! Rooms that nobody owns: an operator's call goes into the record, by the room's own rules.

use stentor_ids::Code;
use stentor_proto::{
    moment,
    v1::{self, Lifecycle},
};
use tokio::time::Instant;

use crate::support::{AT_ONCE, Cluster, GIVEN_UP, asked, new, refused, target};

#[tokio::test]
async fn a_room_is_created_as_asked_and_read_back() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let spec = v1::RoomSpec {
        title: "A talk".into(),
        visibility: v1::Visibility::Public.into(),
        starts_at: Some(moment(1_800_000_000_000_000)),
        stage_limit: 0,
        bitrate_bps: 48_000,
    };
    let create = v1::CreateRoomRequest { spec: Some(spec.clone()), ..new("talk", false) };
    let made = operator.create_room(create.clone()).await.unwrap().into_inner();
    assert_eq!(made.lifecycle(), Lifecycle::Scheduled);
    assert_eq!(made.spec, Some(v1::RoomSpec { stage_limit: 20, ..spec }));
    assert_eq!((made.owner.as_str(), made.epoch, made.slot()), ("", 0, 0));
    assert_eq!(operator.get_room(asked("talk")).await.unwrap().into_inner(), made);
    let again = refused(operator.create_room(create).await);
    assert_eq!(again.code, Code::RoomExists);
    assert!(again.detail.contains("talk"), "{again}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_the_door_with_the_value() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let long = v1::RoomSpec { title: "x".repeat(201), ..v1::RoomSpec::default() };
    let create = v1::CreateRoomRequest { spec: Some(long), ..new("talk", false) };
    for (fault, value) in [
        (refused(operator.create_room(new("a/b", false)).await), "a/b"),
        (refused(operator.create_room(create).await), "201"),
        (refused(operator.get_room(asked("")).await), "room is empty"),
        (refused(operator.ban_participant(target("talk", "a b")).await), "a b"),
        (refused(operator.drain_node(v1::NodeRequest { node: ".x".into() }).await), ".x"),
        (refused(operator.move_room(v1::MoveRoomRequest { room: "talk".into(), to: "?".into() }).await), "?"),
    ] {
        assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
        assert!(fault.detail.contains(value), "{fault}");
    }
    for fault in [
        refused(operator.get_room(asked("nowhere")).await),
        refused(operator.open_room(asked("nowhere")).await),
        refused(operator.end_room(asked("nowhere")).await),
        refused(operator.list_participants(asked("nowhere")).await),
        refused(operator.move_room(v1::MoveRoomRequest { room: "nowhere".into(), to: "".into() }).await),
    ] {
        assert_eq!(fault.code, Code::UnknownRoom);
        assert!(fault.detail.contains("nowhere"), "{fault}");
    }
}

#[tokio::test]
async fn rooms_are_listed_by_name_a_page_at_a_time() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    for name in ["e", "b", "d", "a", "c"] {
        operator.create_room(new(name, false)).await.unwrap();
    }
    let (mut token, mut pages) = (String::new(), Vec::new());
    loop {
        let request = v1::ListRoomsRequest { page_size: 2, page_token: token };
        let page = operator.list_rooms(request).await.unwrap().into_inner();
        pages.push(page.rooms.into_iter().map(|room| room.room).collect::<Vec<_>>().concat());
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, ["ab", "cd", "e"]);
    let whole = operator.list_rooms(v1::ListRoomsRequest::default()).await.unwrap().into_inner();
    assert_eq!((whole.rooms.len(), whole.next_page_token.as_str()), (5, ""));
    let exact = v1::ListRoomsRequest { page_size: 5, page_token: String::new() };
    assert_eq!(operator.list_rooms(exact).await.unwrap().into_inner().next_page_token, "");
    let large = v1::ListRoomsRequest { page_size: 1001, page_token: String::new() };
    assert!(refused(operator.list_rooms(large).await).detail.contains("1001"));
    let bad = v1::ListRoomsRequest { page_size: 2, page_token: "a/b".into() };
    assert!(refused(operator.list_rooms(bad).await).detail.contains("a/b"));
}

#[tokio::test]
async fn doors_open_without_an_origin_and_say_that_nobody_owns_the_room() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", false)).await.unwrap();
    let began = Instant::now();
    let open = operator.open_room(asked("talk")).await.unwrap().into_inner();
    assert_eq!((open.lifecycle(), open.owner.as_str()), (Lifecycle::Open, ""));
    assert!(began.elapsed() < AT_ONCE, "nobody waits where no origin can come");
    let again = refused(operator.open_room(asked("talk")).await);
    assert_eq!((again.code, again.detail.as_ref()), (Code::WrongState, "the room is open already"));
    let made = operator.create_room(new("other", true)).await.unwrap().into_inner();
    assert_eq!(made.lifecycle(), Lifecycle::Open);
}

#[tokio::test]
async fn a_scheduled_room_can_be_ended_and_has_to_be_opened_before_anything_else() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", false)).await.unwrap();
    let invite = v1::InviteRequest { room: "talk".into(), participant: "ann".into(), role: 0 };
    for fault in [
        refused(operator.take_room_live(asked("talk")).await),
        refused(operator.ban_participant(target("talk", "ann")).await),
        refused(operator.invite_participant(invite).await),
    ] {
        assert_eq!(fault.code, Code::WrongState);
        assert!(fault.detail.contains("open it first"), "{fault}");
    }
    let anywhere = v1::MoveRoomRequest { room: "talk".into(), to: String::new() };
    let still = refused(operator.move_room(anywhere).await);
    assert_eq!(still.code, Code::WrongState);
    assert!(still.detail.contains("scheduled"), "{still}");
    let ended = operator.end_room(asked("talk")).await.unwrap().into_inner();
    assert_eq!(ended.lifecycle(), Lifecycle::Ended);
    assert!(ended.ended_at.is_some());
    assert_eq!(refused(operator.end_room(asked("talk")).await).code, Code::RoomEnded);
    assert_eq!(refused(operator.open_room(asked("talk")).await).code, Code::RoomEnded);
}

#[tokio::test]
async fn going_live_takes_an_owner_and_ending_does_not() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", true)).await.unwrap();
    let ghost = v1::MuteRequest { room: "talk".into(), participant: "ghost".into(), muted: true };
    let began = Instant::now();
    assert_eq!(refused(operator.mute_participant(ghost).await).code, Code::UnknownParticipant);
    assert!(began.elapsed() < AT_ONCE, "nobody waits for what is refused anyway");
    let fault = refused(operator.take_room_live(asked("talk")).await);
    assert_eq!(fault.code, Code::NoOwner);
    assert!(fault.retry_after.is_some());
    assert!(began.elapsed() < GIVEN_UP, "the wait is bounded");
    let ended = operator.end_room(asked("talk")).await.unwrap().into_inner();
    assert_eq!(ended.lifecycle(), Lifecycle::Ended);
}
