//! The process's file descriptors, of which each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the process's limit on open files as far as it may without being root: shells and service managers give 1,024 by
/// default, and a port of nodes alone takes [`MAX_CONNECTIONS`](crate::MAX_CONNECTIONS). It may be called again. Returns the limit as it is
/// then; `None` if there is none.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, ?limit, "the limit on open files could not be raised");
            limit.current
        }
    }
}
