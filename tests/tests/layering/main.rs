//! Holds the directions in which code depends on code: between crates, and between the files of one.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on has failed, and nobody else sees it"
)]

mod circle;
mod crates;
mod files;
mod order;
mod program;
mod source;
mod tokens;
