//! What another build wrote into a record and this one does not know. It is kept and written back as it was, so that a room
//! may pass through an older origin and lose nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stentor_ids::Role;

/// Fields of a newer build, by name. The bound of a record bounds them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unknown(Map<String, Value>);

impl Unknown {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A role as a record spells it. One that only a newer build knows keeps its name, and counts as a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StoredRole {
    /// One of ours.
    Known(Role),
    /// A newer build's.
    Unknown(String),
}

impl StoredRole {
    /// What its holder may do here.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Known(role) => *role,
            Self::Unknown(_) => Role::Listener,
        }
    }
}

impl From<Role> for StoredRole {
    fn from(role: Role) -> Self {
        Self::Known(role)
    }
}
