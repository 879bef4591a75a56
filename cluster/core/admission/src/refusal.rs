//! Why nobody is let in with what they show. No message holds a token or a secret.

use std::fmt;

use chrono::DateTime;
use stentor_ids::{Code, Fault, RoomId};
use stentor_pace::WallTime;

use crate::KeyKind;

/// Longest token looked at: twice the ticket with the longest names, for claims of others that we ignore.
pub const MAX_TOKEN_BYTES: usize = 2048;

/// Why a ticket or an admin token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is too long to be looked at.
    #[error("the ticket has {0} bytes; at most {MAX_TOKEN_BYTES} are allowed")]
    TooLong(usize),
    /// The token is not a JWT of ours.
    #[error("the ticket is malformed: {0}; ask for a new one")]
    Malformed(String),
    /// The token says that it is signed in another way than its key signs, or not at all.
    #[error("the ticket's algorithm is {says:?}, but its key {key:?} is for {kind}; ask for a new one")]
    Algorithm {
        /// What its header says.
        says: String,
        /// The key that it names.
        key: String,
        /// What that key is for.
        kind: KeyKind,
    },
    /// The header names no key.
    #[error("the ticket names no key; its header needs a kid")]
    NoKey,
    /// The key is not, or no longer, in the set.
    #[error("the ticket is signed with key {0:?}, which is not known here; ask for a new one")]
    UnknownKey(String),
    /// The signature is not the key's.
    #[error("the ticket's signature is wrong; ask for a new one")]
    BadSignature,
    /// Its time is over.
    #[error("the ticket expired at {}, {} s ago; ask for a new one", Utc(*at), now.since(*at).as_secs())]
    Expired {
        /// When.
        at: WallTime,
        /// When it was checked.
        now: WallTime,
    },
    /// Its time has not come.
    #[error("the ticket is not valid before {}, in {} s", Utc(*from), from.since(*now).as_secs())]
    NotYetValid {
        /// From when on it is.
        from: WallTime,
        /// When it was checked.
        now: WallTime,
    },
    /// It is for another room.
    #[error("the ticket is for room {ticket}, not for {asked}")]
    WrongRoom {
        /// The room it is for.
        ticket: RoomId,
        /// The room it was shown for.
        asked: RoomId,
    },
    /// A resume token that is worth nothing, and why. Its holder may still speak, with the ticket alone.
    #[error("the resume token is refused: {0}; connect without it")]
    Resume(String),
    /// It is none of the admin tokens.
    #[error(
        "the admin token is not one of this cluster's; check the token that stentorctl is given: what stands behind the name"
    )]
    AdminToken,
}

impl Refusal {
    /// The refusal's code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::TooLong(_)
            | Self::Malformed(_)
            | Self::Algorithm { .. }
            | Self::NoKey
            | Self::UnknownKey(_)
            | Self::BadSignature
            | Self::Resume(_)
            | Self::NotYetValid { .. } => Code::InvalidTicket,
            Self::Expired { .. } => Code::TicketExpired,
            Self::WrongRoom { .. } => Code::WrongRoom,
            Self::AdminToken => Code::Unauthenticated,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let fault = Self::new(refusal.code(), refusal.to_string());
        match refusal {
            Refusal::NotYetValid { from, now } => fault.retry_after(from.since(now)),
            _ => fault,
        }
    }
}

/// A moment as people read it, in UTC; in seconds since the Unix epoch if it is beyond the calendar.
struct Utc(WallTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_micros() / 1_000_000;
        match i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)) {
            Some(time) => time.fmt(f),
            None => seconds.fmt(f),
        }
    }
}
