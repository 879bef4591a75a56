//! The rooms of an origin, owned or mirrored: an actor each under supervision, a media loop beside it, claims and hand-off.
//!
//! This crate alone sees both the directory and the links. What a room decides is in `stentor-room`, how it sounds in
//! `stentor-mix`, who should own it in `stentor-placement`; here these are driven.
//!
//! | module | is |
//! |---|---|
//! | `host`, `drain` | the driver, the handle, leaving |
//! | `topology` | the directory's view, as links see it |
//! | `watch`, `claim` | which offices of which rooms to claim, and claiming one |
//! | `supervisor` | restarts rooms that fail |
//! | `actor`, `desk`, `tenure`, `heir` | the room actor: the owner's part |
//! | `standby`, `detector` | the same: the mirror's part |
//! | `command`, `status` | its pure parts: wire to domain and back |
//! | `hosted`, `speakers`, `peer`, `rooms` | what links and calls reach without the actor |
//! | `media`, `engine` | the audio of a room at one of its two origins |
//! | `pulse` | whether this process stood still |
//! | `ingest`, `mirror` | speakers in; what the two origins tell each other |
//!
//! Invariants: `OneWriter` (a room is committed only under its owner's fence), `RoleGate` (a change of the stage holds from
//! the next slot), slots and lineages only rise, and nothing that a peer can send fast passes a mailbox.

mod actor;
mod claim;
mod command;
mod config;
mod desk;
mod detector;
mod drain;
mod engine;
mod error;
mod heir;
mod host;
mod hosted;
mod ingest;
mod media;
mod mirror;
mod news;
mod origin;
mod peer;
mod permits;
mod pulse;
mod rooms;
mod speakers;
mod standby;
mod status;
mod supervisor;
mod telling;
mod tenure;
mod timebase;
mod topology;
mod watch;

pub use config::Config;
pub use drain::DrainReport;
pub use engine::{Engine, EngineFactory, Replay};
pub use error::Error;
pub use host::{Host, HostHandle};
pub use topology::Topology;

/// The highest schema of rooms' records that origins of this build read; a node's own record says so.
pub const SCHEMA: u32 = stentor_room::Record::SCHEMA;
