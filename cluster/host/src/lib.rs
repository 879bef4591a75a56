//! The rooms of an origin, owned or mirrored: an actor each under supervision, a media loop beside it, claims and hand-off.
//!
//! This crate alone sees both the directory and the links. Who owns a room is decided in `stentor-ownership`, what a room decides in
//! `stentor-room`, which origin mixes in `stentor-relay`, how it sounds in `stentor-mix`, whose turn it is in `stentor-placement`; here these are driven.
//!
//! Each line may use those below it, and none above.
//!
//! | module | is |
//! |---|---|
//! | `ingest`, `drain` | speakers in; leaving |
//! | `host` | the driver, the handle |
//! | `watch`, `claim`, `asked` | what the view shows: told to rooms that run here, claimed of those that do not; what owners ask of this node |
//! | `supervisor` | restarts rooms that fail |
//! | `actor` | one room: performs its tenure and its ledger |
//! | `rooms`, `registry` | the rooms that run here and those that are claimed; how a link or a call finds one |
//! | `media` | the audio of a room at one of its two origins |
//! | `message` | what an actor can be told |
//! | `mirror` | what the two origins tell each other, as it travels |
//! | `hosted`, `published`, `edges`, `speakers`, `peer`, `permits`, `mix_log` | what links and calls reach of a room without its actor |
//! | `calls` | what is asked of the directory and of other nodes |
//! | `origin`, `replays`, `pulse` | what all rooms of a node share |
//! | `topology`, `driver`, `command` | the directory's view as links and as tenures see it; wire to domain and back |
//! | `status`, `news`, `engine` | a room as its record tells it; who is woken for which room; what mixes one |
//! | `config`, `error` | the settings, and why they cannot be |
//!
//! Invariants: `OneWriter` (a room is committed only under its owner's fence), `RoleGate` (a change of the stage holds from
//! the next slot), slots and lineages only rise, and nothing that a peer can send fast passes a mailbox.

mod actor;
mod asked;
mod calls;
mod claim;
mod command;
mod config;
mod drain;
mod driver;
mod edges;
mod engine;
mod error;
mod host;
mod hosted;
mod ingest;
mod media;
mod message;
mod mirror;
mod mix_log;
mod news;
mod origin;
mod peer;
mod permits;
mod published;
mod pulse;
mod registry;
mod replays;
mod rooms;
mod speakers;
mod status;
mod supervisor;
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
