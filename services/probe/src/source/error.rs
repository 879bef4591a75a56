//! Why a source cannot be spoken.

use std::io::{self, Read};

use stentor_mix::{CodecError, InvalidPacket};

/// What a source is read from.
pub(super) type Bytes = Box<dyn Read + Send>;

/// Why a source cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened or read.
    #[error("{name}: {error}")]
    Io {
        /// The file.
        name: String,
        /// What the system says.
        error: io::Error,
    },
    /// Neither Ogg nor WAV.
    #[error(
        "{name} is neither Ogg/Opus nor WAV (it starts with {start:?}); convert it: ffmpeg -i {name} -c:a libopus speech.ogg"
    )]
    Unknown {
        /// The file.
        name: String,
        /// Its first bytes, as text.
        start: String,
    },
    /// Ogg or WAV, but broken or of a kind that is not taken.
    #[error("{name}: {reason}")]
    Bad {
        /// The file.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A packet of a length that no room takes.
    #[error(
        "{name}, packet {number}: {error}; encode it again: ffmpeg -i {name} -c:a libopus -frame_duration 20 speech.ogg"
    )]
    Packet {
        /// The file.
        name: String,
        /// Counted from 1.
        number: u64,
        /// What is wrong with it.
        error: InvalidPacket,
    },
    /// A pipe cannot be played twice.
    #[error("{name} cannot be repeated: what came through a pipe is gone; give a file")]
    NotRepeatable {
        /// What it is.
        name: String,
    },
    /// libopus has no memory.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// A source that is broken, and how.
pub(super) fn bad(name: &str, reason: impl Into<String>) -> SourceError {
    SourceError::Bad { name: name.to_owned(), reason: reason.into() }
}
