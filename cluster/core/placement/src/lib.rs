//! Which node should own which room, which should mirror it, which relays carry it to which edge, and when a node
//! claims an office that is empty or whose holder seems dead. Pure: any node that sees the same nodes finds the same
//! answer, so nobody has to be asked. The crate knows no directory and no link; running rooms stay where they are.
//!
//! | module | says |
//! |---|---|
//! | `labels` | what a node says of itself by which it is placed |
//! | `rank` | the nodes for a room, best first |
//! | `tree` | the relays of a room, the two parents of an edge, where a leaving edge's listeners go |
//! | `claims` | which empty offices this node claims, and when |
//! | `clocks` | how far this node's clock is off, and whether it is fit to claim |
//!
//! The method is weighted rendezvous hashing, also called highest random weight (D. Thaler, C. Ravishankar, "Using
//! Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6(1), 1998; with weights: C. Schindelhauer,
//! G. Schomaker, "Weighted Distributed Hash Tables", SPAA 2005): each node's score is a hash of the key and the node, bent by
//! the node's weight, and nodes rank by score. Load is bounded as in V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent
//! Hashing with Bounded Loads", SODA 2018.
//!
//! Invariants: no answer depends on the order of the view; a node that comes or goes changes the place of no two others
//! relative to each other, unless it brings one of them over or under its bound of load; a draining node, or one of weight
//! 0, is given nothing; the tree does not depend on load, so that rooms that come and go move no edge.

mod claims;
mod clocks;
mod labels;
mod rank;
mod tree;

pub use claims::{CLAIM_STEP, CLAIMS_AT_ONCE, Claim, Claims, Key, Office, OfficeKind, Vacancy, claim_delay};
pub use clocks::{BARRED, Clocks, Standing};
pub use labels::Labels;
pub use rank::{Candidate, heirs, rank, rank_apart};
pub use tree::{FANOUT, PARENTS, carriers, parents, refuge};
