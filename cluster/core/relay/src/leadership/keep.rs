//! What one that keeps knows of the other's grid, out of when its slots came.

use std::{collections::VecDeque, time::Duration};

use stentor_ids::{Lineage, SLOT_DURATION, Slot};
use stentor_pace::Time;

/// Arrivals that the grid of the other is read from: 200 ms.
pub(super) const ARRIVALS: usize = 10;

const SLOT_MICROS: i64 = SLOT_DURATION.as_micros() as i64;

#[derive(Debug, Default)]
pub(super) struct Keep {
    /// What the other leads, as last heard.
    pub(super) lineage: Lineage,
    /// Arrival of a slot less its place on the grid, in microseconds; the newest last.
    pub(super) arrivals: VecDeque<i64>,
    /// Where the grid was led before, until there are arrivals.
    pub(super) led: Option<i64>,
    /// The first slot that has not come; `None` before any came.
    pub(super) next: Option<Slot>,
    /// The stream of the other has ended.
    pub(super) lost: bool,
    /// Until then nothing is concluded.
    pub(super) awake: Time,
}

impl Keep {
    /// One that has led up to `next`, which is due `at`.
    pub(super) fn after(lineage: Lineage, next: Slot, at: Time) -> Self {
        Self { lineage, led: Some(micros(at) - place(next)), next: Some(next), ..Self::default() }
    }

    /// Where the grid of the other is, as far as is known.
    pub(super) fn base(&self) -> Option<i64> {
        self.arrivals.iter().copied().min().or(self.led)
    }

    /// A slot came; too late to tell of the grid, if a grace is given in which others may come.
    pub(super) fn heard(&mut self, now: Time, slot: Slot, late: Option<Duration>) {
        if self.next.is_some_and(|next| slot < next) {
            return;
        }
        self.next = Some(slot.next());
        self.lost = false;
        if let Some(grace) = late {
            self.awake = now + grace;
            return;
        }
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(micros(now) - place(slot));
    }
}

pub(super) fn micros(at: Time) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

/// Where a slot stands on the grid, in microseconds. Far enough from the end that sums do not overflow.
pub(super) fn place(slot: Slot) -> i64 {
    i64::try_from(slot.0).unwrap_or(i64::MAX).min(i64::MAX / (4 * SLOT_MICROS)) * SLOT_MICROS
}
