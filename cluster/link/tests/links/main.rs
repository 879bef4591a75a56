//! The links between nodes over real sockets on loopback, one scenario a file. The cluster around them is made here: a
//! view that the test writes, and proxies that cut and freeze links.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod cluster;
mod proxy;

mod control;
mod ending;
mod epochs;
mod failing_parents;
mod lagging_child;
mod lingering;
mod origins_as_parents;
mod refusals;
mod security;
mod speaking;
mod summing;
