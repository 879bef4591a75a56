//! `ParticipantService`: what a participant does besides hearing and speaking, handed to the room's owner.
//!
//! A listener's join stops here: it is answered from what this edge can learn without the owner. Everything else that
//! goes up is bounded for each participant, hands are gathered, and hosts and speakers have places of their own, so that a
//! crowd buries neither an origin nor who keeps order in it.

use std::sync::Arc;

use parking_lot::Mutex;
use stentor_admission::{Claims, Class, Paces, RATE, TooMuch};
use stentor_ids::{Code, Fault, ParticipantId, Role, RoomId};
use stentor_link::{Locator, control};
use stentor_pace::Time;
use stentor_proto::{
    role_to_wire, status_of,
    told::to_people,
    v1::{self, command_request::Command, participant_service_server::ParticipantService},
};
use stentor_telemetry::{NodeMetrics, propagation};
use tonic::{Request, Response, Status, async_trait, metadata::MetadataMap};
use tracing::Instrument as _;

use super::{hands::Hands, owners::Owners};
use crate::auth::{Auth, ticket_of};

/// The service. Clones share everything.
#[derive(Clone)]
pub(crate) struct Participants(Arc<Inner>);

struct Inner {
    auth: Arc<Auth>,
    owners: Owners,
    hands: Hands,
    metrics: NodeMetrics,
    paces: Mutex<Paces<(RoomId, ParticipantId)>>,
}

impl Participants {
    pub(crate) fn new(
        auth: Arc<Auth>,
        locator: Locator,
        owners: control::Client,
        metrics: NodeMetrics,
    ) -> Self {
        let owners = Owners::new(locator, owners);
        let hands = Hands::new(owners.clone());
        Self(Arc::new(Inner { auth, owners, hands, metrics, paces: Mutex::default() }))
    }

    /// Checks the ticket and the pace, and does the work in a span that belongs to the caller's trace.
    async fn serve<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        metadata: &MetadataMap,
        room: &str,
        work: impl FnOnce(RoomId, Claims) -> F,
    ) -> Result<Response<T>, Status> {
        let span = tracing::info_span!("participant");
        propagation::adopt(&span, metadata);
        let answer = async {
            let (room, claims) = self.0.enter(metadata, room)?;
            work(room, claims).await
        };
        answer.instrument(span).await.map(Response::new).map_err(|fault| {
            self.0.metrics.refusal(fault.code);
            status_of(&fault)
        })
    }

    async fn command(
        &self,
        metadata: &MetadataMap,
        room: &str,
        command: Command,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        let work = |room, claims| async move {
            let reply = self.0.bring(&room, &claims, command).await?;
            Ok(v1::CommandResponse { room: reply.room.as_ref().map(to_people) })
        };
        self.serve(metadata, room, work).await
    }

    async fn hand(
        &self,
        metadata: &MetadataMap,
        room: &str,
        up: bool,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        let work = |room, claims: Claims| async move {
            let change = v1::HandChange { by: Some(actor(&claims)), up };
            let room = self.0.hands.change(&room, claims.participant, change).await?;
            Ok(v1::CommandResponse { room: Some(to_people(&room)) })
        };
        self.serve(metadata, room, work).await
    }
}

impl Inner {
    fn enter(&self, metadata: &MetadataMap, room: &str) -> Result<(RoomId, Claims), Fault> {
        let room = RoomId::new(room).map_err(|error| Fault::new(Code::InvalidArgument, error.to_string()))?;
        let claims = self.auth.participant(ticket_of(metadata)?, &room, stentor_clock::wall())?;
        self.pace(stentor_clock::now(), &room, &claims)?;
        Ok((room, claims))
    }

    fn pace(&self, now: Time, room: &RoomId, claims: &Claims) -> Result<(), Fault> {
        let (class, who) = (Class::of(claims.role), (room.clone(), claims.participant.clone()));
        self.paces.lock().take(now, class, who).map_err(|too_much| match too_much {
            TooMuch::Fast(wait) => {
                let detail = format!("{} gives more than {RATE} commands a second", claims.participant);
                Fault::new(Code::TooFast, detail).retry_after(wait)
            }
            TooMuch::Many(wait) => {
                let (bound, who) = (class.paced(), class.as_str());
                let detail = format!("{bound} of {who} give commands at this edge at once");
                Fault::new(Code::Overloaded, detail).retry_after(wait)
            }
        })
    }

    /// The room as it is; the role that the participant has in it; without a message to the owner.
    async fn look(&self, room: &RoomId, claims: &Claims) -> Result<v1::JoinResponse, Fault> {
        let status = self.owners.status(room).await?;
        let found = status.stage.iter().find(|one| one.id == claims.participant.as_str());
        let role = found.map_or(role_to_wire(claims.role).into(), |one| one.role);
        Ok(seated(&status, role))
    }

    /// Brings a command to the room's owner.
    async fn bring(
        &self,
        room: &RoomId,
        claims: &Claims,
        command: Command,
    ) -> Result<v1::CommandReply, Fault> {
        let by = Some(actor(claims));
        let request = v1::CommandRequest { room: room.to_string(), by, command: Some(command) };
        self.owners.command(room, request).await
    }
}

/// Whom a ticket names.
fn actor(claims: &Claims) -> v1::Actor {
    v1::Actor {
        participant: claims.participant.to_string(),
        name: claims.name.clone(),
        role: role_to_wire(claims.role).into(),
    }
}

/// The answer to who has come in. As long as edges have no doors, everyone is seated.
fn seated(status: &v1::RoomStatus, role: i32) -> v1::JoinResponse {
    let state = v1::join_response::State::Seated(v1::Seated {});
    v1::JoinResponse { room: Some(to_people(status)), role, state: Some(state) }
}

#[async_trait]
impl ParticipantService for Participants {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let work = |room, claims: Claims| async move {
            if claims.role == Role::Listener {
                return self.0.look(&room, &claims).await;
            }
            let reply = self.0.bring(&room, &claims, Command::Join(v1::Empty {})).await?;
            Ok(seated(&reply.room.unwrap_or_default(), reply.role))
        };
        self.serve(&metadata, &request.room, work).await
    }

    async fn leave(
        &self,
        request: Request<v1::RoomRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        self.command(request.metadata(), &request.get_ref().room, Command::Leave(v1::Empty {})).await
    }

    async fn raise_hand(
        &self,
        request: Request<v1::RoomRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        self.hand(request.metadata(), &request.get_ref().room, true).await
    }

    async fn lower_hand(
        &self,
        request: Request<v1::RoomRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        self.hand(request.metadata(), &request.get_ref().room, false).await
    }

    async fn accept(
        &self,
        request: Request<v1::RoomRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        self.command(request.metadata(), &request.get_ref().room, Command::Accept(v1::Empty {})).await
    }

    async fn decline(
        &self,
        request: Request<v1::RoomRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        self.command(request.metadata(), &request.get_ref().room, Command::Decline(v1::Empty {})).await
    }

    async fn list_hands(
        &self,
        request: Request<v1::RoomRequest>,
    ) -> Result<Response<v1::ListHandsResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let work = |room, claims| async move {
            let reply = self.0.bring(&room, &claims, Command::ListHands(v1::Empty {})).await?;
            Ok(v1::ListHandsResponse { hands: reply.hands })
        };
        self.serve(&metadata, &request.room, work).await
    }

    async fn invite(
        &self,
        request: Request<v1::InviteRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.command(&metadata, &request.room.clone(), Command::Invite(request)).await
    }

    async fn mute(&self, request: Request<v1::MuteRequest>) -> Result<Response<v1::CommandResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.command(&metadata, &request.room.clone(), Command::Mute(request)).await
    }

    async fn remove(
        &self,
        request: Request<v1::TargetRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.command(&metadata, &request.room.clone(), Command::Remove(request)).await
    }

    async fn ban(
        &self,
        request: Request<v1::TargetRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.command(&metadata, &request.room.clone(), Command::Ban(request)).await
    }

    async fn unban(
        &self,
        request: Request<v1::UnbanRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.command(&metadata, &request.room.clone(), Command::Unban(request)).await
    }

    async fn go_live(
        &self,
        request: Request<v1::RoomRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        self.command(request.metadata(), &request.get_ref().room, Command::GoLive(v1::Empty {})).await
    }

    async fn end(&self, request: Request<v1::RoomRequest>) -> Result<Response<v1::CommandResponse>, Status> {
        self.command(request.metadata(), &request.get_ref().room, Command::End(v1::Empty {})).await
    }
}
