//! Owners that are not there any more, say no, or do what they are asked and cannot say so.

use std::time::Duration;

use stentor_directory::NodeRole;
use stentor_ids::{Code, Fault};
use stentor_kit::until;
use stentor_proto::v1::{self, Lifecycle, command_request::Command};
use tokio::time::Instant;

use crate::support::{Cluster, GIVEN_UP, asked, new, refused, target, told};

/// Longest wait of two calls for an owner that says nothing: a second each, on a busy machine.
const TWO_SILENCES: Duration = Duration::from_secs(4);

fn no(code: Code) -> Fault {
    Fault::new(code, "not here")
}

#[tokio::test]
async fn a_room_whose_owner_does_not_answer_is_told_from_its_record_and_what_only_the_owner_knows_as_unknown()
{
    let cluster = Cluster::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    let session = cluster.register("o-1", NodeRole::Origin, addr).await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&session, "talk", false).await;
    let began = Instant::now();
    let status = operator.get_room(asked("talk")).await.unwrap().into_inner();
    assert_eq!((status.owner.as_str(), status.epoch, status.slot()), ("o-1", 1, 0));
    assert_eq!(
        (status.hands, status.listeners, status.lineage, status.mirror_ready),
        (None, None, None, None)
    );
    let people = operator.list_participants(asked("talk")).await.unwrap().into_inner();
    assert_eq!((people.stage.len(), people.listeners, people.hands), (0, None, None));
    assert!(began.elapsed() < TWO_SILENCES, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_call_follows_a_room_that_has_just_moved() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let old = cluster.puppet("o-1", |_, _| Err(no(Code::NotOwner))).await;
    let new_owner = cluster.puppet("o-2", |_, _| Ok(told("talk", Lifecycle::Live, 7))).await;
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&old.session, "talk", false).await;
    let moves = async {
        until("it is asked", || !old.said.heard().is_empty()).await;
        cluster.claim(&new_owner.session, "talk", true).await;
    };
    let (answer, ()) = tokio::join!(operator.take_room_live(asked("talk")), moves);
    assert_eq!(answer.unwrap().into_inner().slot(), 7);
    assert_eq!(new_owner.said.heard().len(), 1);
}

#[tokio::test]
async fn an_act_whose_answer_was_lost_counts_as_done_when_it_is() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let puppet = cluster
        .puppet("o-1", |nth, request| match (nth, &request.command) {
            (0, _) => Err(no(Code::NodeUnavailable)),
            (_, Some(Command::Get(_))) => Ok(told("talk", Lifecycle::Live, 9)),
            _ => Err(Fault::new(Code::WrongState, "the room is live already")),
        })
        .await;
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&puppet.session, "talk", false).await;
    assert_eq!(operator.take_room_live(asked("talk")).await.unwrap().into_inner().slot(), 9);
    // Whoever has asked once and is told so is refused.
    assert_eq!(refused(operator.take_room_live(asked("talk")).await).code, Code::WrongState);
}

#[tokio::test]
async fn an_owner_that_has_let_go_has_done_nothing() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let puppet = cluster
        .puppet("o-1", |nth, request| match (nth, &request.command) {
            (0, _) => Err(no(Code::NotOwner)),
            (1, _) => Err(no(Code::NoOwner)),
            (_, Some(Command::Get(_))) => Ok(told("talk", Lifecycle::Ended, 0)),
            _ => Err(no(Code::RoomEnded)),
        })
        .await;
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&puppet.session, "talk", false).await;
    assert_eq!(refused(operator.end_room(asked("talk")).await).code, Code::RoomEnded);
    assert_eq!(puppet.said.heard().len(), 3);
}

#[tokio::test]
async fn what_an_owner_refuses_for_good_is_not_asked_again() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let puppet = cluster.puppet("o-1", |_, _| Err(no(Code::DirectoryUnavailable))).await;
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&puppet.session, "talk", false).await;
    assert_eq!(
        refused(operator.ban_participant(target("talk", "ann")).await).code,
        Code::DirectoryUnavailable
    );
    assert_eq!(puppet.said.heard().len(), 1);
}

#[tokio::test]
async fn an_owner_that_always_says_no_is_given_up_in_bounded_time_and_tries() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let puppet = cluster.puppet("o-1", |_, _| Err(no(Code::NotOwner))).await;
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&puppet.session, "talk", false).await;
    let began = Instant::now();
    let anywhere = v1::MoveRoomRequest { room: "talk".into(), to: String::new() };
    let mut other = cluster.operator();
    let (ended, moved) = tokio::join!(operator.end_room(asked("talk")), other.move_room(anywhere));
    assert_eq!((refused(ended).code, refused(moved).code), (Code::NotOwner, Code::NotOwner));
    assert!(began.elapsed() < GIVEN_UP, "{:?}", began.elapsed());
    assert!((10..=80).contains(&puppet.said.heard().len()), "{}", puppet.said.heard().len());
}

#[tokio::test]
async fn a_move_whose_answer_was_lost_is_not_made_twice() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let heir = cluster.puppet("o-2", |_, _| Ok(told("talk", Lifecycle::Live, 3))).await;
    let old = cluster.puppet("o-1", |_, _| Err(no(Code::NodeUnavailable))).await;
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&old.session, "talk", false).await;
    let moves = async {
        until("it is asked", || !old.said.heard().is_empty()).await;
        cluster.claim(&heir.session, "talk", true).await;
    };
    let anywhere = v1::MoveRoomRequest { room: "talk".into(), to: String::new() };
    let (answer, ()) = tokio::join!(operator.move_room(anywhere), moves);
    assert_eq!(answer.unwrap().into_inner().slot(), 3);
    assert!(heir.said.heard().iter().all(|heard| !heard.starts_with("hand off")), "{:?}", heir.said.heard());
}
