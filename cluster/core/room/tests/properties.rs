//! What holds of a room after any commands by anyone at any time, refused ones included.

#![expect(clippy::unwrap_used, reason = "a room that cannot be made here is a bug of the test")]

mod any;

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use stentor_ids::{ParticipantId, Role};
use stentor_pace::{WallTime, check::bounded};
use stentor_room::{
    Actor, Command, Effect, MAX_BANS, MAX_HANDS, MAX_INVITATIONS, MAX_RULINGS, Record, Room, Spec,
};

use any::{any_actor, any_command};

const STAGE_LIMIT: u32 = 3;

/// Lets hands and invitations run out, by a command that nobody can give.
fn pass_time(room: &mut Room, now: WallTime) {
    let refused = room.handle(now, &Actor::Operator, Command::LowerHand);
    assert!(refused.is_err());
}

fn ids<'a>(of: impl Iterator<Item = &'a ParticipantId>) -> BTreeSet<&'a ParticipantId> {
    of.collect()
}

/// What holds at every moment.
fn check_state(room: &Room) {
    let record = room.record();
    assert_eq!(Record::decode(&record.encode()).unwrap().with_bans(record.bans().clone()), *record);
    bounded("bans", record.bans().len(), MAX_BANS).unwrap();
    bounded("stage", record.stage().len(), STAGE_LIMIT as usize).unwrap();
    bounded("hands", room.hands().len(), MAX_HANDS).unwrap();
    bounded("invitations", room.invitations().len(), MAX_INVITATIONS).unwrap();
    bounded("rulings", record.rulings().len(), MAX_RULINGS).unwrap();
    assert_eq!(ids(record.stage().iter().map(|participant| &participant.id)).len(), record.stage().len());
    assert_eq!(ids(room.hands().iter().map(|hand| &hand.id)).len(), room.hands().len());
    for (id, ruling) in record.rulings() {
        let kept_off = ruling.role() == Some(Role::Listener);
        assert!(!kept_off || record.participant(id).is_none(), "{id} is on the stage against {ruling:?}");
        assert!(!(kept_off || ruling.muted) || !record.may_speak(id), "{id} may speak against {ruling:?}");
    }
    for id in record.bans().iter() {
        assert!(
            record.participant(id).is_none() && !record.may_speak(id),
            "{id} is on the stage and is banned"
        );
        assert!(!room.invitations().contains_key(id), "{id} is invited and banned");
    }
    if !record.lifecycle().has_owner() {
        assert!(record.stage().is_empty() && room.hands().is_empty() && room.invitations().is_empty());
    }
}

/// What holds of a command that was done.
fn check_step(before: &Room, after: &Room, effects: &[Effect]) {
    let (old, new) = (before.record(), after.record());
    assert_eq!(effects.contains(&Effect::Commit), old != new, "{effects:?}");
    assert!(effects.iter().skip(1).all(|effect| *effect != Effect::Commit), "{effects:?}");
    assert_eq!(effects.contains(&Effect::LifecycleChanged), old.lifecycle() != new.lifecycle());
    assert!(old.lifecycle() <= new.lifecycle());
    assert_eq!(effects.contains(&Effect::SpecChanged), old.spec() != new.spec());
    let version = new.stage_version();
    let told = effects.contains(&Effect::StageChanged { version });
    assert_eq!(version, old.stage_version() + u64::from(told));
    assert!(told || old.stage() == new.stage());
    assert_eq!(effects.contains(&Effect::HandsChanged), before.hands() != after.hands());
}

/// Nobody but a host, an operator or themselves changes what a host is.
fn check_hosts(before: &Room, after: &Room, by: &Actor) {
    if before.record().role_of(by) == Ok(Role::Host) {
        return;
    }
    for participant in before
        .record()
        .stage()
        .iter()
        .filter(|participant| participant.role() == Role::Host && by.id() != Some(&participant.id))
    {
        assert_eq!(after.record().participant(&participant.id), Some(participant));
    }
}

proptest! {
    #[test]
    fn any_commands_by_anyone_leave_a_room_in_order(
        steps in prop::collection::vec((any_actor(), any_command(), 0_u64..40), 0..120),
    ) {
        let spec = Spec { stage_limit: STAGE_LIMIT, ..Spec::default() };
        let mut room = Room::new(Record::new(spec).unwrap());
        let mut now = WallTime::from_millis(1_000);
        for (by, command, seconds) in steps {
            now = now + Duration::from_secs(seconds);
            pass_time(&mut room, now);
            let before = room.clone();
            match room.handle(now, &by, command) {
                Ok(effects) => check_step(&before, &room, &effects),
                Err(_) => prop_assert_eq!(&room, &before),
            }
            check_state(&room);
            check_hosts(&before, &room, &by);
        }
    }

    #[test]
    fn garbage_is_no_record_and_does_not_panic(bytes: Vec<u8>, text in "\\PC{0,200}") {
        prop_assert!(Record::decode(&bytes).is_err());
        prop_assert!(Record::decode(text.as_bytes()).is_err());
    }

    #[test]
    fn a_damaged_record_is_refused_or_still_in_order(at: prop::sample::Index, byte: u8) {
        let mut room = Room::new(Record::new(Spec::default()).unwrap());
        let ann = ParticipantId::new("ann").unwrap();
        let by = Actor::Participant { id: ann.clone(), name: "Ann".into(), role: Role::Host };
        for command in [Command::Open, Command::Join, Command::Mute { id: ann, muted: true }] {
            room.handle(WallTime::from_millis(1), &by, command).unwrap();
        }
        let mut bytes = room.record().encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        }
    }
}
