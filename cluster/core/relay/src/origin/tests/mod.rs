//! One origin, told and polled; the other is whatever a test says.

mod hears;
mod leads;
mod stages;

use bytes::Bytes;
use stentor_ids::SLOTS_PER_SECOND;

use super::{lift::FURTHEST_LIFT, *};
use crate::EPOCHS_AHEAD;

/// Where the other origin is reached.
const OTHER: &str = "other";

const fn at(millis: u64) -> Time {
    Time::from_millis(100_000 + millis)
}

const fn term(epoch: u64, from: u64, side: Side) -> Term {
    Term { epoch: Epoch(epoch), from: Slot(from), side }
}

fn frame(epoch: u64, lineage: Lineage, slot: u64) -> Frame {
    let captured = WallTime::default();
    Frame { epoch: Epoch(epoch), lineage, slot: Slot(slot), opus: Bytes::new(), captured }
}

/// The first lineage of an epoch, and those that follow.
const fn line(epoch: u64, count: u64) -> Lineage {
    Lineage(Lineage::of(Epoch(epoch)).0 + count)
}

fn begin(slot: u64, epoch: u64, line: Option<(u64, u64)>) -> Begin {
    let line = line.map(|(slot, due)| (Slot(slot), at(due)));
    Begin { slot: Slot(slot), lineage: Lineage::of(Epoch(epoch)), since: WallTime::from_millis(5_000), line }
}

/// The mirror of epoch 1 in a room that went live at `at(0)`, which has heard slots 0 to 9 on time.
fn mirror() -> Origin<&'static str> {
    let mut origin = Origin::new(term(1, 0, Side::Mirror), Some(OTHER));
    origin.become_live(at(0), Duration::ZERO);
    for slot in 0..10 {
        assert_eq!(hears(&mut origin, 20 * slot, frame(1, line(1, 0), slot)), vec![]);
    }
    assert_eq!(acts(&mut origin, 180), "follow:other@1 say");
    origin
}

/// The owner of epoch 1, in the same room, which has emitted slots 0 to 9.
fn owner() -> Origin<&'static str> {
    let mut origin = Origin::new(term(1, 0, Side::Owner), Some(OTHER));
    origin.begin(at(0), WallTime::from_millis(5_000), begin(0, 1, None));
    assert!(acts(&mut origin, 180).contains("E9@1"));
    origin
}

/// A frame that is to be passed on comes at a moment and is.
#[track_caller]
fn hears(origin: &mut Origin<&'static str>, millis: u64, frame: Frame) -> Vec<Effect<&'static str>> {
    assert_eq!(origin.judge(at(millis), &frame, || None), Verdict::Pass, "{frame:?}");
    origin.heard(at(millis), &frame, Inserted::New)
}

/// What it does at a moment, by a driver that does as it is asked: `T` takes over, `E` emits a slot of an epoch.
fn acts(origin: &mut Origin<&'static str>, millis: u64) -> String {
    let mut told = Vec::new();
    while let Some(act) = origin.poll(at(millis)) {
        told.push(match act {
            Act::Read => {
                origin.has_read();
                continue;
            }
            Act::TakeOver { slot, .. } => format!("T{slot}"),
            Act::Emit { due, epoch, lineage } => {
                let mixed = frame(epoch.0, lineage, due.slot.0);
                let leads = origin.emitted(at(millis), &mixed, Inserted::New);
                let news = leads.map(|_| origin.say(at(millis), true));
                format!("E{}@{epoch}{}", due.slot, if news.is_some() { "!" } else { "" })
            }
            Act::Yield => "yield".to_owned(),
            Act::Follow { peer, epoch, another } => {
                format!("follow:{}@{epoch}{}", peer.unwrap_or("none"), if another { "" } else { " again" })
            }
            Act::Say => {
                origin.say(at(millis), true);
                "say".to_owned()
            }
            Act::Over => {
                told.push("over".to_owned());
                break;
            }
        });
    }
    told.join(" ")
}
