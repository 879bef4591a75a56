//! What a listener was given, in short: the words of a report.

use std::time::Duration;

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::Time;

/// Slots that were not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub slot: Slot,
    /// How many.
    pub count: u64,
}

/// That a room's audio went on from another encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The first slot of it that was given.
    pub slot: Slot,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its lineage.
    pub lineage: Lineage,
    /// When that slot came, since the listener was started.
    pub arrived: Time,
}

/// Times from being spoken to being heard, of the frames in which someone spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Frames it is made of.
    pub frames: usize,
    /// Half of them took no longer.
    pub p50: Duration,
    /// Nine in ten took no longer.
    pub p90: Duration,
    /// 99 in 100 took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// What a listener was given, in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Different slots given.
    pub got: u64,
    /// Slots between the first and the last that were not.
    pub missed: u64,
    /// Of those, how many the edge left out because this listener was too slow.
    pub skipped: u64,
    /// Frames of slots that had been given before.
    pub repeated: u64,
    /// Which those are, in the order they came.
    pub repeats: Vec<Slot>,
    /// Frames that came after a later one.
    pub out_of_order: u64,
    /// What is missing, by slot.
    pub gaps: Vec<Gap>,
    /// The lowest slot.
    pub first_slot: Option<Slot>,
    /// The highest slot given, or told as missing.
    pub last_slot: Option<Slot>,
    /// Epochs, in the order they came.
    pub epochs: Vec<Epoch>,
    /// Lineages, in the order they came.
    pub lineages: Vec<Lineage>,
    /// Where the lineage changed, the first one left out.
    pub changes: Vec<Change>,
    /// How often it changed to a lower one.
    pub lineages_back: u64,
    /// The longest time between two frames, one connection after another included.
    pub longest_interval: Duration,
    /// The slot that came after it.
    pub longest_before: Option<Slot>,
    /// How long it took from mouth to ear; none if nobody spoke.
    pub latency: Option<Latency>,
    /// Connections after the first that replaced a broken one.
    pub reconnects: u64,
    /// Times an edge sent the listener elsewhere.
    pub moves: u64,
}

impl Latency {
    /// Of so many times; none of none.
    pub(crate) fn of(mut all: Vec<Duration>) -> Option<Self> {
        all.sort_unstable();
        let max = *all.last()?;
        // The nearest rank: the smallest value that at least so many per cent do not exceed.
        let rank = |percent: usize| all[(all.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self { frames: all.len(), p50: rank(50), p90: rank(90), p99: rank(99), max })
    }
}
