//! Time as a value, and what is built on it: deadlines with reasons, backoff, pacing, token buckets, the pulse of a process. Nothing here, nor in any
//! pure core, reads a clock or a random source: a driver passes both in.
//!
//! The crate also names the invariants of the whole system and holds the checks that several crates share.

mod backoff;
mod bucket;
pub mod check;
mod deadline;
mod invariant;
mod pacing;
mod pulse;
mod time;

pub use backoff::Backoff;
pub use bucket::TokenBucket;
pub use deadline::{Deadline, soonest};
pub use invariant::{Invariant, Violation};
pub use pacing::Pacing;
pub use pulse::Pulse;
pub use time::{Time, WallTime};
