//! Checks of the invariants that look the same wherever they are made. Each is told what happened and compares it with
//! what happened before; none shares code with what it checks. Invariants that need more than slots, epochs and counts
//! are checked in the crate that has the rest.
//!
//! A check that found a violation takes the new state as given, so that one fault is reported once.

use std::{collections::VecDeque, time::Duration};

use stentor_ids::{Epoch, Lineage, Slot};

use crate::{Invariant, Time, Violation};

/// [`Invariant::SlotOnce`] for one listener.
#[derive(Debug, Clone, Default)]
pub struct SlotOnce {
    last: Option<(Slot, Lineage)>,
}

impl SlotOnce {
    /// The listener was given this slot.
    ///
    /// # Errors
    /// The slot is not above the last one, or the lineage is below the last one.
    pub fn given(&mut self, slot: Slot, lineage: Lineage) -> Result<(), Violation> {
        let last = self.last.replace((slot, lineage));
        match last {
            Some((before, of)) if slot <= before || lineage < of => Err(Invariant::SlotOnce
                .broken(format!("slot {slot} of lineage {lineage} was given after {before} of {of}"))),
            _ => Ok(()),
        }
    }
}

/// [`Invariant::NoGap`] for one listener.
#[derive(Debug, Clone, Default)]
pub struct NoGap {
    last: Option<Slot>,
}

impl NoGap {
    /// The listener was given this slot. Slots that come again or go back are [`SlotOnce`]'s business.
    ///
    /// # Errors
    /// Slots between the last one and this one were never given.
    pub fn given(&mut self, slot: Slot) -> Result<(), Violation> {
        let last = self.last.replace(slot);
        match last {
            Some(before) if slot > before.next() => Err(Invariant::NoGap
                .broken(format!("{} slots are missing between {before} and {slot}", slot.since(before) - 1))),
            _ => Ok(()),
        }
    }
}

/// [`Invariant::OneWriter`] for one room, seen from where all claims and commits pass.
#[derive(Debug, Clone, Default)]
pub struct OneWriter {
    highest: Epoch,
}

impl OneWriter {
    /// The room was claimed under this epoch.
    ///
    /// # Errors
    /// The epoch is not above every earlier one.
    pub fn claimed(&mut self, epoch: Epoch) -> Result<(), Violation> {
        let before = self.highest;
        self.highest = before.max(epoch);
        if epoch > before {
            return Ok(());
        }
        Err(Invariant::OneWriter.broken(format!("epoch {epoch} was claimed after {before}")))
    }

    /// A record of the room was committed under this epoch.
    ///
    /// # Errors
    /// A higher epoch had been claimed.
    pub fn committed(&self, epoch: Epoch) -> Result<(), Violation> {
        if epoch >= self.highest {
            return Ok(());
        }
        Err(Invariant::OneWriter
            .broken(format!("epoch {epoch} committed after {} was claimed", self.highest)))
    }
}

/// Claims that [`EpochFence`] remembers. A room changes its owner seldom; a frame that is nine owners old is below the
/// fence of the eight that followed as well, so forgetting the oldest claim loses nothing that can happen.
const CLAIMS: usize = 8;

/// [`Invariant::EpochFence`] for one receiver and room.
#[derive(Debug, Clone, Default)]
pub struct EpochFence {
    claims: VecDeque<(Epoch, Slot)>,
}

impl EpochFence {
    /// The receiver learned of a claim.
    pub fn claimed(&mut self, epoch: Epoch, from_slot: Slot) {
        if self.claims.len() == CLAIMS {
            self.claims.pop_front();
        }
        self.claims.push_back((epoch, from_slot));
    }

    /// The receiver took a frame.
    ///
    /// # Errors
    /// The frame is of an older epoch than a known claim, and at or above that claim's `from_slot`.
    pub fn took(&self, epoch: Epoch, slot: Slot) -> Result<(), Violation> {
        match self.claims.iter().find(|(claimed, from)| epoch < *claimed && slot >= *from) {
            Some((claimed, from)) => Err(Invariant::EpochFence
                .broken(format!("slot {slot} of epoch {epoch} was taken; {claimed} owns from {from} on"))),
            None => Ok(()),
        }
    }
}

/// [`Invariant::OwnerSettles`] for one room, from when links were cut until they are cut otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnerSettles {
    changes: u32,
}

impl OwnerSettles {
    /// The room has another owner.
    ///
    /// # Errors
    /// It had another one since the links were cut.
    pub fn changed(&mut self) -> Result<(), Violation> {
        self.changes += 1;
        if self.changes <= 1 {
            return Ok(());
        }
        let detail = format!("the owner has changed {} times since links were cut", self.changes);
        Err(Invariant::OwnerSettles.broken(detail))
    }
}

/// [`Invariant::CountSum`]: a count that was told, with the number of edges it says it covers, against the reports that
/// it was made from.
///
/// # Errors
/// The sum or the coverage is another.
pub fn count_sum(told: u64, covers: usize, reports: impl IntoIterator<Item = u64>) -> Result<(), Violation> {
    let (edges, sum) = reports
        .into_iter()
        .fold((0_usize, 0_u64), |(edges, sum), report| (edges + 1, sum.saturating_add(report)));
    if (told, covers) == (sum, edges) {
        return Ok(());
    }
    Err(Invariant::CountSum
        .broken(format!("{told} over {covers} edges was told; {edges} edges reported {sum}")))
}

/// [`Invariant::EdgeFed`] for one edge and room, seen from where it is known who could give it slots.
#[derive(Debug, Clone, Default)]
pub struct EdgeFed {
    /// When it was given something last, or could not be; `None` before the first word.
    last: Option<Time>,
}

impl EdgeFed {
    /// The edge was given a slot just now, or there is nobody who could.
    pub fn fed(&mut self, now: Time) {
        self.last = Some(now);
    }

    /// It was given none just now, though somebody could.
    ///
    /// # Errors
    /// That has lasted for longer than `bound`.
    pub fn waits(&mut self, now: Time, bound: Duration) -> Result<(), Violation> {
        let waited = now.since(*self.last.get_or_insert(now));
        if waited <= bound {
            return Ok(());
        }
        self.last = Some(now);
        Err(Invariant::EdgeFed
            .broken(format!("an edge was given no slot for {waited:?} while somebody mixed")))
    }
}

/// [`Invariant::Bounded`] for one queue, named in the message.
///
/// # Errors
/// The queue is longer than its bound.
pub fn bounded(queue: &str, len: usize, bound: usize) -> Result<(), Violation> {
    if len <= bound {
        return Ok(());
    }
    Err(Invariant::Bounded.broken(format!("{queue} holds {len}, its bound is {bound}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken<T>(outcome: Result<T, Violation>) -> Option<Invariant> {
        outcome.err().map(|violation| violation.invariant)
    }

    #[test]
    fn a_repeated_slot_and_a_falling_lineage_are_noticed_once() {
        let mut check = SlotOnce::default();
        let mut given = |slot, lineage| broken(check.given(Slot(slot), Lineage(lineage)));
        assert_eq!([given(7, 1), given(8, 1), given(12, 2)], [None; 3]);
        assert_eq!([given(12, 2), given(13, 1)], [Some(Invariant::SlotOnce); 2]);
        assert_eq!(given(14, 1), None);
    }

    #[test]
    fn a_gap_is_told_with_its_length() {
        let mut check = NoGap::default();
        assert_eq!((check.given(Slot(5)), check.given(Slot(6))), (Ok(()), Ok(())));
        let violation = check.given(Slot(9)).unwrap_err();
        assert_eq!(violation.to_string(), "no_gap broken: 2 slots are missing between 6 and 9");
    }

    #[test]
    fn a_stale_commit_and_a_reused_epoch_are_noticed() {
        let mut check = OneWriter::default();
        assert_eq!(check.claimed(Epoch(1)), Ok(()));
        assert_eq!(check.claimed(Epoch(3)), Ok(()));
        assert_eq!(broken(check.claimed(Epoch(3))), Some(Invariant::OneWriter));
        assert_eq!(broken(check.committed(Epoch(2))), Some(Invariant::OneWriter));
        assert_eq!(check.committed(Epoch(3)), Ok(()));
    }

    #[test]
    fn a_frame_of_an_older_epoch_is_fine_only_below_the_claim() {
        let mut check = EpochFence::default();
        check.claimed(Epoch(2), Slot(100));
        assert_eq!(check.took(Epoch(1), Slot(99)), Ok(()));
        assert_eq!(check.took(Epoch(2), Slot(100)), Ok(()));
        assert_eq!(broken(check.took(Epoch(1), Slot(100))), Some(Invariant::EpochFence));
    }

    #[test]
    fn an_owner_may_change_once_while_links_stay_as_they_are() {
        let mut check = OwnerSettles::default();
        assert_eq!(check.changed(), Ok(()));
        assert_eq!(broken(check.changed()), Some(Invariant::OwnerSettles));
    }

    #[test]
    fn a_count_must_match_its_reports_and_its_coverage() {
        assert_eq!(count_sum(12, 3, [5, 0, 7]), Ok(()));
        assert_eq!(broken(count_sum(12, 4, [5, 0, 7])), Some(Invariant::CountSum));
        assert_eq!(broken(count_sum(11, 3, [5, 0, 7])), Some(Invariant::CountSum));
    }

    #[test]
    fn an_edge_may_wait_for_as_long_as_the_bound_and_that_it_waited_longer_is_told_once() {
        let (mut check, bound) = (EdgeFed::default(), Duration::from_millis(300));
        check.fed(Time::from_millis(1_000));
        let mut waits = |at| broken(check.waits(Time::from_millis(at), bound));
        assert_eq!([waits(1_100), waits(1_300)], [None; 2]);
        assert_eq!([waits(1_301), waits(1_400)], [Some(Invariant::EdgeFed), None]);
    }

    #[test]
    fn a_queue_may_reach_its_bound_and_not_pass_it() {
        assert_eq!(bounded("hands", 3, 3), Ok(()));
        assert_eq!(broken(bounded("hands", 4, 3)), Some(Invariant::Bounded));
    }
}
