//! Rooms that are changed and deleted, and people whose role and gain are set.

use stentor_ids::Code;
use stentor_kit::SOON;
use stentor_proto::{
    FieldMask, moment,
    v1::{self, Lifecycle, RoomSpec},
};
use tokio::time::timeout;

use crate::support::{Cluster, Operator, asked, joins, new, refused};

fn update(spec: RoomSpec, fields: &[&str]) -> v1::UpdateRoomRequest {
    let paths = fields.iter().map(ToString::to_string).collect();
    v1::UpdateRoomRequest { room: "talk".into(), spec: Some(spec), update_mask: Some(FieldMask { paths }) }
}

fn titled(title: &str) -> RoomSpec {
    RoomSpec { title: title.into(), ..RoomSpec::default() }
}

fn to_be(visibility: v1::Visibility) -> RoomSpec {
    RoomSpec { visibility: visibility.into(), ..RoomSpec::default() }
}

async fn changed(operator: &mut Operator, spec: RoomSpec, fields: &[&str]) -> RoomSpec {
    operator.update_room(update(spec, fields)).await.unwrap().into_inner().spec.unwrap()
}

#[tokio::test]
async fn a_scheduled_room_is_changed_by_the_fields_that_are_named() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let made = operator.create_room(new("talk", false)).await.unwrap().into_inner().spec.unwrap();
    let starts_at = Some(moment(1_800_000_000_000_000));
    let announced = RoomSpec { starts_at, bitrate_bps: 64_000, ..titled("A talk") };
    let told = changed(&mut operator, announced.clone(), &["title", "starts_at"]).await;
    assert_eq!(told, RoomSpec { title: "A talk".into(), starts_at, ..made.clone() });
    let told = changed(&mut operator, announced, &[]).await;
    assert_eq!((told.bitrate_bps, told.stage_limit), (64_000, made.stage_limit));
    let told = changed(&mut operator, titled("Another"), &["*"]).await;
    assert_eq!(told, RoomSpec { title: "Another".into(), ..made });
    assert_eq!(operator.get_room(asked("talk")).await.unwrap().into_inner().spec, Some(told));
}

#[tokio::test]
async fn a_change_that_cannot_be_is_refused_by_its_field_and_changes_nothing() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let made = operator.create_room(new("talk", false)).await.unwrap().into_inner();
    let spec = || RoomSpec { stage_limit: 101, ..titled("A talk") };
    for (request, words) in [
        (update(spec(), &["colour"]), "\"colour\""),
        (update(spec(), &["title", "stage_limit"]), "101"),
        (update(RoomSpec::default(), &[]), "nothing is to be changed"),
        (v1::UpdateRoomRequest { room: "a/b".into(), ..update(spec(), &["title"]) }, "a/b"),
    ] {
        let fault = refused(operator.update_room(request).await);
        assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
        assert!(fault.detail.contains(words), "{fault}");
    }
    assert_eq!(operator.get_room(asked("talk")).await.unwrap().into_inner(), made);
    let nowhere = v1::UpdateRoomRequest { room: "nowhere".into(), ..update(titled("x"), &[]) };
    assert_eq!(refused(operator.update_room(nowhere).await).code, Code::UnknownRoom);
    operator.end_room(asked("talk")).await.unwrap();
    assert_eq!(refused(operator.update_room(update(titled("x"), &[])).await).code, Code::RoomEnded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_room_takes_another_title_and_says_what_it_is_too_late_for() {
    let cluster = Cluster::start().await;
    let _origin = cluster.origin("o-1").await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", true)).await.unwrap();
    operator.take_room_live(asked("talk")).await.unwrap();
    assert_eq!(changed(&mut operator, titled("On the air"), &["title"]).await.title, "On the air");
    let public = changed(&mut operator, to_be(v1::Visibility::Public), &[]).await;
    assert_eq!(public.visibility(), v1::Visibility::Public);
    let later = RoomSpec { starts_at: Some(moment(1_800_000_000_000_000)), ..RoomSpec::default() };
    let richer = RoomSpec { bitrate_bps: 64_000, ..RoomSpec::default() };
    for (spec, words) in [
        (later, "announced start: it has started"),
        (richer, "bit rate"),
        (to_be(v1::Visibility::Private), "to private: those who hear it without a ticket would stay"),
    ] {
        let fault = refused(operator.update_room(update(spec, &[])).await);
        assert_eq!(fault.code, Code::WrongState, "{fault}");
        assert!(fault.detail.contains("the room is live") && fault.detail.contains(words), "{fault}");
    }
}

#[tokio::test]
async fn a_room_is_deleted_unless_somebody_may_be_in_it() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", false)).await.unwrap();
    operator.delete_room(asked("talk")).await.unwrap();
    assert_eq!(refused(operator.get_room(asked("talk")).await).code, Code::UnknownRoom);
    assert_eq!(refused(operator.delete_room(asked("talk")).await).code, Code::UnknownRoom);
    assert_eq!(refused(operator.delete_room(asked("a/b")).await).code, Code::InvalidArgument);

    operator.create_room(new("talk", true)).await.unwrap();
    let fault = refused(operator.delete_room(asked("talk")).await);
    assert_eq!(
        (fault.code, fault.detail.as_ref()),
        (Code::WrongState, "room talk is open; end it first, then delete it")
    );
    operator.end_room(asked("talk")).await.unwrap();
    operator.delete_room(asked("talk")).await.unwrap();
    assert!(cluster.directory.list().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_runs_is_not_deleted_and_one_that_has_just_ended_is() {
    let cluster = Cluster::start().await;
    let _origin = cluster.origin("o-1").await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", true)).await.unwrap();
    operator.take_room_live(asked("talk")).await.unwrap();
    let fault = refused(operator.delete_room(asked("talk")).await);
    assert_eq!(fault.code, Code::WrongState);
    assert!(fault.detail.contains("is live; end it first"), "{fault}");
    operator.end_room(asked("talk")).await.unwrap();
    // Its owner may still be about to let go.
    timeout(SOON, operator.delete_room(asked("talk"))).await.unwrap().unwrap();
    let made = operator.create_room(new("talk", false)).await.unwrap().into_inner();
    assert_eq!((made.lifecycle(), made.owner.as_str()), (Lifecycle::Scheduled, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_gives_roles_and_sets_gains_and_both_last() {
    let cluster = Cluster::start().await;
    let origin = cluster.origin("o-1").await;
    let mut operator = cluster.operator();
    operator.create_room(new("talk", true)).await.unwrap();
    joins(&origin, "ann").await.unwrap();
    let role = |participant: &str, role: v1::Role| v1::RoleRequest {
        room: "talk".into(),
        participant: participant.into(),
        role: role.into(),
    };
    let gain = |participant: &str, gain_db| v1::GainRequest {
        room: "talk".into(),
        participant: participant.into(),
        gain_db,
    };
    let told = operator.set_participant_role(role("ann", v1::Role::Cohost)).await.unwrap().into_inner();
    assert_eq!(told.stage[0].role(), v1::Role::Cohost);
    let told = operator.set_participant_gain(gain("ann", -6)).await.unwrap().into_inner();
    assert_eq!(told.stage[0].gain_db, -6);
    let stored = cluster.directory.get(&crate::support::room("talk")).await.unwrap().unwrap();
    let record = String::from_utf8(stored.record.to_vec()).unwrap();
    assert!(record.contains("\"gain_db\":-6") && record.contains("\"role\":\"cohost\""), "{record}");

    for (fault, code, words) in [
        (refused(operator.set_participant_gain(gain("ann", 13)).await), Code::InvalidArgument, "13 dB"),
        (refused(operator.set_participant_gain(gain("ann", 4711)).await), Code::InvalidArgument, "4711"),
        (refused(operator.set_participant_gain(gain("ghost", 0)).await), Code::UnknownParticipant, "ghost"),
        (
            refused(operator.set_participant_role(role("ann", v1::Role::Unspecified)).await),
            Code::InvalidArgument,
            "role is missing",
        ),
        (
            refused(operator.set_participant_role(role("ghost", v1::Role::Host)).await),
            Code::UnknownParticipant,
            "ghost",
        ),
    ] {
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.detail.contains(words), "{fault}");
    }
    let told = operator.set_participant_role(role("ann", v1::Role::Listener)).await.unwrap().into_inner();
    assert!(told.stage.is_empty(), "a listener is not on the stage");
}
