//! The closed list of error codes. Each maps to one gRPC status and one HTTP status together, so that a client sees
//! the same refusal whichever way it came in.
//!
//! The crate does not depend on tonic: the gRPC status is its number (see the gRPC status code table).

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, grpc $grpc:literal, http $http:literal;)*) => {
        /// Why something was refused. The text form is stable: clients may match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as clients see it, in `snake_case`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Number of the gRPC status it travels as.
            #[must_use]
            pub const fn grpc(self) -> i32 {
                match self { $(Self::$variant => $grpc,)* }
            }

            /// The HTTP status it travels as.
            #[must_use]
            pub const fn http(self) -> u16 {
                match self { $(Self::$variant => $http,)* }
            }
        }
    };
}

codes! {
    /// A field of the request is malformed or out of bounds.
    InvalidArgument = "invalid_argument", grpc 3, http 400;
    /// A packet is not Opus that a room takes (RFC 6716), or longer than allowed.
    InvalidPacket = "invalid_packet", grpc 3, http 400;
    /// No ticket or admin token was given where one is needed.
    Unauthenticated = "unauthenticated", grpc 16, http 401;
    /// The ticket's signature, key or form is not valid.
    InvalidTicket = "invalid_ticket", grpc 16, http 401;
    /// The ticket was valid once.
    TicketExpired = "ticket_expired", grpc 16, http 401;
    /// The ticket is for another room.
    WrongRoom = "wrong_room", grpc 7, http 403;
    /// The participant's role does not allow this.
    RoleForbids = "role_forbids", grpc 7, http 403;
    /// The participant was banned from the room.
    Banned = "banned", grpc 7, http 403;
    /// No room of that name exists.
    UnknownRoom = "unknown_room", grpc 5, http 404;
    /// No such participant is in the room.
    UnknownParticipant = "unknown_participant", grpc 5, http 404;
    /// No such node is in the cluster.
    UnknownNode = "unknown_node", grpc 5, http 404;
    /// There is nothing at this address.
    UnknownPath = "unknown_path", grpc 12, http 404;
    /// The address exists, but not with this HTTP method.
    MethodNotAllowed = "method_not_allowed", grpc 12, http 405;
    /// A room of that name exists already.
    RoomExists = "room_exists", grpc 6, http 409;
    /// The room's state does not allow this.
    WrongState = "wrong_state", grpc 9, http 409;
    /// A living node already has this id.
    NodeExists = "node_exists", grpc 6, http 409;
    /// The stage has no place left.
    StageFull = "stage_full", grpc 8, http 409;
    /// The room has ended, for good.
    RoomEnded = "room_ended", grpc 9, http 410;
    /// The room is not on the air yet; `retry_after` says when to come back (RFC 8470 gives the HTTP status).
    NotLiveYet = "not_live_yet", grpc 9, http 425;
    /// The sender sends faster than twice real time, or asks too often.
    TooFast = "too_fast", grpc 8, http 429;
    /// A bound of this node is reached.
    Overloaded = "overloaded", grpc 8, http 503;
    /// The room's owner is being replaced; it comes back within seconds.
    NoOwner = "no_owner", grpc 14, http 503;
    /// The call reached a node that does not own the room (any more), or carried an older epoch.
    NotOwner = "not_owner", grpc 10, http 503;
    /// The node is leaving the cluster.
    Draining = "draining", grpc 14, http 503;
    /// The directory did not answer.
    DirectoryUnavailable = "directory_unavailable", grpc 14, http 503;
    /// The other node did not answer.
    NodeUnavailable = "node_unavailable", grpc 14, http 503;
    /// A bug of ours; the log has more.
    Internal = "internal", grpc 13, http 500;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Code {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

/// A refusal as it is told to a client: what was wrong, with the value, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} [{code}]")]
pub struct Fault {
    /// Which of the closed list.
    pub code: Code,
    /// A sentence for a person. Never holds a secret or a listener's address.
    pub detail: Cow<'static, str>,
    /// How long to wait before trying again, where waiting helps.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A refusal that waiting does not mend.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    /// The same refusal, with the time after which to try again.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!(Code::ALL[..i].iter().all(|other| other.as_str() != code.as_str()));
            assert!((1..=16).contains(&code.grpc()) && (400..=599).contains(&code.http()), "{code}");
        }
    }
}
