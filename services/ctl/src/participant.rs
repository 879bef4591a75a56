//! `stentorctl participant` and `stentorctl hand`.

use clap::{Args, Subcommand};
use serde::Serialize;
use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_proto::{
    role_to_wire,
    v1::{
        GainRequest, InviteRequest, ListParticipantsResponse, MuteRequest, RoleRequest, RoomRequest,
        TargetRequest, UnbanRequest,
    },
};

use crate::{
    admin::Admin,
    failure::Failure,
    room::show_room,
    settings::Settings,
    show::{self, Hand, Participant},
};

pub(crate) const AFTER: &str = "\
Examples:
  stentorctl participant list friday
  stentorctl participant invite friday eve --role speaker
  stentorctl participant mute friday ben
  stentorctl participant role friday ben cohost
  stentorctl participant gain friday ben -6
  stentorctl participant ban friday mallory --reason \"spam\"";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the stage, and who asks to speak
    #[command(visible_alias = "ls")]
    List(Which),
    /// Offer someone a place on the stage
    Invite(Invite),
    /// Mute someone on the stage
    Mute(Whom),
    /// Take a moderator's mute back; what someone has muted itself stays so
    Unmute(Whom),
    /// Take someone off the stage, or lower their hand or take their invitation back; they may go on listening
    Remove(WhomWhy),
    /// Keep someone out of the room: off the stage, from raising a hand, and from listening with their ticket; a public room is
    /// heard without one
    Ban(WhomWhy),
    /// Lift a ban or a removal
    Unban(Whom),
    /// Give someone on the stage another role
    Role(SetRole),
    /// Set how loud someone on the stage is in the mix
    Gain(SetGain),
}

#[derive(Debug, Subcommand)]
pub(crate) enum HandCommand {
    /// List raised hands, who asked first first
    #[command(visible_alias = "ls")]
    List(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The room
    room: RoomId,
}

#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// The room
    room: RoomId,
    /// Who, as `participant list` shows it
    participant: ParticipantId,
}

#[derive(Debug, Args)]
pub(crate) struct WhomWhy {
    /// The room
    room: RoomId,
    /// Who, as `participant list` shows it
    participant: ParticipantId,
    /// Told to them, at most 200 characters
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The room
    room: RoomId,
    /// Who, as `hand list` or their ticket shows it
    participant: ParticipantId,
    /// speaker, cohost or host
    #[arg(long, default_value_t = Role::Speaker)]
    role: Role,
}

#[derive(Debug, Args)]
pub(crate) struct SetRole {
    /// The room
    room: RoomId,
    /// Who, as `participant list` shows it
    participant: ParticipantId,
    /// speaker, cohost or host; listener takes them off the stage
    role: Role,
}

#[derive(Debug, Args)]
pub(crate) struct SetGain {
    /// The room
    room: RoomId,
    /// Who, as `participant list` shows it
    participant: ParticipantId,
    /// In whole decibels, -40 to 12; 0 is as they are
    #[arg(value_name = "DB", allow_negative_numbers = true)]
    gain_db: i32,
}

impl Command {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let mut admin = Admin::connect(settings).await?;
        let answer = match self {
            Self::List(Which { room }) => {
                let answer = participants(&mut admin, &room).await?;
                return print_participants(settings, answer);
            }
            Self::Invite(Invite { room, participant, role }) => {
                let (room, participant) = (room.to_string(), participant.to_string());
                admin
                    .client
                    .invite_participant(InviteRequest { room, participant, role: role_to_wire(role).into() })
                    .await
            }
            Self::Mute(whom) => admin.client.mute_participant(whom.mute(true)).await,
            Self::Unmute(whom) => admin.client.mute_participant(whom.mute(false)).await,
            Self::Remove(whom) => admin.client.remove_participant(whom.target()).await,
            Self::Ban(whom) => admin.client.ban_participant(whom.target()).await,
            Self::Role(SetRole { room, participant, role }) => {
                let (room, participant) = (room.to_string(), participant.to_string());
                let role = role_to_wire(role).into();
                admin.client.set_participant_role(RoleRequest { room, participant, role }).await
            }
            Self::Gain(SetGain { room, participant, gain_db }) => {
                let (room, participant) = (room.to_string(), participant.to_string());
                admin.client.set_participant_gain(GainRequest { room, participant, gain_db }).await
            }
            Self::Unban(Whom { room, participant }) => {
                let (room, participant) = (room.to_string(), participant.to_string());
                admin.client.unban_participant(UnbanRequest { room, participant }).await
            }
        };
        show_room(settings, admin.answer(answer)?)
    }
}

impl HandCommand {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let Self::List(Which { room }) = self;
        let answer = participants(&mut Admin::connect(settings).await?, &room).await?;
        let hands = answer.hands.ok_or_else(|| {
            let detail =
                format!("the owner of room {room} does not answer, and nobody else knows who has a hand up");
            Failure::Other(detail)
        })?;
        let hands = Hands { hands: hands.hands.into_iter().map(Hand::from).collect() };
        show::print(settings.output, &hands, || Hand::list(&hands.hands))
    }
}

#[derive(Serialize)]
struct Hands {
    hands: Vec<Hand>,
}

#[derive(Serialize)]
struct Participants {
    stage: Vec<Participant>,
    /// Null where the room's owner does not say.
    hands: Option<Vec<Hand>>,
    /// Null where nobody counts, or who counts does not say.
    listeners: Option<u64>,
}

async fn participants(admin: &mut Admin, room: &RoomId) -> Result<ListParticipantsResponse, Failure> {
    let answer = admin.client.list_participants(RoomRequest { room: room.to_string() }).await;
    admin.answer(answer)
}

fn print_participants(settings: &Settings, answer: ListParticipantsResponse) -> Result<(), Failure> {
    let all = Participants {
        stage: answer.stage.into_iter().map(Participant::from).collect(),
        hands: answer.hands.map(|hands| hands.hands.into_iter().map(Hand::from).collect()),
        listeners: answer.listeners.map(|listeners| listeners.count),
    };
    show::print(settings.output, &all, || {
        let listeners = all.listeners.map(|count| format!("\n\n{count} listen")).unwrap_or_default();
        let hands = match &all.hands {
            None => "\n\nthe room's owner does not answer: who has a hand up is not known".to_owned(),
            Some(hands) if hands.is_empty() => String::new(),
            Some(hands) => format!("\n\n{}", Hand::list(hands)),
        };
        Participant::list(&all.stage) + &hands + &listeners
    })
}

impl Whom {
    fn mute(&self, muted: bool) -> MuteRequest {
        MuteRequest { room: self.room.to_string(), participant: self.participant.to_string(), muted }
    }
}

impl WhomWhy {
    fn target(self) -> TargetRequest {
        let Self { room, participant, reason } = self;
        TargetRequest { room: room.to_string(), participant: participant.to_string(), reason }
    }
}
