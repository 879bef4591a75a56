//! An origin's side: an edge brings its speakers, one stream a room. What they say goes to an [`Ingest`], round every
//! mailbox; what the room says goes back through a bounded queue.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use stentor_ids::{Code, Epoch, Fault, NodeId, ParticipantId, Role, RoomId, Slot};
use stentor_pace::WallTime;
use stentor_proto::{
    fault_of, required, role_held, role_to_wire, status_of,
    v1::{self, uplink_request::Message as Up, uplink_response::Message as Down, uplink_service_server},
};
use stentor_telemetry::{Counter, LinkKind, NodeMetrics, Packet as Outcome, Tier, propagation};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, Span, field, info_span};

use super::{Packet, Speaker, queue::MAX_SPEAKERS};
use crate::{Counted, bad_name};

/// Longest Opus packet taken, in bytes: one Ethernet frame, over three times what 60 ms at the highest bit rate need.
pub const MAX_OPUS: usize = 1500;
/// Longest name of a speaker, in bytes.
const MAX_NAME: usize = 256;
/// How long an edge may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// How long a room may take to bring a speaker on the stage: it may commit to the directory.
const ATTACH_WITHIN: Duration = Duration::from_secs(3);
/// Messages to an edge that may wait: half a second of monitor frames for eight speakers, and room for the rest. Beyond
/// it they are let go.
const TO_EDGE: usize = 256;
/// Places that monitor frames do not take.
const KEPT: usize = 64;

/// Takes the speakers of the rooms that this node owns.
#[async_trait]
pub trait Ingest: Send + Sync + 'static {
    /// An edge brings speakers for a room.
    ///
    /// # Errors
    /// `NotOwner` if this node does not own the room, or under a lower epoch than the edge has seen; `UnknownRoom`,
    /// `RoomEnded`.
    async fn open(&self, opening: Opening) -> Result<Opened, Fault>;
}

/// An edge's stream for a room, as it opens.
pub struct Opening {
    /// The room.
    pub room: RoomId,
    /// The edge.
    pub edge: NodeId,
    /// Highest epoch that the edge has seen for the room.
    pub epoch: Epoch,
    /// Which of the rooms of this name the edge has seen; 0 if none.
    pub incarnation: u64,
    /// Whether it brings packets to the mirror: an origin that mirrors the room, or owns it by now, takes them.
    pub mirror: bool,
    /// The way back to the edge, for as long as the stream lasts.
    pub edge_side: ToEdge,
}

/// An edge's stream that was taken.
pub struct Opened {
    /// Takes what the edge sends. It is dropped when the stream ends, and all its speakers are gone with it.
    pub session: Arc<dyn IngestSession>,
    /// The epoch under which this node owns the room.
    pub epoch: Epoch,
    /// The room as it is.
    pub status: Arc<v1::RoomStatus>,
}

/// One edge's stream for one room, on the owner's side.
#[async_trait]
pub trait IngestSession: Send + Sync + 'static {
    /// A speaker comes on the stage; `stream` is what it had under an earlier owner, 0 if nothing. Several may be under
    /// way at once, and packets of others go on meanwhile.
    ///
    /// # Errors
    /// Why it may not speak here.
    async fn attach(&self, speaker: Speaker, stream: u64) -> Result<Attached, Fault>;
    /// A packet of a speaker that attached through this session. Never waits: it goes into a bounded ring.
    fn packet(&self, packet: Packet);
    /// A speaker's connection went.
    fn detach(&self, participant: &ParticipantId, stream: u64);
}

/// How a speaker was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// What to stamp packets with.
    pub stream: u64,
    /// The role.
    pub role: Role,
    /// Whether it is muted.
    pub muted: bool,
}

/// The way back to an edge. Bounded; nothing waits: what does not fit is let go, and the call says false.
#[derive(Clone)]
pub struct ToEdge(mpsc::Sender<Result<v1::UplinkResponse, Status>>);

#[allow(clippy::must_use_candidate)]
impl ToEdge {
    /// The stage without the participant's own voice.
    pub fn monitor(&self, participant: &ParticipantId, slot: Slot, opus: Bytes) -> bool {
        let participant = participant.to_string();
        self.0.capacity() > KEPT
            && self.say(Down::Monitor(v1::SpeakerMonitor { participant, slot: slot.0, opus }))
    }

    /// Something happened to a participant of this edge.
    pub fn event(&self, event: v1::ParticipantEvent) -> bool {
        self.say(Down::Event(event))
    }

    /// The room has a new owner: connect there.
    pub fn moved(&self, node: &NodeId, epoch: Epoch) -> bool {
        self.say(Down::Moved(v1::OwnerMoved { node: node.to_string(), epoch: epoch.0 }))
    }

    /// The room's mirror is another one, or there is none: bring packets there as well.
    pub fn mirror_changed(&self, mirror: &Option<NodeId>) -> bool {
        let node = mirror.as_ref().map(ToString::to_string).unwrap_or_default();
        self.say(Down::Mirror(v1::MirrorChanged { node }))
    }

    /// The room has ended.
    pub fn ended(&self) -> bool {
        self.say(Down::Ended(v1::Ended {}))
    }

    /// Whether the edge is gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn say(&self, message: Down) -> bool {
        self.0.try_send(Ok(v1::UplinkResponse { message: Some(message) })).is_ok()
    }
}

/// Answers edges by an [`Ingest`].
pub(crate) struct Server {
    pub(crate) ingest: Arc<dyn Ingest>,
    pub(crate) metrics: NodeMetrics,
    pub(crate) stop: CancellationToken,
}

type Responses = Pin<Box<dyn Stream<Item = Result<v1::UplinkResponse, Status>> + Send>>;

#[async_trait]
impl uplink_service_server::UplinkService for Server {
    type UplinkStream = Responses;

    async fn uplink(
        &self,
        request: Request<Streaming<v1::UplinkRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let span = info_span!("uplink", room = field::Empty, edge = field::Empty);
        propagation::adopt(&span, request.metadata());
        let opened = self.open(request.into_inner()).instrument(span).await;
        opened.map(Response::new).map_err(|fault| status_of(&fault))
    }
}

impl Server {
    async fn open(&self, mut inbound: Streaming<v1::UplinkRequest>) -> Result<Responses, Fault> {
        let (sender, receiver) = mpsc::channel(TO_EDGE);
        let edge_side = ToEdge(sender);
        let opening = opening(&mut inbound, edge_side.clone()).await?;
        Span::current().record("room", opening.room.as_str()).record("edge", opening.edge.as_str());
        let Opened { session, epoch, status } = self.ingest.open(opening).await?;
        let welcome = v1::UplinkWelcome { epoch: epoch.0, room: Some(status.as_ref().clone()) };
        edge_side.say(Down::Welcome(welcome));
        let invalid = self.metrics.uplink_packets(Tier::Origin, Outcome::Invalid).clone();
        let taker = Taker { session, edge_side, attached: HashMap::new(), invalid };
        let reader = AbortOnDropHandle::new(tokio::spawn(taker.run(inbound)));
        let counted = Counted::new(self.metrics.links(LinkKind::Uplink));
        // The reader and the count live as long as the responses are wanted.
        let held = stream::unfold(
            (ReceiverStream::new(receiver), reader, counted),
            async |(mut responses, reader, counted)| {
                let response = responses.next().await?;
                Some((response, (responses, reader, counted)))
            },
        );
        Ok(Box::pin(held.take_until(self.stop.clone().cancelled_owned())))
    }
}

/// Parses an edge's hello.
async fn opening(inbound: &mut Streaming<v1::UplinkRequest>, edge_side: ToEdge) -> Result<Opening, Fault> {
    let invalid = |detail: &'static str| Fault::new(Code::InvalidArgument, detail);
    let first = tokio::time::timeout(HELLO_WITHIN, inbound.message())
        .await
        .map_err(|_| invalid("no hello came within 5 s of opening the uplink"))?
        .map_err(|status| fault_of(&status))?;
    let Some(Up::Hello(hello)) = first.and_then(|first| first.message) else {
        return Err(invalid("the first message of an uplink must be a hello"));
    };
    Ok(Opening {
        room: RoomId::new(&hello.room).map_err(bad_name)?,
        edge: NodeId::new(&hello.node).map_err(bad_name)?,
        epoch: Epoch(hello.epoch),
        incarnation: hello.incarnation,
        mirror: hello.mirror,
        edge_side,
    })
}

/// Takes what one edge sends for one room.
struct Taker {
    session: Arc<dyn IngestSession>,
    edge_side: ToEdge,
    /// Those who attached, by name as packets spell it; at most [`MAX_SPEAKERS`].
    attached: HashMap<String, ParticipantId>,
    invalid: Counter,
}

type Attaching = FuturesUnordered<BoxFuture<'static, (ParticipantId, Result<Attached, Fault>)>>;

impl Taker {
    async fn run(mut self, mut inbound: Streaming<v1::UplinkRequest>) {
        let mut attaching = Attaching::new();
        loop {
            tokio::select! {
                request = inbound.message() => match request {
                    Ok(Some(request)) => self.on_message(request.message, &mut attaching),
                    Ok(None) | Err(_) => return,
                },
                Some((participant, answer)) = attaching.next() => self.on_answer(participant, answer),
            }
        }
    }

    fn on_message(&mut self, message: Option<Up>, attaching: &mut Attaching) {
        match message {
            Some(Up::Packet(packet)) => self.on_packet(packet),
            Some(Up::Attach(attach)) => {
                let name = attach.participant.clone();
                let full = self.attached.len() + attaching.len() >= MAX_SPEAKERS;
                match speaker(attach, full) {
                    Ok((speaker, stream)) => attaching.push(self.give(speaker, stream)),
                    Err(fault) => self.refuse(name, &fault),
                }
            }
            Some(Up::Detach(detach)) => {
                if let Some(participant) = self.attached.remove(&detach.participant) {
                    self.session.detach(&participant, detach.stream);
                }
            }
            // A second hello says nothing new; a message of a newer build has no variant here.
            Some(Up::Hello(_)) | None => {}
        }
    }

    fn give(
        &self,
        speaker: Speaker,
        stream: u64,
    ) -> BoxFuture<'static, (ParticipantId, Result<Attached, Fault>)> {
        let session = self.session.clone();
        let participant = speaker.participant.clone();
        async move {
            let given = tokio::time::timeout(ATTACH_WITHIN, session.attach(speaker, stream)).await;
            let late = || {
                let fault = Fault::new(Code::Overloaded, "the room did not take the speaker in time");
                Err(fault.retry_after(Duration::from_secs(1)))
            };
            (participant, given.unwrap_or_else(|_| late()))
        }
        .boxed()
    }

    fn on_answer(&mut self, participant: ParticipantId, answer: Result<Attached, Fault>) {
        match answer {
            Ok(attached) => {
                let name = participant.to_string();
                self.edge_side.say(Down::Attached(v1::SpeakerAttached {
                    participant: name.clone(),
                    stream: attached.stream,
                    role: role_to_wire(attached.role).into(),
                    muted: attached.muted,
                }));
                self.attached.insert(name, participant);
            }
            Err(fault) => self.refuse(participant.to_string(), &fault),
        }
    }

    fn refuse(&self, participant: String, fault: &Fault) {
        let (code, detail) = (fault.code.to_string(), fault.detail.to_string());
        self.edge_side.say(Down::Refused(v1::SpeakerRefused { participant, code, detail }));
    }

    fn on_packet(&self, packet: v1::SpeakerPacket) {
        let Some(participant) = self.attached.get(&packet.participant) else { return };
        if packet.opus.is_empty() || packet.opus.len() > MAX_OPUS {
            self.invalid.inc();
            return;
        }
        self.session.packet(Packet {
            participant: participant.clone(),
            stream: packet.stream,
            seq: packet.seq,
            opus: packet.opus,
            captured: WallTime::from_micros(packet.captured_us),
        });
    }
}

/// Parses an attach.
fn speaker(attach: v1::SpeakerAttach, full: bool) -> Result<(Speaker, u64), Fault> {
    if full {
        let detail = format!("this edge has {MAX_SPEAKERS} speakers in the room, as many as it may");
        return Err(Fault::new(Code::Overloaded, detail));
    }
    if attach.name.len() > MAX_NAME {
        let detail = format!("name has {} bytes; at most {MAX_NAME} are allowed", attach.name.len());
        return Err(Fault::new(Code::InvalidArgument, detail));
    }
    let participant = ParticipantId::new(&attach.participant).map_err(bad_name)?;
    let role = required(role_held(attach.role), "role")?;
    Ok((Speaker { participant, name: attach.name, role, monitor: attach.monitor }, attach.stream))
}
