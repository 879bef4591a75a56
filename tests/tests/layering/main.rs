//! Holds the directions in which code depends on code: between crates.

mod crates;
