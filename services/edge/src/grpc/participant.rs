//! `ParticipantService`: what a participant does besides hearing and speaking, handed to the room's owner.
//!
//! A listener's join stops here: it is answered from what this edge can learn without the owner. Everything else that
//! goes up is bounded for each participant, so that a crowd cannot bury an origin.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use stentor_admission::Claims;
use stentor_ids::{Code, Fault, ParticipantId, Role, RoomId};
use stentor_link::{Locator, control};
use stentor_pace::{Time, TokenBucket};
use stentor_proto::{
    role_to_wire, status_of,
    v1::{self, command_request::Command, participant_service_server::ParticipantService},
};
use stentor_telemetry::{NodeMetrics, propagation};
use tonic::{Request, Response, Status, async_trait, metadata::MetadataMap};
use tracing::Instrument as _;

use super::public;
use crate::{
    clock,
    door::{Door, ticket_of},
};

/// Commands of one participant a second, and at once: faster than a person presses buttons.
const RATE: u32 = 5;
const BURST: u32 = 10;
/// Participants whose pace is kept. Beyond it those who have been quiet are forgotten, and if all are busy, one more is
/// told to come back.
const PACED: usize = 10_000;
/// How often a command is brought to the owner, and how long between: a new owner is found within seconds.
const TRIES: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(500);

/// The service. Clones share everything.
#[derive(Clone)]
pub(crate) struct Participants(Arc<Inner>);

struct Inner {
    door: Arc<Door>,
    locator: Locator,
    owners: control::Client,
    metrics: NodeMetrics,
    pace: Mutex<BTreeMap<(RoomId, ParticipantId), TokenBucket>>,
}

impl Participants {
    pub(crate) fn new(
        door: Arc<Door>,
        locator: Locator,
        owners: control::Client,
        metrics: NodeMetrics,
    ) -> Self {
        Self(Arc::new(Inner { door, locator, owners, metrics, pace: Mutex::default() }))
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
            Ok(v1::CommandResponse { room: reply.room })
        };
        self.serve(metadata, room, work).await
    }
}

impl Inner {
    fn enter(&self, metadata: &MetadataMap, room: &str) -> Result<(RoomId, Claims), Fault> {
        let room = RoomId::new(room).map_err(|error| Fault::new(Code::InvalidArgument, error.to_string()))?;
        let claims = self.door.participant(ticket_of(metadata)?, &room, clock::wall())?;
        self.pace(clock::now(), &room, &claims.participant)?;
        Ok((room, claims))
    }

    fn pace(&self, now: Time, room: &RoomId, participant: &ParticipantId) -> Result<(), Fault> {
        let mut paces = self.pace.lock();
        let key = (room.clone(), participant.clone());
        if paces.len() >= PACED && !paces.contains_key(&key) {
            paces.retain(|_, bucket| bucket.wait(now, BURST) > Duration::ZERO);
            if paces.len() >= PACED {
                let detail = format!("{PACED} participants give commands at this edge at once");
                return Err(Fault::new(Code::Overloaded, detail).retry_after(Duration::from_secs(2)));
            }
        }
        let bucket =
            paces.entry(key).or_insert_with(|| TokenBucket::new(RATE, Duration::from_secs(1), BURST));
        if bucket.take(now, 1) {
            return Ok(());
        }
        let detail = format!("{participant} gives more than {RATE} commands a second");
        Err(Fault::new(Code::TooFast, detail).retry_after(bucket.wait(now, 1)))
    }

    /// The room as it is; the role that the participant has in it; without a message to the owner.
    async fn look(&self, room: &RoomId, claims: &Claims) -> Result<v1::JoinResponse, Fault> {
        let status = public(self.locator.status(room).await?.room.unwrap_or_default());
        let seat = status.stage.iter().find(|seat| seat.id == claims.participant.as_str());
        let role = seat.map_or(role_to_wire(claims.role).into(), |seat| seat.role);
        Ok(v1::JoinResponse { room: Some(status), role })
    }

    /// Brings a command to the room's owner, wherever it is by now. Only a refusal that says "not applied" is tried again.
    async fn bring(
        &self,
        room: &RoomId,
        claims: &Claims,
        command: Command,
    ) -> Result<v1::CommandReply, Fault> {
        let by = v1::Actor {
            participant: claims.participant.to_string(),
            name: claims.name.clone(),
            role: role_to_wire(claims.role).into(),
        };
        let request = v1::CommandRequest { room: room.to_string(), by: Some(by), command: Some(command) };
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = match self.owner(room).await {
                Ok(owner) => self.owners.command(&owner, request.clone()).await,
                Err(fault) => Err(fault),
            };
            match answer {
                Err(fault) if tries < TRIES && matches!(fault.code, Code::NoOwner | Code::NotOwner) => {
                    tokio::time::sleep(BETWEEN).await;
                }
                Ok(reply) => return Ok(v1::CommandReply { room: reply.room.map(public), ..reply }),
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn owner(&self, room: &RoomId) -> Result<String, Fault> {
        let found = self.locator.status(room).await?;
        if !found.owner_addr.is_empty() {
            return Ok(found.owner_addr);
        }
        Err(match found.room.map(|status| status.lifecycle()) {
            Some(v1::Lifecycle::Ended) => Fault::new(Code::RoomEnded, format!("room {room} has ended")),
            Some(v1::Lifecycle::Scheduled) => {
                let detail = format!("room {room} is scheduled and its doors are closed");
                Fault::new(Code::NotLiveYet, detail).retry_after(Duration::from_secs(10))
            }
            _ => {
                let detail = format!("the owner of room {room} is being replaced");
                Fault::new(Code::NoOwner, detail).retry_after(Duration::from_secs(2))
            }
        })
    }
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
            Ok(v1::JoinResponse { room: reply.room, role: reply.role })
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
        self.command(request.metadata(), &request.get_ref().room, Command::RaiseHand(v1::Empty {})).await
    }

    async fn lower_hand(
        &self,
        request: Request<v1::RoomRequest>,
    ) -> Result<Response<v1::CommandResponse>, Status> {
        self.command(request.metadata(), &request.get_ref().room, Command::LowerHand(v1::Empty {})).await
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
