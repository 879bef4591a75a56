//! Why a probe stopped before its end.

use std::{error::Error as _, io};

use stentor_ids::Fault;
use stentor_mix::CodecError;

use crate::SourceError;

/// Why a probe stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address of an edge that cannot be one.
    #[error("edge {url:?}: {reason}")]
    Url {
        /// The address as it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there, or no TLS session comes about.
    #[error("cannot reach the edge at {url}: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// The edge answered, and refused.
    #[error("{0}")]
    Refused(Fault),
    /// The connection broke.
    #[error("the connection to {url} broke: {reason}")]
    Broken {
        /// The address.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// What is to be spoken cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What was heard cannot be written.
    #[error("cannot write what was heard: {0}")]
    Sink(#[from] io::Error),
    /// libopus has no memory.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Error {
    pub(crate) fn unreachable(url: &str, error: &tonic::transport::Error) -> Self {
        Self::Unreachable { url: url.to_owned(), reason: root(error) }
    }

    /// A status of the call; one that tonic made out of a broken transport is told apart from the edge's own.
    pub(crate) fn of_status(url: &str, status: &tonic::Status) -> Self {
        match status.source() {
            Some(source) => Self::Broken { url: url.to_owned(), reason: root(source) },
            None => Self::Refused(stentor_proto::fault_of(status)),
        }
    }
}

/// The innermost cause, which names the system's reason; what is around it says "transport error".
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
