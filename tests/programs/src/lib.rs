//! The programs of others that tests start. Nothing else in this workspace starts one, so that a list of what a machine
//! needs can be complete: `tests/tests/bare_machine.rs` holds this, and that `.ci/packages` names a package for each.
//!
//! It does not know which packages have the programs. [`Etcd`] is the one of them that tests start, end and wipe; what they
//! ask it for is theirs.

mod etcd;
mod port;
mod program;

pub use etcd::{Etcd, ServerTls};
pub use port::free_port;
pub use program::Program;
