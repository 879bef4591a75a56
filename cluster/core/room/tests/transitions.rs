//! Every command, by everyone, in every state: who may do what when, as one table.

#![expect(clippy::unwrap_used, reason = "a room that cannot be made here is a bug of the test")]

use std::fmt::Write as _;

use stentor_ids::{ParticipantId, Role};
use stentor_pace::WallTime;
use stentor_room::{Actor, Command, Effect, Record, Room, Spec, SpecChange};

const NOW: WallTime = WallTime::from_millis(1_000_000);

fn id(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

fn actor(name: &str, role: Role) -> Actor {
    Actor::Participant { id: id(name), name: name.to_uppercase(), role }
}

/// Opens the doors to the actor, a speaker `bob` and a host `eve`, and goes as far as the state.
fn room(state: &str, me: &Actor) -> Room {
    let mut room = Room::new(Record::new(Spec::default()).unwrap());
    let mut tell = |by: &Actor, command| drop(room.handle(NOW, by, command));
    if state != "scheduled" {
        tell(&Actor::Operator, Command::Open);
        tell(me, Command::Join);
        tell(&actor("bob", Role::Speaker), Command::Join);
        tell(&actor("eve", Role::Host), Command::Join);
    }
    if matches!(state, "live" | "ended") {
        tell(&Actor::Operator, Command::GoLive);
    }
    if state == "ended" {
        tell(&Actor::Operator, Command::End);
    }
    assert_eq!(room.record().lifecycle().to_string(), state);
    room
}

fn commands() -> Vec<(&'static str, Command)> {
    let (bob, eve, dan, me) = (id("bob"), id("eve"), id("dan"), id("me"));
    let why = String::new;
    vec![
        ("open", Command::Open),
        ("go live", Command::GoLive),
        ("end", Command::End),
        ("retitle", Command::Update(SpecChange { title: Some("T".into()), ..SpecChange::default() })),
        ("join", Command::Join),
        ("leave", Command::Leave),
        ("raise hand", Command::RaiseHand),
        ("lower hand", Command::LowerHand),
        ("accept", Command::Accept),
        ("decline", Command::Decline),
        ("mute me", Command::Mute { id: me.clone(), muted: true }),
        ("mute bob", Command::Mute { id: bob.clone(), muted: true }),
        ("mute eve", Command::Mute { id: eve.clone(), muted: true }),
        ("mute dan", Command::Mute { id: dan.clone(), muted: true }),
        ("gain bob", Command::SetGain { id: bob.clone(), gain_db: 6 }),
        ("gain eve", Command::SetGain { id: eve.clone(), gain_db: 6 }),
        ("invite dan", Command::Invite { id: dan.clone(), role: Role::Speaker }),
        ("invite dan as host", Command::Invite { id: dan.clone(), role: Role::Host }),
        ("make bob cohost", Command::SetRole { id: bob.clone(), role: Role::Cohost }),
        ("make bob host", Command::SetRole { id: bob.clone(), role: Role::Host }),
        ("make bob listener", Command::SetRole { id: bob.clone(), role: Role::Listener }),
        ("remove bob", Command::Remove { id: bob.clone(), reason: why() }),
        ("remove eve", Command::Remove { id: eve.clone(), reason: why() }),
        ("remove dan", Command::Remove { id: dan.clone(), reason: why() }),
        ("remove me", Command::Remove { id: me, reason: why() }),
        ("ban dan", Command::Ban { id: dan.clone(), reason: why() }),
        ("ban eve", Command::Ban { id: eve, reason: why() }),
        ("unban dan", Command::Unban { id: dan }),
    ]
}

/// `done` with effects, `-` if all is so already, or the code of the refusal.
fn outcome(room: &Room, by: &Actor, command: &Command) -> &'static str {
    let mut room = room.clone();
    let before = room.clone();
    match room.handle(NOW, by, command.clone()) {
        Ok(effects) if effects.is_empty() => {
            assert_eq!(room, before);
            "-"
        }
        Ok(effects) => {
            assert_ne!(room, before);
            assert_eq!(effects.contains(&Effect::Commit), *room.record() != *before.record());
            "done"
        }
        Err(refusal) => {
            assert_eq!(room, before, "{refusal}");
            refusal.code().as_str()
        }
    }
}

fn table(state: &str) -> String {
    let everyone = [None, Some(Role::Host), Some(Role::Cohost), Some(Role::Speaker), Some(Role::Listener)];
    let mut text = format!("{state:<19}");
    for role in everyone {
        write!(text, " {:<19}", role.map_or("operator", Role::as_str)).unwrap();
    }
    for (name, command) in commands() {
        write!(text, "\n{name:<19}").unwrap();
        for role in everyone {
            let me = role.map_or(Actor::Operator, |role| actor("me", role));
            write!(text, " {:<19}", outcome(&room(state, &me), &me, &command)).unwrap();
        }
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn an_open_room_does_what_the_role_allows() {
    let told = table("open");
    assert!(told == include_str!("open.txt"), "tests/open.txt should be:\n{told}");
}

#[test]
fn a_live_room_differs_from_an_open_one_in_going_live_alone() {
    let changed: Vec<_> = table("open")
        .lines()
        .zip(table("live").lines())
        .skip(1)
        .filter(|(open, live)| open != live)
        .map(|(_, live)| live.to_owned())
        .collect();
    assert_eq!(
        changed,
        [
            "go live             wrong_state         wrong_state         wrong_state         wrong_state         wrong_state"
        ]
    );
}

#[test]
fn a_scheduled_room_can_be_opened_ended_or_changed_by_who_may() {
    for line in table("scheduled").lines().skip(1) {
        let (command, outcomes) = line.split_at(19);
        let outcomes: Vec<_> = outcomes.split_whitespace().collect();
        match command.trim() {
            "open" | "end" | "retitle" => {
                assert_eq!(outcomes, ["done", "done", "role_forbids", "role_forbids", "role_forbids"]);
            }
            other => assert_eq!(outcomes, ["not_live_yet"; 5], "{other}"),
        }
    }
}

#[test]
fn an_ended_room_does_nothing_any_more() {
    for line in table("ended").lines().skip(1) {
        assert_eq!(line.split_at(19).1.split_whitespace().collect::<Vec<_>>(), ["room_ended"; 5], "{line}");
    }
}
