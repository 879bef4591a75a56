//! `SpeakService`: one speaker's connection, from its hello to its end.
//!
//! The ticket says who, the owner says whether, the [`Intake`] says which packets. The connection outlives changes of
//! the owner (the uplink sees to that) and ends with the ticket, the place on the stage or the room. The speaker
//! outlives the connection: with the resume token of its welcome it goes on over another one, at any edge, under the
//! next stream.

use std::{sync::Arc, time::Duration};

use stentor_admission::Claims;
use stentor_ids::{Code, Fault, RoomId};
use stentor_link::uplink::{Speaker, SpeakerEvent, SpeakerSession, Uplinks};
use stentor_proto::{
    role_to_wire, status_of,
    v1::{self, speak_request, speak_response::Message, speak_service_server::SpeakService},
};
use stentor_telemetry::{NodeMetrics, Packet as Outcome, Tier, propagation};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::Instrument as _;

use super::{
    gate::Gate,
    intake::{Intake, Verdict},
};
use crate::{
    auth::{Auth, required, ticket_of},
    farewell::{Farewell, Hint},
    rooms::Rooms,
};

/// How long a client may take to say hello. It is the first thing on the stream; more than a few round trips is a hang.
const HELLO: Duration = Duration::from_secs(5);
/// Messages waiting for a slow client: 1.3 s of monitor frames. Beyond it monitor frames are let go, and a client that
/// leaves no room for an event is sent away.
const OUTBOX: usize = 64;
/// How long a speaker is kept after the client has said its last: what an uplink holds of its packets is on its way
/// then.
const LAST_PACKETS: Duration = Duration::from_millis(200);
/// How long the reason for the end may wait for a slow client.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The service. Clones share everything.
#[derive(Clone)]
pub(crate) struct Speak {
    auth: Arc<Auth>,
    rooms: Rooms,
    uplinks: Uplinks,
    metrics: NodeMetrics,
    farewell: Farewell,
}

impl Speak {
    pub(crate) const fn new(
        auth: Arc<Auth>,
        rooms: Rooms,
        uplinks: Uplinks,
        metrics: NodeMetrics,
        farewell: Farewell,
    ) -> Self {
        Self { auth, rooms, uplinks, metrics, farewell }
    }

    async fn admit(
        &self,
        request: Request<Streaming<v1::SpeakRequest>>,
    ) -> Result<(Connection, mpsc::Receiver<Result<v1::SpeakResponse, Status>>), Fault> {
        let (metadata, _, mut incoming) = request.into_parts();
        self.auth.check_open()?;
        let hello = hello(&mut incoming).await?;
        let room =
            RoomId::new(&hello.room).map_err(|error| Fault::new(Code::InvalidArgument, error.to_string()))?;
        let ticket = required(ticket_of(&metadata)?)?;
        let claims = self.auth.participant(Some(ticket), &room, stentor_clock::wall())?;
        let resume = self.auth.resumed(&hello.resume_token, &claims, stentor_clock::wall())?;
        self.rooms.check_banned(&room, &claims.participant)?;
        let speaker = Speaker {
            participant: claims.participant.clone(),
            name: claims.name.clone(),
            role: claims.role,
            monitor: hello.monitor,
        };
        let session = self.uplinks.attach(&room, speaker, resume).await?;
        let gate = Gate::new(self.rooms.carrier().clone(), room, claims.participant.clone());
        let resume_token = self.auth.resume_token(ticket, session.stream());
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        let connection = Connection {
            incoming,
            outbox,
            session,
            hint: self.farewell.hint(Some(&claims.participant)),
            claims,
            resume_token,
            intake: Intake::new(),
            gate,
            metrics: self.metrics.clone(),
        };
        Ok((connection, outgoing))
    }
}

#[async_trait]
impl SpeakService for Speak {
    type SpeakStream = ReceiverStream<Result<v1::SpeakResponse, Status>>;

    async fn speak(
        &self,
        request: Request<Streaming<v1::SpeakRequest>>,
    ) -> Result<Response<Self::SpeakStream>, Status> {
        let span = tracing::info_span!("speak");
        propagation::adopt(&span, request.metadata());
        let admitted = self.admit(request).instrument(span).await;
        let (connection, outgoing) = admitted.map_err(|fault| {
            self.metrics.refusal(fault.code);
            status_of(&fault)
        })?;
        tokio::spawn(connection.run());
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

async fn hello(incoming: &mut Streaming<v1::SpeakRequest>) -> Result<v1::SpeakHello, Fault> {
    let refused = |detail: &'static str| Fault::new(Code::InvalidArgument, detail);
    let first = timeout(HELLO, incoming.message())
        .await
        .map_err(|_| refused("no hello within 5 s; send one first of all"))?
        .map_err(|status| stentor_proto::fault_of(&status))?;
    match first.and_then(|request| request.message) {
        Some(speak_request::Message::Hello(hello)) => Ok(hello),
        _ => Err(refused("the first message is not a hello; send one first of all")),
    }
}

/// One speaker's connection.
struct Connection {
    incoming: Streaming<v1::SpeakRequest>,
    outbox: mpsc::Sender<Result<v1::SpeakResponse, Status>>,
    session: SpeakerSession,
    claims: Claims,
    resume_token: String,
    intake: Intake,
    gate: Gate,
    metrics: NodeMetrics,
    hint: Hint,
}

/// How a connection goes on after something happened on it.
enum Next {
    GoOn,
    /// The client is gone, or was told that the room ended.
    End,
}

impl Connection {
    async fn run(mut self) {
        self.metrics.speakers(Tier::Edge).inc();
        let ended = self.serve().await;
        self.metrics.speakers(Tier::Edge).dec();
        match ended {
            Ok(()) => sleep(LAST_PACKETS).await,
            Err(fault) => self.send_away(&fault).await,
        }
    }

    async fn send_away(&self, fault: &Fault) {
        tracing::debug!(participant = %self.claims.participant, %fault, "a speaker is sent away");
        self.metrics.refusal(fault.code);
        // A client that is gone does not hear it.
        let _ = timeout(LAST_WORD, self.outbox.send(Err(status_of(fault)))).await;
    }

    async fn serve(&mut self) -> Result<(), Fault> {
        let resume_token = std::mem::take(&mut self.resume_token);
        self.say(Message::Welcome(v1::SpeakWelcome {
            participant: self.claims.participant.to_string(),
            role: role_to_wire(self.session.role()).into(),
            muted: self.session.muted(),
            resume_token,
        }))?;
        let left = self.claims.expires_at.since(stentor_clock::wall());
        let expiry = tokio::time::sleep(left);
        tokio::pin!(expiry);
        loop {
            let next = tokio::select! {
                request = self.incoming.message() => self.heard(request.ok().flatten())?,
                event = self.session.events().recv() => self.told(event)?,
                to = self.hint.given() => {
                    self.say(Message::Move(to))?;
                    Next::GoOn
                }
                () = self.outbox.closed() => Next::End,
                () = &mut expiry => {
                    let detail = "the ticket has expired; connect again with a new one";
                    return Err(Fault::new(Code::TicketExpired, detail));
                }
            };
            if matches!(next, Next::End) {
                return Ok(());
            }
        }
    }

    /// Something from the client; `None` when it hung up.
    fn heard(&mut self, request: Option<v1::SpeakRequest>) -> Result<Next, Fault> {
        let Some(request) = request else { return Ok(Next::End) };
        let packet = match request.message {
            Some(speak_request::Message::Packet(packet)) => packet,
            Some(speak_request::Message::Hello(_)) => {
                return Err(Fault::new(Code::InvalidArgument, "a second hello; one is enough"));
            }
            // A message of a newer client.
            None => return Ok(Next::GoOn),
        };
        let outcome = match self.intake.pass(stentor_clock::now(), packet.seq, packet.opus) {
            Ok(Verdict::Take(_)) if !self.gate.is_open() => Outcome::Forbidden,
            Ok(Verdict::Take(opus)) => {
                self.session.send(packet.seq, opus.into_bytes(), stentor_clock::wall());
                Outcome::Taken
            }
            Ok(Verdict::Repeated) => Outcome::Stale,
            Ok(Verdict::Excess) => Outcome::Flood,
            Err(fault) => {
                let outcome = if fault.code == Code::TooFast { Outcome::Flood } else { Outcome::Invalid };
                self.metrics.uplink_packets(Tier::Edge, outcome).inc();
                return Err(fault);
            }
        };
        self.metrics.uplink_packets(Tier::Edge, outcome).inc();
        Ok(Next::GoOn)
    }

    /// Something from the owner.
    fn told(&mut self, event: Option<SpeakerEvent>) -> Result<Next, Fault> {
        match event {
            Some(SpeakerEvent::Monitor { slot, opus }) => {
                let frame = v1::MonitorFrame { slot: slot.0, opus };
                // A full outbox lets it go.
                let _ =
                    self.outbox.try_send(Ok(v1::SpeakResponse { message: Some(Message::Monitor(frame)) }));
                Ok(Next::GoOn)
            }
            Some(SpeakerEvent::Event(event)) => {
                let end = end_of(&event);
                self.say(Message::Event(event))?;
                end.map_or(Ok(Next::GoOn), Err)
            }
            Some(SpeakerEvent::Ended) => {
                self.say(Message::Ended(v1::Ended {}))?;
                Ok(Next::End)
            }
            Some(SpeakerEvent::Lost(fault)) => Err(fault),
            None => Err(Fault::new(Code::NoOwner, "the room's owner is gone").retry_after(LAST_WORD)),
        }
    }

    fn say(&self, message: Message) -> Result<(), Fault> {
        let response = v1::SpeakResponse { message: Some(message) };
        self.outbox.try_send(Ok(response)).map_err(|_| {
            Fault::new(Code::Overloaded, format!("the client does not read: {OUTBOX} messages wait for it"))
        })
    }
}

/// The reason to end the connection, if the event takes the participant off the stage.
fn end_of(event: &v1::ParticipantEvent) -> Option<Fault> {
    use v1::participant_event::What;
    match event.what.as_ref()? {
        What::Removed(reason) => {
            Some(Fault::new(Code::RoleForbids, format!("removed from the stage: {}", or_none(reason))))
        }
        What::Banned(reason) => Some(Fault::new(Code::Banned, format!("banned: {}", or_none(reason)))),
        What::Role(role) if *role == v1::Role::Listener as i32 => {
            Some(Fault::new(Code::RoleForbids, "a moderator made this participant a listener"))
        }
        What::Role(_) | What::Muted(_) | What::HandLowered(_) | What::Invited(_) => None,
    }
}

fn or_none(reason: &str) -> &str {
    if reason.is_empty() { "no reason was given" } else { reason }
}
