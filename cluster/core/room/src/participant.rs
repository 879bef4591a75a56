//! What a record holds of one participant: how it is on the stage, and what moderators decided about it.

use serde::{Deserialize, Serialize};
use stentor_ids::{ParticipantId, Role};

use crate::{StoredRole, Unknown};

/// One participant on the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Who it is.
    pub id: ParticipantId,
    /// The name to show.
    pub name: String,
    pub(crate) role: StoredRole,
    /// Whether they muted themselves.
    #[serde(default)]
    pub muted_itself: bool,
    /// Whether a moderator muted them.
    #[serde(default)]
    pub muted_by_moderator: bool,
    /// Gain in the mix, in decibels.
    #[serde(default)]
    pub gain_db: i8,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

/// What moderators decided about a participant. It outlasts being on the stage, so that leaving and coming back does
/// not undo it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ruling {
    /// The role that wins over the ticket's. A listener was taken off the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<StoredRole>,
    /// Muted whenever on the stage.
    #[serde(skip_serializing_if = "is_false")]
    pub muted: bool,
    /// What a newer build ruled besides.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Participant {
    /// What they may do: not a listener, but for a role that only a newer build knows.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role.role()
    }

    /// Whether the participant is muted, by whomever.
    #[must_use]
    pub const fn is_muted(&self) -> bool {
        self.muted_itself || self.muted_by_moderator
    }
}

impl Ruling {
    /// The role that wins over the ticket's.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.role.as_ref().map(StoredRole::role)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
