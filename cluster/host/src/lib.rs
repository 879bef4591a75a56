//! The rooms of an origin: an actor each under supervision, a media loop beside it, claims and hand-off.
//!
//! This crate alone sees both the directory and the links. What a room decides is in `stentor-room`, how it sounds in
//! `stentor-mix`, who should own it in `stentor-placement`; here these are driven.
//!
//! | module | is |
//! |---|---|
//! | `host`, `drain` | the driver, the handle, leaving |
//! | `topology` | the directory's view, as links see it |
//! | `watch`, `claims`, `claim` | which rooms to claim, when, and claiming one |
//! | `supervisor` | restarts rooms that fail |
//! | `actor`, `desk`, `tenure` | the room actor |
//! | `ledger`, `command`, `status`, `absence` | its pure parts: order of commands and commits, wire to domain and back |
//! | `hosted`, `speakers`, `rooms` | what links and calls reach without the actor |
//! | `media`, `clock`, `engine` | the audio of a live room |
//! | `ingest`, `mirror` | speakers in, mix log out |
//!
//! Invariants: `OneWriter` (a room is committed only under its owner's fence), `RoleGate` (a change of the stage holds from
//! the next slot), slots and lineages only rise, and nothing that a peer can send fast passes a mailbox.

mod absence;
mod actor;
mod claim;
mod claims;
mod clock;
mod command;
mod config;
mod desk;
mod drain;
mod engine;
mod error;
mod host;
mod hosted;
mod ingest;
mod ledger;
mod media;
mod mirror;
mod origin;
mod rooms;
mod speakers;
mod status;
mod supervisor;
mod tenure;
mod timebase;
mod topology;
mod watch;

pub use config::Config;
pub use drain::DrainReport;
pub use engine::{Engine, EngineFactory};
pub use error::Error;
pub use host::{Host, HostHandle};
pub use topology::Topology;
