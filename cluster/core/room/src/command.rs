//! What a room can be told, by whom, and what comes of it.

use stentor_ids::{ParticipantId, Role};
use stentor_pace::WallTime;

use crate::SpecChange;

/// Who gives a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An operator with an admin token. Stands in no room and may do what a host may.
    Operator,
    /// Someone with a ticket.
    Participant {
        /// Who, by the ticket's `sub`.
        id: ParticipantId,
        /// The name to show, by the ticket; at most 64 characters.
        name: String,
        /// The role in the ticket. What a moderator decided in the room wins over it.
        role: Role,
    },
}

/// What can be asked of a room.
///
/// | command | operator, host | cohost | speaker | listener |
/// |---|---|---|---|---|
/// | open, go live, end, update | yes | | | |
/// | invite, mute, gain, role, remove, ban, unban | yes | yes, but not of hosts | | |
/// | mute oneself | yes | yes | yes | |
/// | join | host goes on the stage | goes on the stage | goes on the stage | is told the room |
/// | raise and lower a hand, accept, decline | | | | for itself |
/// | leave | for itself | for itself | for itself | for itself |
///
/// Nobody gives a role above their own. All but the lifecycle commands may be repeated: what is so already changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Open the doors.
    Open,
    /// Go on the air. The doors must be open.
    GoLive,
    /// End the room for good.
    End,
    /// Change what the room is to be.
    Update(SpecChange),
    /// Come in. Who has the right to speak goes on the stage.
    Join,
    /// Give up the place on the stage, the hand and the invitation. A promotion ends with this, a demotion or a mute
    /// does not.
    Leave,
    /// Ask to speak.
    RaiseHand,
    /// Ask no longer.
    LowerHand,
    /// Take the place on the stage that one is invited to.
    Accept,
    /// Turn the invitation down.
    Decline,
    /// Offer a place on the stage, or another role to someone who has one. Lasts two minutes.
    Invite {
        /// Whom.
        id: ParticipantId,
        /// As what; not a listener.
        role: Role,
    },
    /// Mute or unmute someone on the stage. A moderator's mute and one's own are apart: neither lifts the other.
    Mute {
        /// Whom; may be oneself.
        id: ParticipantId,
        /// To mute or to unmute.
        muted: bool,
    },
    /// Set someone's gain in the mix.
    SetGain {
        /// Whose.
        id: ParticipantId,
        /// In decibels, -40 to 12.
        gain_db: i8,
    },
    /// Give someone on the stage another role. As a listener they leave the stage.
    SetRole {
        /// Whose.
        id: ParticipantId,
        /// To what.
        role: Role,
    },
    /// Take someone off the stage, or their hand or invitation away. Whatever their ticket says, they come back to the
    /// stage only when invited again or unbanned.
    Remove {
        /// Whom.
        id: ParticipantId,
        /// Told to them; at most 200 characters.
        reason: String,
    },
    /// Keep someone out of the room: they may neither speak nor hear.
    Ban {
        /// Whom; need not be in the room.
        id: ParticipantId,
        /// Told to them; at most 200 characters.
        reason: String,
    },
    /// Lift a ban or a removal.
    Unban {
        /// Whose.
        id: ParticipantId,
    },
}

/// What a driver is to do about a command, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The record changed. It is to be committed under the owner's fence before anything that follows is told; a driver
    /// that may not commit goes back to the room it had before (rooms can be cloned).
    Commit,
    /// The room opened, went live or ended.
    LifecycleChanged,
    /// The room is to be another than before.
    SpecChanged,
    /// Someone came to the stage, left it, or has another role, mute or gain.
    StageChanged {
        /// [`Record::stage_version`](crate::Record::stage_version) of the new stage.
        version: u64,
    },
    /// A hand was raised or lowered.
    HandsChanged,
    /// A participant may not hear the room any more, or may again.
    BanChanged {
        /// Who.
        participant: ParticipantId,
        /// Whether it is banned.
        banned: bool,
    },
    /// Something happened to one participant that wherever it is connected must enforce and tell.
    Notify {
        /// To whom.
        participant: ParticipantId,
        /// What.
        notice: Notice,
    },
}

/// What can happen to a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Muted or not, now: by a moderator, by itself, or both.
    Muted(bool),
    /// Has this role now.
    Role(Role),
    /// Taken off the stage, with the reason: takes no more packets from it.
    Removed(String),
    /// Banned, with the reason: ends every connection of it.
    Banned(String),
    /// Its hand is down, and it has not lowered it itself; with the reason.
    HandLowered(String),
    /// Invited to the stage.
    Invited {
        /// As what.
        role: Role,
        /// How long the offer stands.
        until: WallTime,
    },
}

impl Actor {
    /// The participant that acts; none if it is an operator.
    #[must_use]
    pub const fn id(&self) -> Option<&ParticipantId> {
        match self {
            Self::Operator => None,
            Self::Participant { id, .. } => Some(id),
        }
    }
}

impl Command {
    /// Whether a command takes effect on the stage before the directory has it.
    ///
    /// What protects the room (mute, remove, ban) and what speakers need to go on (join, leave, one's own mute) must work
    /// while the directory does not; hands need no commit at all. All of it is safe to lose with this owner: a moderator's
    /// decision is answered with `NOT_OWNER` when it could not outlast the owner, so that it is given again to the next; a
    /// speaker that reconnects joins again.
    #[must_use]
    pub const fn acts_at_once(&self) -> bool {
        matches!(
            self,
            Self::Join
                | Self::Leave
                | Self::RaiseHand
                | Self::LowerHand
                | Self::Mute { .. }
                | Self::Remove { .. }
                | Self::Ban { .. }
        )
    }
}
