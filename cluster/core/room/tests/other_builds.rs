//! Records of other builds: `golden/` has what each schema's builds wrote. A file there is never changed; a new form of the
//! record gets a new file.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use stentor_ids::{ParticipantId, Role};
use stentor_pace::WallTime;
use stentor_room::{Actor, Command, InvalidRecord, Record, Room, SpecChange};

fn golden(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read(path).expect("a golden file is read")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn id(name: &str) -> ParticipantId {
    ParticipantId::new(name).expect("a name")
}

fn someone(name: &str, role: Role) -> Actor {
    Actor::Participant { id: id(name), name: name.to_owned(), role }
}

#[test]
fn every_golden_record_is_read_and_written_back_as_it_was() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut read = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let record = Record::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(json(&record.encode()), json(&bytes), "{}", path.display());
        read += 1;
    }
    assert!(read >= 4);
}

#[test]
fn what_only_a_newer_build_knows_outlasts_the_commands_of_this_one() {
    let mut room = Room::new(Record::decode(&golden("newer-build.json")).unwrap());
    let now = WallTime::from_millis(1);
    let commands = [
        (someone("bob", Role::Speaker), Command::Join),
        (Actor::Operator, Command::Mute { id: id("ann"), muted: true }),
        (Actor::Operator, Command::Mute { id: id("ivy"), muted: true }),
        (Actor::Operator, Command::SetGain { id: id("ivy"), gain_db: 3 }),
        (Actor::Operator, Command::Ban { id: id("eve"), reason: String::new() }),
        (Actor::Operator, Command::Unban { id: id("eve") }),
        (
            Actor::Operator,
            Command::Update(SpecChange { title: Some("Renamed".into()), ..SpecChange::default() }),
        ),
        (Actor::Operator, Command::GoLive),
    ];
    for (by, command) in commands {
        room.handle(now, &by, command.clone()).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
    let after = json(&Record::decode(&room.record().encode()).unwrap().encode());
    assert_eq!(after["chapters"], json!([{"at": 1, "title": "Opening"}]));
    assert_eq!((&after["spec"]["colour"], &after["spec"]["title"]), (&json!({"hue": 7}), &json!("Renamed")));
    assert_eq!(after["stage"][0]["pronouns"], "she");
    assert_eq!(
        (&after["stage"][1]["role"], &after["stage"][1]["language"]),
        (&json!("interpreter"), &json!("de"))
    );
    let ivy = json!({"role": "interpreter", "muted": true, "until": 1_790_000_000_000_000_u64});
    assert_eq!(after["rulings"]["ivy"], ivy);
    assert_eq!(
        after["rulings"]["eve"],
        json!({"warned": "ann"}),
        "banned and unbanned, and what else was ruled is kept"
    );
}

#[test]
fn a_role_that_only_a_newer_build_knows_may_do_what_a_listener_may() {
    let mut room = Room::new(Record::decode(&golden("newer-build.json")).unwrap());
    let now = WallTime::from_millis(1);
    assert!(!room.record().may_speak(&id("ivy")) && room.record().may_speak(&id("ann")));
    for name in ["ivy", "joe"] {
        let they = someone(name, Role::Speaker);
        assert_eq!(room.record().role_of(&they), Ok(Role::Listener), "not as the ticket says");
        assert!(room.handle(now, &they, Command::Mute { id: id("ann"), muted: true }).is_err());
        room.handle(now, &they, Command::RaiseHand).unwrap();
    }
    // A host of this build may give a role that this build knows.
    room.handle(now, &Actor::Operator, Command::SetRole { id: id("ivy"), role: Role::Speaker }).unwrap();
    assert!(room.record().may_speak(&id("ivy")));
    let after = json(&room.record().encode());
    assert_eq!(after["rulings"]["ivy"]["until"], 1_790_000_000_000_000_u64);
}

#[test]
fn a_record_of_a_newer_schema_is_refused_whole_and_its_schema_told() {
    let mut record = json(&golden("1-open.json"));
    record["schema"] = json!(Record::SCHEMA + 1);
    // Nothing else of it needs to be as this build knows it.
    record["lifecycle"] = json!("paused");
    let bytes = serde_json::to_vec(&record).unwrap();
    let refused = Record::decode(&bytes).unwrap_err();
    assert!(matches!(refused, InvalidRecord::Newer(2)), "{refused}");
    assert_eq!(
        refused.to_string(),
        "a room record has schema 2; this build reads up to 1: upgrade this node"
    );
    assert_eq!(Record::schema_of(&bytes), Some(2));
    assert_eq!(Record::schema_of(&golden("1-open.json")), Some(1));
}

#[test]
fn a_record_that_is_cut_short_is_refused_at_every_length() {
    let whole = golden("newer-build.json");
    let end = whole.iter().rposition(|byte| *byte == b'}').unwrap();
    for length in 0..=end {
        assert!(Record::decode(&whole[..length]).is_err(), "{length} bytes");
        assert_eq!(Record::schema_of(&whole[..length]), None);
    }
}
