//! What the tests of several crates share, once: clusters of nodes in one process, put together by `stentor-node` itself;
//! who speaks and listens there; doubles of what a node is made of; wires between nodes that can be cut. A server of etcd is
//! in `stentor-programs`.
//!
//! ```text
//! let cluster = Cluster::new();                 // over loopback, each node on a runtime of its own
//! let cluster = Cluster::in_memory();           // for paused time: links in memory, all on the test's runtime
//! let cluster = Cluster::on(&etcd).await;       // as `new`, on a directory that can be ended and wiped
//! let origin = cluster.origin("origin-1").await;
//! let room = cluster.create("demo", true).await;
//! let heard = cluster.listen("relay-1", &room).await;
//! heard.heard_of(1, 50).await;
//! ```
//!
//! Doubles: [`Script`] of what a node answers others (`link::control::Handler`), [`meddled`] mixers (`host::Engine`), a
//! [`Puppet`] of a whole node behind whose link port is what a test puts there.
//!
//! It is for tests that use crates from outside. What does not come in time, and what cannot be made, panics: a test that
//! cannot go on has failed. The tests of `stentor-link` do not use it: they are of what these nodes are linked by, and write
//! the view of nodes and owners themselves that a directory gives here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod engines;
mod links;
mod listening;
mod node;
mod pair;
mod plan;
mod puppet;
mod script;
mod speaking;
mod waiting;
mod wire;

pub use cluster::{Cluster, room, who};
pub use engines::{Meddler, meddled};
pub use listening::{Audio, Heard};
pub use node::Node;
pub use pair::{Pair, RELAYS};
pub use plan::Plan;
pub use puppet::Puppet;
pub use script::{Answer, Script, says};
pub use speaking::{speak, speaker, talk, talk_from, voice};
pub use waiting::{SOON, until, until_async};
pub use wire::Wire;
