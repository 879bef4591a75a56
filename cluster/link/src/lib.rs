//! The links between nodes, over gRPC: room audio down the tree, speakers up to the owner, control in between.
//!
//! It knows sockets, streams and retries, and drives the pure cores of `stentor-relay`. It does not know the directory
//! (a [`Topology`] answers who is who), nor what a room does with a packet ([`uplink::Ingest`] takes it) or with a
//! command ([`control::Handler`] takes it).
//!
//! Invariants: every queue and map has a bound, stated on its constant; a payload's bytes are shared, not copied, up to
//! the encoding of the message that carries them; nothing a peer sends makes the process panic.

mod clock;
pub mod control;
mod downlink;
mod feed;
mod locate;
mod pool;
mod security;
mod server;
mod topology;
mod tree;
pub mod uplink;

pub use downlink::{Carrier, Carry, Config};
pub use feed::{Child, Closed, Cursor, Feed, Item, Reported};
pub use locate::Locator;
pub use pool::Pool;
pub use security::{SERVER_NAME, Security};
pub use server::{Error, LinkServer, Services};
pub use topology::{Owner, Peer, Topology};
