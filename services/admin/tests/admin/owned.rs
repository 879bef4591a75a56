//! Rooms that run on real origins.

use std::time::Duration;

use stentor_ids::Code;
use stentor_kit::SOON;
use stentor_proto::v1::{self, Lifecycle, command_request::Command};
use tokio::time::{sleep, timeout};

use crate::support::{Cluster, Operator, asked, does, joins, new, refused, target};

async fn until(operator: &mut Operator, holds: impl Fn(&v1::Room) -> bool) -> v1::Room {
    let waited = timeout(SOON, async {
        loop {
            let status = operator.get_room(asked("talk")).await.unwrap().into_inner();
            if holds(&status) {
                return status;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("it holds in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_opened_aired_and_ended_and_each_answer_names_its_owner() {
    let cluster = Cluster::start().await;
    let _origin = cluster.origin("o-1").await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", false)).await.unwrap();
    let open = operator.open_room(asked("talk")).await.unwrap().into_inner();
    assert_eq!((open.lifecycle(), open.owner.as_str()), (Lifecycle::Open, "o-1"));
    assert_eq!(refused(operator.open_room(asked("talk")).await).code, Code::WrongState);
    let live = operator.take_room_live(asked("talk")).await.unwrap().into_inner();
    assert_eq!((live.lifecycle(), live.owner.as_str()), (Lifecycle::Live, "o-1"));
    assert!(live.live_since.is_some() && live.epoch > 0);
    assert_eq!(refused(operator.take_room_live(asked("talk")).await).code, Code::WrongState);
    // What only the owner knows.
    let on_air = until(&mut operator, |status| status.slot() > 5).await;
    assert!(on_air.lineage() > 0 && on_air.listeners.is_some(), "{on_air:?}");
    let listed = operator.list_rooms(v1::ListRoomsRequest::default()).await.unwrap().into_inner();
    assert!(listed.rooms[0].slot() > 5, "{listed:?}");
    let ended = operator.end_room(asked("talk")).await.unwrap().into_inner();
    assert_eq!(ended.lifecycle(), Lifecycle::Ended);
    assert_eq!(refused(operator.end_room(asked("talk")).await).code, Code::RoomEnded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_created_open_has_its_owner_at_once() {
    let cluster = Cluster::start().await;
    let _origin = cluster.origin("o-1").await;
    let made = cluster.operator().create_room(new("talk", true)).await.unwrap().into_inner();
    assert_eq!((made.lifecycle(), made.owner.as_str()), (Lifecycle::Open, "o-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_invites_mutes_removes_and_bans_and_lifts_the_ban() {
    let cluster = Cluster::start().await;
    let origin = cluster.origin("o-1").await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", true)).await.unwrap();
    until(&mut operator, |status| status.listeners.is_some()).await;
    joins(&origin, "ann").await.unwrap();
    does(&origin, "bob", v1::Role::Listener, Command::RaiseHand(v1::Empty {})).await.unwrap();
    let people = operator.list_participants(asked("talk")).await.unwrap().into_inner();
    assert_eq!((people.stage[0].id.as_str(), people.stage[0].role()), ("ann", v1::Role::Speaker));
    assert_eq!(people.hands.unwrap().hands.iter().map(|hand| hand.id.as_str()).collect::<Vec<_>>(), ["bob"]);

    operator
        .invite_participant(v1::InviteRequest { participant: "bob".into(), room: "talk".into(), role: 0 })
        .await
        .unwrap();
    does(&origin, "bob", v1::Role::Listener, Command::Accept(v1::Empty {})).await.unwrap();
    let mute = |muted| v1::MuteRequest { room: "talk".into(), participant: "bob".into(), muted };
    let muted = operator.mute_participant(mute(true)).await.unwrap().into_inner();
    assert_eq!(
        muted.stage.iter().map(|one| (one.id.as_str(), one.muted)).collect::<Vec<_>>(),
        [("ann", false), ("bob", true)]
    );
    assert!(!operator.mute_participant(mute(false)).await.unwrap().into_inner().stage[1].muted);
    assert_eq!(operator.remove_participant(target("talk", "bob")).await.unwrap().into_inner().stage.len(), 1);
    assert!(operator.ban_participant(target("talk", "ann")).await.unwrap().into_inner().stage.is_empty());
    assert_eq!(joins(&origin, "ann").await, Err(Code::Banned));
    operator
        .unban_participant(v1::UnbanRequest { room: "talk".into(), participant: "ann".into() })
        .await
        .unwrap();
    assert_eq!(joins(&origin, "ann").await, Ok(()));

    let ghost = v1::MuteRequest { participant: "ghost".into(), ..mute(true) };
    let fault = refused(operator.mute_participant(ghost).await);
    assert_eq!(fault.code, Code::UnknownParticipant);
    assert!(fault.detail.contains("ghost"), "{fault}");
    let long = v1::TargetRequest { reason: "x".repeat(201), ..target("talk", "ann") };
    assert_eq!(refused(operator.ban_participant(long).await).code, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_room_moves_to_the_origin_that_is_named_and_to_the_best_if_none_is() {
    let cluster = Cluster::start().await;
    let _origins = (cluster.origin("o-1").await, cluster.origin("o-2").await);
    let mut operator = cluster.operator();
    operator.create_room(new("talk", true)).await.unwrap();
    let live = operator.take_room_live(asked("talk")).await.unwrap().into_inner();
    let other = if live.owner == "o-1" { "o-2" } else { "o-1" };
    let to = v1::MoveRoomRequest { room: "talk".into(), to: other.into() };
    let moved = operator.move_room(to).await.unwrap().into_inner();
    assert_eq!(moved.owner, other);
    assert!(moved.epoch > live.epoch);
    // The one that had it goes on until the new owner's first slot, and can have it again when it has become its mirror: the call
    // waits for that.
    let anywhere = v1::MoveRoomRequest { room: "talk".into(), to: String::new() };
    assert_eq!(operator.move_room(anywhere).await.unwrap().into_inner().owner, live.owner);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_the_death_of_the_owner() {
    let cluster = Cluster::start().await;
    let origin = cluster.origin("o-1").await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", true)).await.unwrap();
    operator.take_room_live(asked("talk")).await.unwrap();
    let _heir = cluster.origin("o-2").await;
    assert_eq!(origin.id.as_str(), "o-1");
    origin.kill().await;
    let ended = operator.end_room(asked("talk")).await.unwrap().into_inner();
    assert_eq!((ended.lifecycle(), ended.room.as_str()), (Lifecycle::Ended, "talk"));
}
