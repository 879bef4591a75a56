//! Names of rooms, nodes and participants: short, printable, safe in a URL path and in a directory key.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest name in bytes. Names stand in every directory key and in many log lines; 64 is what DNS labels and
/// Kubernetes names have taught people to live with, plus one.
const MAX_LEN: usize = 64;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The name is empty.
    #[error("{kind} is empty; give 1 to {MAX_LEN} characters out of a-z A-Z 0-9 . _ -")]
    Empty {
        /// What was being named: `room`, `node` or `participant`.
        kind: &'static str,
    },
    /// The name is longer than 64 bytes.
    #[error("{kind} has {len} bytes; at most {MAX_LEN} are allowed")]
    TooLong {
        /// What was being named.
        kind: &'static str,
        /// How long the refused name is, in bytes.
        len: usize,
    },
    /// The name holds a character outside `a-z A-Z 0-9 . _ -`, or starts with a dot.
    #[error("{kind} {name:?} holds {bad:?}; names are made of a-z A-Z 0-9 . _ - and do not start with a dot")]
    BadCharacter {
        /// What was being named.
        kind: &'static str,
        /// The refused name.
        name: String,
        /// The first character that is not allowed.
        bad: char,
    },
}

fn check(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty { kind });
    }
    if name.len() > MAX_LEN {
        return Err(InvalidName::TooLong { kind, len: name.len() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let bad = if name.starts_with('.') { Some('.') } else { name.chars().find(|c| !allowed(*c)) };
    match bad {
        Some(bad) => Err(InvalidName::BadCharacter { kind, name: name.to_owned(), bad }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            #[doc = concat!("Takes a ", $kind, " name of 1 to 64 bytes out of `a-z A-Z 0-9 . _ -`, not starting with a dot.")]
            ///
            /// # Errors
            /// [`InvalidName`] says what is wrong with it.
            pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
                let name = name.as_ref();
                check($kind, name)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, ":{}"), self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(
    /// A room: one live audio event.
    RoomId, "room"
);
name!(
    /// A node of the cluster. Two living nodes never share one.
    NodeId, "node"
);
name!(
    /// A participant of a room; the `sub` of a ticket.
    ParticipantId, "participant"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_text() {
        assert_eq!(RoomId::new("town-hall.2026_1").unwrap().as_str(), "town-hall.2026_1");
    }

    #[test]
    fn a_refused_name_says_why() {
        assert_eq!(RoomId::new(""), Err(InvalidName::Empty { kind: "room" }));
        assert_eq!(NodeId::new("x".repeat(65)), Err(InvalidName::TooLong { kind: "node", len: 65 }));
        for (name, bad) in [("a/b", '/'), ("a b", ' '), (".hidden", '.'), ("früh", 'ü'), ("a\0", '\0')] {
            let error = ParticipantId::new(name).unwrap_err();
            assert_eq!(error, InvalidName::BadCharacter { kind: "participant", name: name.into(), bad });
        }
    }
}
