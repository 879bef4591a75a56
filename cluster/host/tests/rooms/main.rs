//! Rooms on real origins that share an embedded directory. Most are linked in memory and run on paused time; those with an
//! etcd, or with more to do than a moment allows, are linked over loopback.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod bans;
mod claims;
mod commands;
mod failures;
mod following;
mod many;
mod mirrors;
mod moves;
mod other_builds;
mod outages;
mod speech;
