//! Which node should own which room, and which relays carry it to which edge: pure functions of a view of the cluster. Any
//! node that sees the same nodes finds the same answer, so nobody has to be asked. The crate knows no directory, and does
//! not know who owns what now: running rooms stay where they are.
//!
//! The method is rendezvous hashing, also called highest random weight (D. Thaler, C. Ravishankar, "Using Name-Based
//! Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6(1), 1998): each node's score is a hash of the
//! key and the node, and nodes rank by score.
//!
//! Invariants: a ranking depends neither on the order of the view nor on anything but the names in it; a node that comes
//! or goes changes the place of no two others relative to each other; a draining node is in no ranking.

mod rank;
mod tree;

pub use rank::{CLAIM_STEP, Candidate, claim_delay, rank};
pub use tree::{FANOUT, PARENTS, carriers, parents};
