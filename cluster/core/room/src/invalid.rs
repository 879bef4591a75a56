//! When stored bytes are no record or no bans of a room that this build can run.

use crate::InvalidSpec;

/// Longest encoded record: a hundred participants on the stage and a thousand rulings with the longest names take half
/// of it, what newer builds add may take the other half. A longer one is no room's.
pub const MAX_RECORD_BYTES: usize = 512 * 1024;

/// The highest schema that this build reads: [`Record::SCHEMA`](crate::Record::SCHEMA).
pub(crate) const SCHEMA: u32 = 1;

/// Bytes that are no record of this or an older build.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// Longer than any record of ours.
    #[error("a room record of {0} bytes is longer than {MAX_RECORD_BYTES}")]
    TooLong(usize),
    /// A build of this schema or a newer one is needed.
    #[error("a room record has schema {0}; this build reads up to {max}: upgrade this node", max = SCHEMA)]
    Newer(u32),
    /// Not JSON, or not of this form.
    #[error("a room record does not parse: {0}")]
    Json(#[from] serde_json::Error),
    /// The spec is out of bounds.
    #[error("a room record's {0}")]
    Spec(#[from] InvalidSpec),
    /// A part of its bans is none.
    #[error("part {part} of a room's bans: {what}")]
    Bans {
        /// Its number.
        part: usize,
        /// What is wrong.
        what: String,
    },
    /// The stage or the rulings contradict themselves or are too long.
    #[error("a room record is not consistent: {0}")]
    Inconsistent(String),
}
