//! When slots are due behind a seam buffer: the grid as the last arrivals show it, and the buffer on top of it.
//!
//! A slot's deadline is `base + slot × 20 ms + buffer`. The base follows the earliest of the last arrivals, so a grid that
//! shifts later costs a few slots once and not the buffer for good, and a late burst moves nothing.
//!
//! The buffer may grow by a slot while nothing has come, and is given back in steps of a millisecond. What it has grown to is
//! kept as a place on the grid, so that a base that comes and goes with the jitter of arrivals neither wears it down nor
//! adds to it.
//!
//! Invariant: the buffer is never below what it was set to, nor above the most that it may grow to.

use std::{collections::VecDeque, time::Duration};

use stentor_ids::{SLOT_DURATION, Slot};
use stentor_pace::Time;

/// Arrivals that the base looks back on: 200 ms of slots. That is how long a grid that shifted later by more than the
/// buffer makes slots late, and how long a burst of late frames may be without slowing the playout.
const ARRIVALS: usize = 10;
/// What a buffer gives back with a slot of silence: such a slot lasts 19 ms, and nobody hears it.
const GIVEN_BACK_MICROS: i128 = 1_000;

const SLOT_MICROS: i128 = SLOT_DURATION.as_micros() as i128;

#[derive(Debug)]
pub(crate) struct Seam {
    least: i128,
    most: i128,
    /// When slot 0 would be due, after the buffer has grown.
    grown: Option<i128>,
    /// Arrival of a slot's first copy less the slot's place on the grid, in microseconds; the newest last.
    arrivals: VecDeque<i128>,
}

impl Seam {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        let micros = |time: Duration| i128::try_from(time.as_micros()).unwrap_or(i128::MAX >> 2);
        let (least, most) = (micros(least), micros(most.max(least)));
        Self { least, most, grown: None, arrivals: VecDeque::with_capacity(ARRIVALS) }
    }

    /// The first copy of a slot came.
    pub(crate) fn arrived(&mut self, now: Time, slot: Slot) {
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(i128::from(now.as_micros()) - i128::from(slot.0) * SLOT_MICROS);
    }

    /// When a slot is given out, or given up.
    pub(crate) fn deadline(&self, slot: Slot) -> Time {
        let micros = self.first() + i128::from(slot.0) * SLOT_MICROS;
        Time::from_micros(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
    }

    /// The first slot that is not due yet.
    pub(crate) fn first_after(&self, now: Time) -> Slot {
        let passed = i128::from(now.as_micros()) - self.first();
        Slot(u64::try_from((passed.div_euclid(SLOT_MICROS) + 1).max(0)).unwrap_or(u64::MAX))
    }

    /// How long the buffer is now.
    pub(crate) fn depth(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.first() - self.base()).unwrap_or_default())
    }

    /// Makes the buffer longer by a slot, if it may be. Returns whether it did.
    pub(crate) fn grow(&mut self) -> bool {
        let longer = self.first() + SLOT_MICROS;
        let may = longer <= self.base() + self.most;
        if may {
            self.grown = Some(longer);
        }
        may
    }

    /// A slot of silence was given out: the next may come a little earlier, if the buffer has grown.
    pub(crate) fn give_back(&mut self) {
        let shorter = self.first() - GIVEN_BACK_MICROS;
        let floor = self.base() + self.least;
        self.grown = self.grown.and(Some(shorter)).filter(|shorter| *shorter > floor);
    }

    fn base(&self) -> i128 {
        self.arrivals.iter().copied().min().unwrap_or_default()
    }

    /// When slot 0 would be due.
    fn first(&self) -> i128 {
        let base = self.base();
        let floor = base + self.least;
        self.grown.map_or(floor, |grown| grown.clamp(floor, base + self.most))
    }
}
