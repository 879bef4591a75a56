//! What an operator does to a room: the same act as a command to the room's own rules and as one to its owner.

use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_pace::WallTime;
use stentor_proto::{
    role_to_wire,
    v1::{self, command_request::Command as Wire},
};
use stentor_room::{Command, SpecChange, Visibility};

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
    SetRole { id: ParticipantId, role: Role },
    SetGain { id: ParticipantId, gain_db: i8 },
    Update(SpecChange),
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
            Self::SetRole { id, role } => Command::SetRole { id, role },
            Self::SetGain { id, gain_db } => Command::SetGain { id, gain_db },
            Self::Update(change) => Command::Update(change),
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
            Self::SetRole { id, role } => {
                let role = role_to_wire(role).into();
                Wire::Role(v1::RoleRequest { room, participant: id.to_string(), role })
            }
            Self::SetGain { id, gain_db } => {
                Wire::Gain(v1::GainRequest { room, participant: id.to_string(), gain_db: gain_db.into() })
            }
            Self::Update(change) => Wire::Update(change_to_wire(change)),
            Self::Ban { id, reason } => {
                Wire::Ban(v1::TargetRequest { room, participant: id.to_string(), reason })
            }
        }
    }

    /// Whom it is done to; nobody if it is done to the room.
    pub(crate) const fn target(&self) -> Option<&ParticipantId> {
        match self {
            Self::Open | Self::GoLive | Self::End | Self::Update(_) => None,
            Self::Invite { id, .. }
            | Self::Mute { id, .. }
            | Self::Remove { id, .. }
            | Self::Ban { id, .. }
            | Self::Unban { id }
            | Self::SetRole { id, .. }
            | Self::SetGain { id, .. } => Some(id),
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
            | Self::Unban { .. }
            | Self::SetRole { .. }
            | Self::SetGain { .. }
            | Self::Update(_) => false,
        }
    }
}

fn change_to_wire(change: SpecChange) -> v1::SpecChange {
    let visibility = |visibility| match visibility {
        Visibility::Public => v1::Visibility::Public.into(),
        Visibility::Private => v1::Visibility::Private.into(),
    };
    v1::SpecChange {
        title: change.title,
        visibility: change.visibility.map(visibility),
        starts_at_us: change.starts_at.map(|at| at.map_or(0, WallTime::as_micros)),
        stage_limit: change.stage_limit,
        bitrate_bps: change.bitrate_bps,
    }
}
