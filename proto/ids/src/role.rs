//! What a participant may be in a room.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A participant's one role in a room. Ordered by what it may do: `Listener < Speaker < Cohost < Host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Hears the room and may raise a hand.
    Listener,
    /// May also speak.
    Speaker,
    /// May also invite, mute and remove others, but not a host.
    Cohost,
    /// May do everything in the room, going live and ending it included.
    Host,
}

/// A role's name that is not one of the four.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("role {0:?} is not one of listener, speaker, cohost, host")]
pub struct InvalidRole(pub String);

impl Role {
    /// Every role, from least to most able.
    pub const ALL: [Self; 4] = [Self::Listener, Self::Speaker, Self::Cohost, Self::Host];

    /// Whether the role is part of the stage: everyone who may speak.
    #[must_use]
    pub const fn may_speak(self) -> bool {
        !matches!(self, Self::Listener)
    }

    /// Whether the role may invite, mute, remove and ban.
    #[must_use]
    pub const fn may_moderate(self) -> bool {
        matches!(self, Self::Cohost | Self::Host)
    }

    /// The role's name, as tickets and the command line spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Speaker => "speaker",
            Self::Cohost => "cohost",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;
    fn from_str(name: &str) -> Result<Self, InvalidRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == name).ok_or_else(|| InvalidRole(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_reads_back_as_it_prints() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert_eq!("Host".parse::<Role>(), Err(InvalidRole("Host".into())));
    }
}
