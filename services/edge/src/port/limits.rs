//! How many connections the process's file descriptors leave room for, of which each listener is one.

use stentor_link::raise_open_files;

/// File descriptors kept back from connections: links to other nodes, the directory, files, logs.
const KEPT_BACK: u64 = 256;
/// What is assumed where the system sets no limit.
const UNLIMITED: u64 = 1 << 20;

/// How many connections there is room for.
pub(crate) fn room_for_connections() -> usize {
    let files = raise_open_files().unwrap_or(UNLIMITED);
    usize::try_from(files.saturating_sub(KEPT_BACK).max(1)).unwrap_or(usize::MAX)
}
