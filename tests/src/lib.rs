//! A little library for whole-cluster tests: real processes, a real etcd, real speech, real listeners.
//!
//! Everything it starts listens on free loopback ports and ends with the value that stands for it.

pub mod beats;
pub mod browser;
pub mod certs;
pub mod chaos;
pub mod cluster;
pub mod collector;
pub mod http;
pub mod listening;
pub mod load;
pub mod process;
pub mod sim;
pub mod speech;
