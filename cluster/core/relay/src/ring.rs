//! The last two seconds of a room's frames at one node: what makes two parents into one stream, and what a child that
//! reconnects is refilled from. It does not know time: how long a slot may be waited for is the playout's business.
//!
//! Invariants: `EpochFence`; one copy of a (slot, lineage), of the two highest lineages seen; never more than
//! [`RING_SLOTS`] slots, and no work that grows with how far a slot number jumps.

use std::collections::VecDeque;

use stentor_ids::{Epoch, Lineage, SLOTS_PER_SECOND, Slot};

use crate::Frame;

/// Slots that a ring holds: 2 s. A child's reconnect takes well under that, so it can be refilled; what is older is of
/// no use to a live listener. Beyond it the oldest slot goes.
pub const RING_SLOTS: usize = 2 * SLOTS_PER_SECOND as usize;

/// Claims that a ring remembers. A frame nine owners old is below the fences of the eight that followed as well. Beyond
/// it the claim of the lowest epoch goes.
const CLAIMS: usize = 8;

/// What became of a frame given to a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inserted {
    /// It is held now; pass it on.
    New,
    /// The slot of this lineage was there already.
    Duplicate,
    /// Its slot is below what the ring holds.
    TooOld,
    /// It is of an older epoch than a known claim, at or above that claim's first slot.
    Fenced,
    /// Two higher lineages are known.
    OldLineage,
}

/// One slot: at most two copies, the higher lineage first.
#[derive(Debug, Clone, Default)]
struct Cell {
    slot: Slot,
    frames: [Option<Frame>; 2],
}

/// The slot ring of one room.
#[derive(Debug)]
pub struct Ring {
    /// A slot's cell is at its number modulo the length; it is the slot's only if it says so.
    cells: Vec<Cell>,
    highest: Option<Slot>,
    /// The two highest lineages seen, the higher first.
    lineages: [Option<Lineage>; 2],
    /// By rising epoch.
    claims: VecDeque<(Epoch, Slot)>,
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

impl Ring {
    /// An empty ring that knows of no claim.
    #[must_use]
    pub fn new() -> Self {
        Self {
            cells: vec![Cell::default(); RING_SLOTS],
            highest: None,
            lineages: [None; 2],
            claims: VecDeque::with_capacity(CLAIMS),
        }
    }

    /// Takes a frame in, or says why not. A frame of a higher epoch is a claim by itself, from its slot on.
    pub fn insert(&mut self, frame: Frame) -> Inserted {
        if self.claims.iter().any(|(epoch, from)| frame.epoch < *epoch && frame.slot >= *from) {
            return Inserted::Fenced;
        }
        self.fence(frame.epoch, frame.slot);
        if self.highest.is_some_and(|highest| highest.since(frame.slot) >= RING_SLOTS as u64) {
            return Inserted::TooOld;
        }
        if !self.admits(frame.lineage) {
            return Inserted::OldLineage;
        }
        self.highest = self.highest.max(Some(frame.slot));
        let oldest = self.lineages[1];
        let cell = &mut self.cells[index(frame.slot)];
        if cell.slot != frame.slot {
            *cell = Cell { slot: frame.slot, frames: [None, None] };
        }
        cell.put(frame, oldest)
    }

    /// Learns of a claim: from this slot on nothing of an older epoch is taken, and what is held of it is let go. Returns
    /// whether the epoch is higher than any known.
    pub fn fence(&mut self, epoch: Epoch, from: Slot) -> bool {
        let rises = epoch > self.epoch();
        match self.claims.iter_mut().find(|(claimed, _)| *claimed == epoch) {
            Some((_, known)) if *known <= from => return false,
            Some((_, known)) => *known = from,
            None => {
                let place = self.claims.partition_point(|(claimed, _)| *claimed < epoch);
                self.claims.insert(place, (epoch, from));
                if self.claims.len() > CLAIMS {
                    self.claims.pop_front();
                }
            }
        }
        for cell in self.cells.iter_mut().filter(|cell| cell.slot >= from) {
            cell.retain(|frame| frame.epoch >= epoch);
        }
        rises
    }

    /// The highest slot ever taken.
    #[must_use]
    pub const fn highest(&self) -> Option<Slot> {
        self.highest
    }

    /// The highest epoch known; zero if none is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.claims.back().map_or(Epoch(0), |(epoch, _)| *epoch)
    }

    /// The highest lineage taken; zero if none was.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        self.lineages[0].unwrap_or_default()
    }

    /// The held frames from `slot` on, by rising slot and, within one, falling lineage.
    pub fn from(&self, slot: Slot) -> impl Iterator<Item = &Frame> {
        let highest = self.highest.unwrap_or_default();
        let oldest = Slot(highest.0.saturating_sub(RING_SLOTS as u64 - 1));
        let slots = slot.max(oldest).0..=highest.0;
        slots.filter_map(|slot| self.cell(Slot(slot))).flat_map(|cell| cell.frames.iter().flatten())
    }

    fn cell(&self, slot: Slot) -> Option<&Cell> {
        Some(&self.cells[index(slot)]).filter(|cell| cell.slot == slot)
    }

    /// Whether the lineage is one of the two highest, of which it may now be one.
    fn admits(&mut self, lineage: Lineage) -> bool {
        match self.lineages {
            [Some(high), _] if lineage == high => true,
            [Some(high), Some(low)] if lineage < high => {
                self.lineages[1] = Some(low.max(lineage));
                lineage >= low
            }
            [Some(high), None] if lineage < high => {
                self.lineages[1] = Some(lineage);
                true
            }
            [high, _] => {
                self.lineages = [Some(lineage), high];
                true
            }
        }
    }
}

impl Cell {
    /// Puts a frame in, in place of one of a lineage below the two highest.
    fn put(&mut self, frame: Frame, oldest: Option<Lineage>) -> Inserted {
        if self.frames.iter().flatten().any(|held| held.lineage == frame.lineage) {
            return Inserted::Duplicate;
        }
        self.retain(|held| oldest.is_none_or(|oldest| held.lineage >= oldest));
        match &mut self.frames {
            [high @ None, _] => *high = Some(frame),
            [Some(high), low] if frame.lineage < high.lineage => *low = Some(frame),
            [high, low] => *low = high.replace(frame),
        }
        Inserted::New
    }

    fn retain(&mut self, keep: impl Fn(&Frame) -> bool) {
        let [high, low] = std::mem::take(&mut self.frames).map(|frame| frame.filter(&keep));
        self.frames = if high.is_some() { [high, low] } else { [low, None] };
    }
}

fn index(slot: Slot) -> usize {
    (slot.0 % RING_SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stentor_pace::WallTime;

    use super::*;

    fn frame(epoch: u64, lineage: u64, slot: u64) -> Frame {
        Frame {
            epoch: Epoch(epoch),
            lineage: Lineage(lineage),
            slot: Slot(slot),
            opus: Bytes::from_static(b"opus"),
            captured: WallTime::default(),
        }
    }

    fn held(ring: &Ring, from: u64) -> Vec<(u64, u64, u64)> {
        ring.from(Slot(from)).map(|frame| (frame.epoch.0, frame.lineage.0, frame.slot.0)).collect()
    }

    #[test]
    fn two_parents_make_one_stream() {
        let mut ring = Ring::new();
        let parents = [10, 11, 10, 12, 11, 12, 14, 13].map(|slot| ring.insert(frame(1, 1, slot)));
        use Inserted::{Duplicate, New};
        assert_eq!(parents, [New, New, Duplicate, New, Duplicate, Duplicate, New, New]);
        assert_eq!(held(&ring, 12), [(1, 1, 12), (1, 1, 13), (1, 1, 14)]);
        assert_eq!(ring.highest(), Some(Slot(14)));
    }

    #[test]
    fn a_slot_that_left_the_window_is_too_old() {
        let mut ring = Ring::new();
        assert_eq!(ring.insert(frame(1, 1, 500)), Inserted::New);
        assert_eq!(ring.insert(frame(1, 1, 400)), Inserted::TooOld);
        assert_eq!(ring.insert(frame(1, 1, 401)), Inserted::New);
        assert_eq!(ring.insert(frame(1, 1, u64::MAX)), Inserted::New);
        assert_eq!(held(&ring, 0), [(1, 1, u64::MAX)]);
    }

    #[test]
    fn the_two_highest_lineages_are_kept_side_by_side() {
        let mut ring = Ring::new();
        assert_eq!(ring.insert(frame(1, 2, 7)), Inserted::New);
        assert_eq!(ring.insert(frame(1, 1, 7)), Inserted::New);
        assert_eq!(ring.insert(frame(1, 3, 7)), Inserted::New);
        assert_eq!(held(&ring, 0), [(1, 3, 7), (1, 2, 7)]);
        assert_eq!(ring.insert(frame(1, 1, 8)), Inserted::OldLineage);
        assert_eq!(ring.insert(frame(1, 2, 8)), Inserted::New);
    }

    #[test]
    fn a_claim_refuses_and_lets_go_of_older_epochs_from_its_slot_on() {
        let mut ring = Ring::new();
        for slot in 5..10 {
            ring.insert(frame(1, 1, slot));
        }
        assert!(ring.fence(Epoch(2), Slot(8)));
        assert_eq!(held(&ring, 0), [(1, 1, 5), (1, 1, 6), (1, 1, 7)]);
        assert_eq!(ring.insert(frame(1, 1, 8)), Inserted::Fenced);
        assert_eq!(ring.insert(frame(2, 1, 8)), Inserted::New);
        assert_eq!(ring.insert(frame(1, 1, 4)), Inserted::New);
        assert!(!ring.fence(Epoch(2), Slot(20)));
        assert!(!ring.fence(Epoch(1), Slot(0)));
        assert_eq!(ring.epoch(), Epoch(2));
    }

    #[test]
    fn an_epoch_is_learned_from_a_frame() {
        let mut ring = Ring::new();
        ring.insert(frame(1, 1, 8));
        assert_eq!(ring.insert(frame(3, 2, 9)), Inserted::New);
        assert_eq!(ring.insert(frame(2, 1, 9)), Inserted::Fenced);
        assert_eq!(ring.insert(frame(2, 1, 10)), Inserted::Fenced);
        assert_eq!(ring.insert(frame(3, 2, 7)), Inserted::New);
        assert_eq!(ring.insert(frame(1, 1, 8)), Inserted::Fenced);
    }
}
