//! What an operator does to a room: the same act as a command to the room's own rules and as one to its owner.

use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_proto::{
    role_to_wire,
    v1::{self, command_request::Command as Wire},
};
use stentor_room::Command;

/// What an operator can do to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Open,
    GoLive,
    End,
    Invite { id: ParticipantId, role: Role },
    Mute { id: ParticipantId, muted: bool },
    Remove { id: ParticipantId, reason: String },
    Ban { id: ParticipantId, reason: String },
    Unban { id: ParticipantId },
}

impl Act {
    /// To the room's rules.
    pub(crate) fn command(&self) -> Command {
        match self.clone() {
            Self::Open => Command::Open,
            Self::GoLive => Command::GoLive,
            Self::End => Command::End,
            Self::Invite { id, role } => Command::Invite { id, role },
            Self::Mute { id, muted } => Command::Mute { id, muted },
            Self::Remove { id, reason } => Command::Remove { id, reason },
            Self::Ban { id, reason } => Command::Ban { id, reason },
            Self::Unban { id } => Command::Unban { id },
        }
    }

    /// To the room's owner.
    pub(crate) fn wire(&self, room: &RoomId) -> Wire {
        let room = room.to_string();
        match self.clone() {
            Self::Open => Wire::Open(v1::Empty {}),
            Self::GoLive => Wire::GoLive(v1::Empty {}),
            Self::End => Wire::End(v1::Empty {}),
            Self::Invite { id, role } => {
                let role = role_to_wire(role).into();
                Wire::Invite(v1::InviteRequest { room, participant: id.to_string(), role })
            }
            Self::Mute { id, muted } => {
                Wire::Mute(v1::MuteRequest { room, participant: id.to_string(), muted })
            }
            Self::Remove { id, reason } => {
                Wire::Remove(v1::TargetRequest { room, participant: id.to_string(), reason })
            }
            Self::Unban { id } => Wire::Unban(v1::UnbanRequest { room, participant: id.to_string() }),
            Self::Ban { id, reason } => {
                Wire::Ban(v1::TargetRequest { room, participant: id.to_string(), reason })
            }
        }
    }

    /// Whether a room in this state has been through the act: what a repetition after a lost answer may find.
    pub(crate) const fn is_done_in(&self, lifecycle: v1::Lifecycle) -> bool {
        match self {
            Self::Open => matches!(lifecycle, v1::Lifecycle::Open | v1::Lifecycle::Live),
            Self::GoLive => matches!(lifecycle, v1::Lifecycle::Live),
            Self::End => matches!(lifecycle, v1::Lifecycle::Ended),
            Self::Invite { .. }
            | Self::Mute { .. }
            | Self::Remove { .. }
            | Self::Ban { .. }
            | Self::Unban { .. } => false,
        }
    }
}
