//! Why a host cannot run.

/// Why a host cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error("rooms: {0}")]
    Config(String),
    /// The thread that takes the pulse of the process could not be made.
    #[error(
        "no thread can be made that notices when this process stands still: {0}; raise the limit on threads"
    )]
    Pulse(String),
    /// The supervisor of the rooms failed. A bug; the rooms stop with it.
    #[error("the supervisor of the rooms failed: {0}")]
    Supervisor(String),
}
