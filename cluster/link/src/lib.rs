//! The links between nodes, over gRPC: room audio down the tree, speakers up to the owner, control in between.
//!
//! It knows sockets, streams and retries, and drives the pure cores of `stentor-relay`. It does not know the directory
//! (a [`Topology`] answers who is who), nor what a room does with a packet ([`uplink::Ingest`] takes it) or with a
//! command ([`control::Handler`] takes it).
//!
//! Invariants: every queue and map has a bound, stated on its constant; a payload's bytes are shared, not copied, up to
//! the encoding of the message that carries them; nothing a peer sends makes the process panic.

mod by_clock;
pub mod control;
mod downlink;
mod feed;
mod journal;
mod locate;
#[cfg(feature = "memory")]
pub mod memory;
mod mirror;
mod open_files;
mod pool;
mod port;
mod security;
mod server;
mod skew;
mod topology;
mod tree;
pub mod uplink;

pub use by_clock::slot_by_clock;
pub use downlink::{Carrier, Carry, Config};
pub use feed::{Closed, Cursor, Feed, FeedWriter, Item, MAX_SEATS, Place, Reported, bans_to_wire, fill};
pub use journal::Journal;
pub use locate::Locator;
pub use mirror::{FollowStream, Followed, Follower};
pub use open_files::raise_open_files;
pub use pool::Pool;
pub use port::{Connection, Port};
pub use security::{SERVER_NAME, Security};
pub use server::{Error, LinkServer, MAX_CONNECTIONS, Services};
pub use skew::Skew;
pub use stentor_placement::Labels;
pub use topology::{Mirror, Owner, Peer, Topology};

use stentor_ids::{Code, Fault, InvalidName};
use stentor_telemetry::Gauge;

/// Longest message that a link takes, in bytes. A room's status with a full stage is a few kilobytes; what is longer is
/// refused by gRPC itself.
const MAX_MESSAGE: usize = 256 * 1024;

/// That a peer named something badly.
fn bad_name(error: InvalidName) -> Fault {
    Fault::new(Code::InvalidArgument, error.to_string())
}

/// Counts one more in a gauge for as long as it lives.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
