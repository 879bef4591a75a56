//! Time as a value. Nothing here, nor in any pure core, reads a clock: a driver passes the time in.

mod time;

pub use time::{Time, WallTime};
