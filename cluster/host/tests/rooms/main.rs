//! Rooms on real origins that share an embedded directory and link to each other over loopback.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod bans;
mod claims;
mod cluster;
mod commands;
mod failures;
mod following;
mod many;
mod mirrors;
mod moves;
mod other_builds;
mod outages;
mod speech;
