//! The process's file descriptors, of which each listener is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors kept back from connections: links to other nodes, the directory, files, logs.
const KEPT_BACK: u64 = 256;
/// What is assumed where the system sets no limit.
const UNLIMITED: u64 = 1 << 20;

/// Raises the process's limit on open files as far as it may without being root, and says how many connections it leaves
/// room for.
pub(crate) fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, ?limit, "the limit on open files could not be raised");
            limit.current
        }
    };
    usize::try_from(current.unwrap_or(UNLIMITED).saturating_sub(KEPT_BACK).max(1)).unwrap_or(usize::MAX)
}
