//! Any command by anyone, for tests of what always holds.

use proptest::prelude::*;
use stentor_ids::{ParticipantId, Role};
use stentor_pace::WallTime;
use stentor_room::{Actor, Command, SpecChange, Visibility};

fn any_id() -> impl Strategy<Value = ParticipantId> {
    (0..6).prop_map(|n| ParticipantId::new(format!("p{n}")).unwrap())
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(Role::ALL.to_vec())
}

pub(crate) fn any_actor() -> impl Strategy<Value = Actor> {
    let participant = |(id, role): (ParticipantId, Role)| {
        let name = format!("{id} as {role}");
        Actor::Participant { id, name, role }
    };
    prop_oneof![1 => Just(Actor::Operator), 8 => (any_id(), any_role()).prop_map(participant)]
}

/// Not the stage's limit, by which the stage is judged.
fn any_change() -> impl Strategy<Value = SpecChange> {
    let title = prop::option::of(prop_oneof![Just("A talk".to_owned()), Just("x".repeat(201))]);
    let visibility = prop::option::of(prop::sample::select(vec![Visibility::Public, Visibility::Private]));
    let starts_at = prop::option::of(prop::option::of((0_u64..9).prop_map(WallTime::from_millis)));
    let bitrate_bps = prop::option::of(prop::sample::select(vec![1, 16_000, 64_000]));
    (title, visibility, starts_at, bitrate_bps).prop_map(|(title, visibility, starts_at, bitrate_bps)| {
        SpecChange { title, visibility, starts_at, bitrate_bps, stage_limit: None }
    })
}

pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    let reason = || prop_oneof![8 => Just(String::new()), 1 => Just("x".repeat(201))];
    prop_oneof![
        2 => Just(Command::Open),
        2 => Just(Command::GoLive),
        1 => prop::bool::weighted(0.1).prop_map(|end| if end { Command::End } else { Command::GoLive }),
        8 => Just(Command::Join),
        4 => Just(Command::Leave),
        4 => Just(Command::RaiseHand),
        2 => Just(Command::LowerHand),
        6 => Just(Command::Accept),
        2 => Just(Command::Decline),
        6 => (any_id(), any_role()).prop_map(|(id, role)| Command::Invite { id, role }),
        6 => (any_id(), any::<bool>()).prop_map(|(id, muted)| Command::Mute { id, muted }),
        2 => (any_id(), any::<i8>()).prop_map(|(id, gain_db)| Command::SetGain { id, gain_db }),
        4 => (any_id(), any_role()).prop_map(|(id, role)| Command::SetRole { id, role }),
        2 => any_change().prop_map(Command::Update),
        4 => (any_id(), reason()).prop_map(|(id, reason)| Command::Remove { id, reason }),
        3 => (any_id(), reason()).prop_map(|(id, reason)| Command::Ban { id, reason }),
        3 => any_id().prop_map(|id| Command::Unban { id }),
    ]
}
