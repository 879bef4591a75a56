//! A process at an origin's place: what a host is beside its `relay::Origin`, which is a feed and a few numbers.

use stentor_ids::{Lineage, Slot};
use stentor_pace::Time;
use stentor_relay::{Frame, Inserted, Ring, Term, origin::Origin};

/// A process at an origin's place.
pub(super) struct Host {
    pub(super) machine: Origin<usize>,
    /// What its feed holds.
    pub(super) ring: Ring,
    /// The highest slot that was here, and when.
    pub(super) line: Option<(Slot, Time)>,
    /// Whom it hears.
    pub(super) follows: Option<usize>,
    /// The highest that its children said they had seen when they came.
    pub(super) reported: Option<(Slot, Lineage)>,
    /// Which process this is.
    pub(super) life: u32,
    /// Paused, busy with others, or replaying until then.
    pub(super) busy: u64,
    /// When its process went on after it last stood still.
    pub(super) stood: Option<u64>,
    pub(super) dead: Option<u64>,
}

impl Host {
    pub(super) fn new(who: usize, term: Term, life: u32) -> Self {
        let mut ring = Ring::new();
        ring.fence(term.epoch, term.from);
        Self {
            machine: Origin::new(term, Some(1 - who)),
            ring,
            line: None,
            follows: None,
            reported: None,
            life,
            busy: 0,
            stood: None,
            dead: None,
        }
    }

    /// Puts a frame into the feed.
    pub(super) fn pass(&mut self, now: Time, frame: &Frame) -> Inserted {
        let inserted = self.ring.insert(frame.clone());
        if inserted == Inserted::New && self.line.is_none_or(|(last, _)| frame.slot > last) {
            self.line = Some((frame.slot, now));
        }
        inserted
    }

    /// The slot that comes next on the line of those that were here, and when it is due.
    pub(super) fn under_way(&self, now: Time) -> Option<(Slot, Time)> {
        let (last, at) = self.line?;
        let next = Slot::at(now.since(at)).next();
        Some((last.plus(next.0), at + next.offset()))
    }

    pub(super) fn runs(&self, now: u64) -> bool {
        self.dead.is_none() && self.busy <= now
    }
}
