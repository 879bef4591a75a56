//! The links between nodes over real sockets on loopback, one scenario a file. The cluster around them is made here: a
//! view that the test writes, and proxies that cut and freeze links.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod clocks;
mod cluster;
mod ears;
mod proxy;

mod addresses;
mod control;
mod dual_uplinks;
mod ending;
mod epochs;
mod failing_parents;
mod following;
mod full_port;
mod in_memory;
mod lagging_child;
mod leaving;
mod lingering;
mod made_anew;
mod origins_as_parents;
mod refusals;
mod security;
mod speaking;
mod summing;
mod two_origins;
