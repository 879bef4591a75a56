//! Why a room does not do what it is told. Each refusal says what was wrong, with the value, and what to do.

use std::time::Duration;

use stentor_ids::{Code, Fault, ParticipantId, Role};

use crate::Lifecycle;

/// Why a command was refused. A refused command has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The doors are closed.
    #[error("the room is scheduled and its doors are closed; try again in {} s", retry_after.as_secs())]
    NotOpen {
        /// Until the announced start, or a guess.
        retry_after: Duration,
    },
    /// The room is over.
    #[error("the room has ended; create another one to go on")]
    Ended,
    /// The room is where the command would take it, or further.
    #[error("the room is {0} already")]
    Already(&'static str),
    /// A room that far on its way does not change this any more.
    #[error("the room is {lifecycle}, too late to change its {field}: {why}")]
    TooLate {
        /// What was to be changed.
        field: &'static str,
        /// Where the room stands.
        lifecycle: Lifecycle,
        /// What stands against it.
        why: &'static str,
    },
    /// The actor was banned.
    #[error("{0} is banned from this room; a host can lift the ban")]
    Banned(ParticipantId),
    /// The actor's role does not reach.
    #[error("a {role} may not {action}; it takes a {needs}")]
    Role {
        /// What the actor is.
        role: Role,
        /// The least role that may.
        needs: Role,
        /// What it wanted to do.
        action: &'static str,
    },
    /// The target, or the role to be given, is above the actor's.
    #[error("a {role} may not {action} a {above}; ask a {above}")]
    Outranked {
        /// What the actor is.
        role: Role,
        /// What it wanted to do.
        action: &'static str,
        /// The role above its own.
        above: Role,
    },
    /// The command works on others only.
    #[error("{0} is for others; to step down oneself, leave")]
    Oneself(&'static str),
    /// An operator gave a command that only a participant can give.
    #[error("an operator is not in the room; only a participant can {0}")]
    NotInRoom(&'static str),
    /// Every place on the stage is taken.
    #[error("all {limit} places on the stage are taken; try again when someone has left")]
    StageFull {
        /// How many places there are.
        limit: u32,
    },
    /// A bounded list has no place left.
    #[error("{bound} {what} are kept and no more; {advice}")]
    Full {
        /// What the list holds.
        what: &'static str,
        /// How many of it.
        bound: usize,
        /// What to do.
        advice: &'static str,
    },
    /// The target is not on the stage, nor has it what else the command works on.
    #[error("no participant {0} is on the stage; list the participants to see who is")]
    Unknown(ParticipantId),
    /// The actor is not on the stage, so that it may not speak.
    #[error("{0} is not on the stage; raise a hand and accept the invitation")]
    NotOnStage(ParticipantId),
    /// The actor is on the stage and wants to be.
    #[error("{0} may speak already; a hand is for who may not")]
    NeedsNoHand(ParticipantId),
    /// There is no invitation to accept.
    #[error("there is no invitation for {0}, or not any more; raise a hand to ask for one")]
    NotInvited(ParticipantId),
    /// The actor was muted by a moderator.
    #[error("{0} was muted by a moderator; only a moderator can undo that")]
    MutedByModerator(ParticipantId),
    /// The target muted itself.
    #[error("{0} has muted itself; only {0} can undo that")]
    MutedItself(ParticipantId),
    /// A field is out of bounds.
    #[error("{0}")]
    Invalid(String),
}

/// How soon to come back to a full stage or list. Stages and hands change at the pace of people.
const FULL_RETRY: Duration = Duration::from_secs(15);

impl Refusal {
    /// The refusal's code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NotOpen { .. } => Code::NotLiveYet,
            Self::Ended => Code::RoomEnded,
            Self::Already(_) | Self::TooLate { .. } | Self::NeedsNoHand(_) | Self::NotInvited(_) => {
                Code::WrongState
            }
            Self::Banned(_) => Code::Banned,
            Self::Role { .. }
            | Self::Outranked { .. }
            | Self::NotOnStage(_)
            | Self::MutedByModerator(_)
            | Self::MutedItself(_) => Code::RoleForbids,
            Self::Oneself(_) | Self::NotInRoom(_) | Self::Invalid(_) => Code::InvalidArgument,
            Self::StageFull { .. } => Code::StageFull,
            Self::Full { .. } => Code::Overloaded,
            Self::Unknown(_) => Code::UnknownParticipant,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let fault = Self::new(refusal.code(), refusal.to_string());
        match refusal {
            Refusal::NotOpen { retry_after } => fault.retry_after(retry_after),
            Refusal::StageFull { .. } | Refusal::Full { .. } => fault.retry_after(FULL_RETRY),
            _ => fault,
        }
    }
}
