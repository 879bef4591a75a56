//! The mixer on real speech: what comes out is compared with what went in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod after_a_split;
mod clocks;
mod cold_start;
mod conversation;
mod measure;
mod network;
mod stage;
mod studio;
