//! How one origin goes above what children say: slots that they have seen, lineages that they have seen, and lineages on
//! which they are stuck. It does not know whether the other origin leads.
//!
//! Invariants: no word moves a room further than its bound; one that keeps is moved nowhere, and only begins nothing below.

use stentor_ids::{Epoch, Lineage, SLOTS_PER_SECOND, Slot};
use stentor_pace::Time;

use crate::{Leadership, Lifts};

/// How far a child's report may be ahead of a room that is on the air already: the clocks of two origins differ, and what
/// was emitted by one of them is no reason for the other to jump.
pub(super) const CLOCKS_DIFFER: u64 = 25;
/// Furthest that a child's report moves a room forward: an hour. No clock is that wrong for long, and a report that says
/// more is a bug that must not take the room's numbers to their end.
pub(super) const FURTHEST_LIFT: u64 = 3600 * SLOTS_PER_SECOND;

/// Above what a child has seen; `least` is how far ahead that must be. Returns by how many slots it went forward.
pub(super) fn above_seen(
    leadership: &mut Leadership,
    epoch: Epoch,
    least: u64,
    (slot, lineage): (Slot, Lineage),
) -> Option<u64> {
    if leadership.leads().is_none() {
        leadership.saw(lineage);
        return None;
    }
    // Which of the lineages of this epoch counts is settled between the two origins.
    if lineage.epoch() > epoch && lineage > leadership.lineage() {
        leadership.lift(Slot(0), lineage);
    }
    let ahead = slot.next().since(leadership.next().unwrap_or_default());
    if ahead <= least || ahead > FURTHEST_LIFT {
        return None;
    }
    leadership.lift(slot.next(), Lineage::default());
    Some(ahead)
}

/// Above the lineage that a child is stuck on, if that can be. Returns the lineage that is led from now on.
pub(super) fn above_stuck(
    leadership: &mut Leadership,
    lifts: &mut Lifts,
    now: Time,
    stuck: Lineage,
) -> Option<Lineage> {
    let highest = leadership.lineage();
    let Some(led) = leadership.leads() else {
        if stuck > highest && lifts.take(now, highest, stuck) {
            leadership.saw(stuck);
        }
        return None;
    };
    // An epoch that is about to begin here brings a lineage above all of this one.
    let ours = stuck.epoch() == led.epoch() && highest.epoch() == led.epoch();
    if !ours || stuck <= led || !lifts.take(now, highest, stuck) {
        return None;
    }
    leadership.lift(Slot(0), stuck.max(highest));
    leadership.leads()
}
