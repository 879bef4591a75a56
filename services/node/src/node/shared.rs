//! What the nodes of one process share.

use stentor_directory::Directory;
use stentor_telemetry::Metrics;
use tokio_util::sync::CancellationToken;

/// What the nodes of one process share.
pub struct Shared {
    /// Where the nodes find each other.
    pub directory: Directory,
    /// What they count.
    pub metrics: Metrics,
    /// Cancelled when a part of any node fails: the process is then to end.
    pub failed: CancellationToken,
}
