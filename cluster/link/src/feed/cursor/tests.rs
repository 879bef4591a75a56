//! What a reader is given, and in which order.

use bytes::Bytes;
use stentor_ids::{Lineage, RoomId};
use stentor_pace::WallTime;

use super::*;
use crate::{FeedWriter, feed::Place};

fn feed() -> FeedWriter {
    FeedWriter::new(RoomId::new("demo").unwrap())
}

fn frame(epoch: u64, slot: u64) -> Frame {
    Frame {
        epoch: Epoch(epoch),
        lineage: Lineage(1),
        slot: Slot(slot),
        opus: Bytes::new(),
        captured: WallTime::default(),
    }
}

/// What a cursor is given now, as text.
fn told(cursor: &mut Cursor) -> String {
    let mut told = Vec::new();
    while let Some(item) = cursor.try_next() {
        told.push(match item {
            Item::Status(status) => format!("status {}", status.stage_version),
            Item::Levels(levels) => format!("levels {}", levels.serial),
            Item::Bans { words, whole_above } => {
                let word =
                    |word: &Word| format!("{}{}", if word.lifted { "-" } else { "+" }, word.participant);
                let whole = whole_above.map_or("", |_| " whole");
                format!("bans{whole} {}", words.iter().map(word).collect::<String>())
            }
            Item::Stage(stage) => format!("stage {}", stage.version),
            Item::Frame(frame) => frame.slot.to_string(),
            Item::Event(event) => event.participant,
            Item::Gap { slot, count } => format!("{slot}+{count}"),
            Item::Fence { epoch, from_slot } => format!("{epoch:?} from {from_slot}"),
            Item::Closed(closed) => {
                told.push(format!("{closed:?}"));
                break;
            }
        });
    }
    told.join(", ")
}

fn event(participant: &str, serial: u64) -> v1::ParticipantEvent {
    v1::ParticipantEvent { participant: participant.into(), serial, ..Default::default() }
}

#[test]
fn a_reader_is_given_the_latest_state_first_and_the_end_last() {
    let feed = feed();
    let mut cursor = feed.subscribe(None);
    feed.push(frame(1, 4));
    for stage_version in 1..4 {
        feed.set_status(Arc::new(v1::RoomStatus { stage_version, ..Default::default() }));
    }
    feed.close(Closed::Ended);
    feed.close(Closed::Moved);
    feed.push(frame(1, 5));
    assert_eq!(told(&mut cursor), "status 3, 4, 5, Ended");
    assert_eq!(told(&mut cursor), "Ended");
}

#[test]
fn a_reader_from_a_slot_is_refilled_and_one_that_lags_skips_and_is_told() {
    let feed = feed();
    let mut lagging = feed.subscribe(None);
    feed.push(frame(1, 0));
    assert_eq!(told(&mut lagging), "0");
    for slot in 1..=300 {
        feed.push(frame(1, slot));
    }
    assert_eq!(told(&mut lagging), "1+295, 296, 297, 298, 299, 300");
    assert_eq!(told(&mut feed.subscribe(Some(Slot(298)))), "298, 299, 300");
    assert_eq!(told(&mut feed.subscribe(Some(Slot(0)))).split(", ").count(), 100);
    assert_eq!(told(&mut feed.subscribe(None)), "");
}

#[test]
fn a_slow_reader_is_given_its_frames_while_the_room_s_state_changes_all_the_time() {
    let feed = feed();
    let tell = |stage_version| {
        feed.set_status(Arc::new(v1::RoomStatus { stage_version, ..Default::default() }));
    };
    tell(0);
    let mut cursor = feed.subscribe(None);
    assert_eq!(told(&mut cursor), "status 0");
    let (mut frames, mut statuses) = (0, 0);
    // It takes one message for each slot; the state is another one each time.
    for slot in 0..200 {
        feed.push(frame(1, slot));
        tell(slot + 1);
        match cursor.try_next() {
            Some(Item::Frame(_)) => frames += 1,
            Some(Item::Status(_)) => statuses += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(frames >= 190, "{frames} frames and {statuses} statuses");
    assert!(statuses >= 2, "the state comes too, in the end");
}

#[test]
fn who_is_banned_is_told_first_and_then_what_changes_between_frames() {
    let id = |name: &str| stentor_ids::ParticipantId::new(name).unwrap();
    let feed = feed();
    feed.set_all_banned(Epoch(0), [id("eve"), id("mal")]);
    feed.set_status(Arc::default());
    feed.push(frame(1, 0));
    let mut cursor = feed.subscribe(Some(Slot(0)));
    assert_eq!(told(&mut cursor), "bans +eve+mal, status 0, 0");
    feed.set_banned(id("bob"), true);
    feed.set_banned(id("eve"), false);
    feed.event(event("bob", 0));
    feed.push(frame(1, 1));
    feed.push(frame(1, 2));
    feed.set_levels(v1::Levels { serial: 4, ..Default::default() });
    feed.set_levels(v1::Levels { serial: 3, ..Default::default() });
    assert_eq!(told(&mut cursor), "bob, 1, bans +bob-eve, 2, levels 4");
    feed.fence(Epoch(2), Slot(3));
    feed.set_all_banned(Epoch(2), [id("mal")]);
    assert_eq!(told(&mut cursor), "e2 from 3, bans whole +mal");

    let below = self::feed();
    let mut cursor = feed.subscribe(None);
    while let Some(item) = cursor.try_next() {
        if let Item::Bans { words, whole_above } = item {
            below.take_bans(crate::feed::bans_to_wire(words, whole_above));
        }
    }
    assert!(below.is_banned(&id("mal")) && !below.is_banned(&id("bob")));
}

fn stage(epoch: u64, version: u64, muted: bool) -> v1::StageState {
    let ann = v1::Participant { id: "ann".into(), muted, ..Default::default() };
    v1::StageState { version, seats: vec![ann], epoch }
}

#[test]
fn who_may_speak_is_told_at_once_and_the_newest_counts_whichever_way_it_comes() {
    let id = |name: &str| stentor_ids::ParticipantId::new(name).unwrap();
    let feed = feed();
    feed.set_status(Arc::default());
    assert_eq!(feed.place_of(&id("ann")), Place::Unknown);
    feed.take_stage(&stage(1, 4, false)).unwrap();
    feed.push(frame(1, 0));
    let mut cursor = feed.subscribe(Some(Slot(0)));
    assert_eq!(told(&mut cursor), "status 0, stage 4, 0");
    assert_eq!((feed.place_of(&id("ann")), feed.place_of(&id("bob"))), (Place::Open, Place::Off));
    feed.push(frame(1, 1));
    feed.take_stage(&stage(1, 6, true)).unwrap();
    // Another parent says it late, and a third says what a former owner said.
    for old in [stage(1, 5, false), stage(1, 6, false), stage(0, 99, false)] {
        feed.take_stage(&old).unwrap();
    }
    assert_eq!((told(&mut cursor).as_str(), feed.place_of(&id("ann"))), ("stage 6, 1", Place::Muted));
    feed.take_stage(&stage(2, 3, false)).unwrap();
    assert_eq!((told(&mut cursor).as_str(), feed.place_of(&id("ann"))), ("stage 3", Place::Open));
}

#[test]
fn a_stage_gone_wrong_is_cut_to_its_bounds_or_nothing_of_it_is_believed() {
    let feed = feed();
    feed.push(frame(1, 0));
    let seat = |id: String| v1::Participant { id, ..Default::default() };
    let many = (0..9_999).map(|n| seat(format!("p{n:04}"))).collect();
    feed.take_stage(&v1::StageState { version: 1, seats: many, epoch: 1 }).unwrap();
    let Some(Item::Stage(taken)) = feed.subscribe(None).try_next() else { panic!("it is told") };
    assert_eq!(taken.seats.len(), crate::feed::MAX_SEATS);
    let bad = v1::StageState { version: 2, seats: vec![seat("a/b".into())], epoch: 1 };
    assert!(feed.take_stage(&bad).unwrap_err().detail.contains("a/b"));
    assert!(feed.take_stage(&stage(9_999_999, 1, true)).unwrap_err().detail.contains("9999999"));
    assert!(matches!(feed.subscribe(None).try_next(), Some(Item::Stage(known)) if known.version == 1));
}

#[test]
fn a_flood_of_events_leaves_every_second_place_to_a_frame() {
    let feed = feed();
    let mut cursor = feed.subscribe(None);
    for slot in 0..3 {
        feed.push(frame(1, slot));
        feed.event(event("anna", 0));
    }
    assert_eq!(told(&mut cursor), "anna, 0, anna, 1, anna, 2");
}

#[test]
fn a_claim_is_told_once_and_before_what_comes_under_it() {
    let feed = feed();
    let mut cursor = feed.subscribe(None);
    feed.push(frame(1, 7));
    assert!(feed.fence(Epoch(2), Slot(8)));
    assert!(!feed.fence(Epoch(2), Slot(8)));
    feed.push(frame(1, 8));
    feed.push(frame(2, 8));
    assert_eq!(told(&mut cursor), "e2 from 8, 7, 8");
}

#[test]
fn an_event_that_comes_by_two_ways_is_given_once_and_a_child_that_missed_some_gets_them() {
    let owner = feed();
    owner.fence(Epoch(3), Slot(0));
    let mut own = owner.subscribe(None);
    owner.event(event("anna", 0));
    owner.event(event("bert", 0));
    assert_eq!(told(&mut own), "e3 from 0, anna, bert");
    let first = owner.serial() - 1;

    let relay = feed();
    let mut below = relay.subscribe(None);
    for (participant, serial) in [("bert", first + 1), ("anna", first), ("bert", first + 1), ("anna", first)]
    {
        relay.event(event(participant, serial));
    }
    assert_eq!(told(&mut below), "bert, anna");
    let mut missed = owner.subscribe(None).with_events_after(first);
    assert_eq!(told(&mut missed), "e3 from 0, bert");
    // The next owner's events come after all of this one's.
    owner.fence(Epoch(4), Slot(9));
    owner.event(event("carl", 0));
    assert!(owner.serial() > first + 1000);
}
