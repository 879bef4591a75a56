//! What the tests of several crates share: clusters of nodes in one process, put together by `stentor-node` itself, who
//! listens to them, and wires between nodes that can be cut. A server of etcd is in `stentor-programs`.
//!
//! It is for tests that use crates from outside. What does not come in time, and what cannot be made, panics: a test that
//! cannot go on has failed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod listening;
mod node;
mod waiting;
mod wire;

pub use cluster::Cluster;
pub use listening::{Audio, Heard};
pub use node::Node;
pub use waiting::{SOON, until};
pub use wire::Wire;
