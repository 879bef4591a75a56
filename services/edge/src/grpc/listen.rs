//! `ListenService`: one native listener, from the room's state to its end.
//!
//! A listener is a stream that the connection pulls, so that one that does not read costs what is bounded: its place in
//! the room's backlog, from which it is skipped forward, and its HTTP/2 window.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, future::OptionFuture, stream};
use stentor_ids::{Code, Fault, RoomId, Slot};
use stentor_link::{Closed, Cursor, Item};
use stentor_proto::{
    status_of,
    told::to_people,
    v1::{self, listen_response::Message, listen_service_server::ListenService, participant_event::What},
};
use stentor_relay::{Frame, Output};
use stentor_telemetry::{Frames, Leave, NodeMetrics, Protocol, Tier, propagation};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    time::{Sleep, sleep},
};
use tonic::{Request, Response, Status, async_trait};
use tracing::Instrument as _;

use crate::{
    auth::ticket_of,
    farewell::{Farewell, Hint},
    rooms::{Audience, Caller, Guesses, Heard, Part, Rooms},
};

/// How long a refusal waits that was asked for too fast. With the bound on a connection's calls it keeps one that asks as
/// fast as it can to some thousand refusals a second, which cost a few per cent of a core.
const SLOWED: Duration = Duration::from_millis(100);

/// The service. Clones share everything.
#[derive(Clone)]
pub(super) struct Listen {
    rooms: Rooms,
    metrics: NodeMetrics,
    farewell: Farewell,
}

impl Listen {
    pub(super) const fn new(rooms: Rooms, metrics: NodeMetrics, farewell: Farewell) -> Self {
        Self { rooms, metrics, farewell }
    }

    async fn admit(&self, request: &Request<v1::ListenRequest>) -> Result<Hearing, Fault> {
        let room = RoomId::new(&request.get_ref().room)
            .map_err(|error| Fault::new(Code::InvalidArgument, error.to_string()))?;
        let since = stentor_clock::now();
        let guesses = request.extensions().get::<Guesses>().cloned().unwrap_or_default();
        let caller = Caller { ticket: ticket_of(request.metadata())?, guesses: &guesses };
        let audience = self.rooms.admit(&room, caller, Part::Listener).await?;
        let source = if request.get_ref().unbuffered {
            Source::Feed(Box::new(audience.on_air.follow_feed()))
        } else {
            Source::Playout(audience.on_air.follow())
        };
        self.metrics.joins(Protocol::Grpc).inc();
        self.metrics.join().observe(stentor_clock::now().since(since));
        let hint = self.farewell.hint(audience.participant());
        Ok(Hearing::new(audience, source, self.metrics.clone(), hint))
    }
}

#[async_trait]
impl ListenService for Listen {
    type ListenStream = Pin<Box<dyn Stream<Item = Result<v1::ListenResponse, Status>> + Send>>;

    async fn listen(
        &self,
        request: Request<v1::ListenRequest>,
    ) -> Result<Response<Self::ListenStream>, Status> {
        let span = tracing::info_span!("listen", protocol = "grpc", room = request.get_ref().room);
        propagation::adopt(&span, request.metadata());
        let hearing = match self.admit(&request).instrument(span).await {
            Ok(hearing) => hearing,
            Err(fault) => {
                self.metrics.refusal(fault.code);
                if fault.code == Code::TooFast {
                    sleep(SLOWED).await;
                }
                return Err(status_of(&fault));
            }
        };
        let heard = stream::unfold(hearing, |mut hearing| async move {
            hearing.next().await.map(|message| (message, hearing))
        });
        Ok(Response::new(Box::pin(heard)))
    }
}

/// Where a listener's audio comes from.
enum Source {
    /// Behind the seam buffer, as every listener hears it.
    Playout(broadcast::Receiver<Heard>),
    /// As it comes.
    Feed(Box<Cursor>),
}

/// A room as far as a change of it is told: its lifecycle, its stage and its spec.
type Seen = (i32, u64, Option<v1::RoomSpec>);

/// One listener.
struct Hearing {
    audience: Audience,
    source: Source,
    /// Turns when the room's state, or who is banned, changes.
    news: watch::Receiver<Option<Closed>>,
    metrics: NodeMetrics,
    hint: Hint,
    /// The end of its ticket.
    expiry: OptionFuture<Pin<Box<Sleep>>>,
    /// What is to be said next.
    outbox: VecDeque<Message>,
    /// The next slot to give.
    next: Option<Slot>,
    /// Slots were left out since the last one given, for this listener alone.
    skipped: bool,
    /// The room as last told.
    told: Option<Seen>,
    over: Option<Leave>,
}

impl Hearing {
    fn new(audience: Audience, source: Source, metrics: NodeMetrics, hint: Hint) -> Self {
        metrics.listeners(Protocol::Grpc).inc();
        let left = audience.claims.as_ref().map(|claims| claims.expires_at.since(stentor_clock::wall()));
        let news = audience.on_air.news();
        let mut hearing = Self {
            audience,
            source,
            news,
            metrics,
            hint,
            expiry: left.map(|left| Box::pin(sleep(left))).into(),
            outbox: VecDeque::new(),
            next: None,
            skipped: false,
            told: None,
            over: None,
        };
        hearing.tell(true);
        hearing
    }

    /// The next message; `None` when the stream is over.
    async fn next(&mut self) -> Option<Result<v1::ListenResponse, Status>> {
        loop {
            if let Some(message) = self.outbox.pop_front() {
                return Some(Ok(v1::ListenResponse { message: Some(message) }));
            }
            if self.over.is_some() {
                return None;
            }
            let heard = tokio::select! {
                heard = heard(&mut self.source, &mut self.skipped) => self.hear(heard),
                Ok(()) = self.news.changed() => self.look(),
                to = self.hint.given() => {
                    self.outbox.push_back(Message::Move(to));
                    Ok(())
                }
                Some(()) = &mut self.expiry => {
                    Err(Fault::new(Code::TicketExpired, "the ticket has expired; connect again with a new one"))
                }
            };
            if let Err(fault) = heard {
                self.over.get_or_insert(Leave::Refused);
                self.metrics.refusal(fault.code);
                return Some(Err(status_of(&fault)));
            }
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<(), Fault> {
        match heard {
            Heard::Output(Output::Play(frame)) => self.play(frame),
            Heard::Output(Output::Gap { slot, count }) => self.gap(slot.plus(count)),
            Heard::Event(event) => return self.event(&event),
            Heard::Closed(Closed::Ended) => {
                self.tell(false);
                self.over = Some(Leave::Ended);
                self.outbox.push_back(Message::Ended(v1::Ended {}));
            }
            Heard::Closed(closed) => {
                self.over = Some(Leave::Closed);
                return Err(match closed {
                    Closed::Fault(fault) => fault,
                    _ => Fault::new(Code::Draining, "this edge lets the room go; connect to another"),
                });
            }
        }
        Ok(())
    }

    fn play(&mut self, frame: Frame) {
        if self.next.is_some_and(|next| frame.slot < next) {
            return;
        }
        self.gap(frame.slot);
        self.next = Some(frame.slot.next());
        self.metrics.frames(Tier::Edge, Frames::Out).inc();
        self.metrics.egress_bytes(Protocol::Grpc).inc_by(frame.opus.len() as u64);
        self.outbox.push_back(Message::Frame(v1::Frame {
            epoch: frame.epoch.0,
            lineage: frame.lineage.0,
            slot: frame.slot.0,
            opus: frame.opus,
            captured_us: frame.captured.as_micros(),
        }));
    }

    /// Tells of the slots up to `end` that are not given, if any were to be.
    fn gap(&mut self, end: Slot) {
        let skipped = std::mem::take(&mut self.skipped);
        let Some(next) = self.next.filter(|next| *next < end) else { return };
        self.next = Some(end);
        let count = end.since(next);
        if skipped {
            self.metrics.frames(Tier::Edge, Frames::Skipped).inc_by(count);
        }
        self.outbox.push_back(Message::Gap(v1::Gap { slot: next.0, count, skipped }));
    }

    /// Looks at the room as it is now.
    fn look(&mut self) -> Result<(), Fault> {
        let banned = self.audience.participant().map_or(Ok(()), |me| self.audience.on_air.check_banned(me));
        if banned.is_err() {
            self.hear_why()?;
        }
        self.tell(false);
        banned
    }

    /// Looks for the event of the ban among what waits to be heard: it says why.
    fn hear_why(&mut self) -> Result<(), Fault> {
        while let Source::Playout(heard) = &mut self.source
            && let Ok(heard) = heard.try_recv()
        {
            if let Heard::Event(event) = heard {
                self.event(&event)?;
            }
        }
        Ok(())
    }

    /// Tells the room if it is another one than was told, or `always`.
    fn tell(&mut self, always: bool) {
        let on_air = &self.audience.on_air;
        let Some(status) = on_air.status() else {
            if always {
                self.outbox.push_back(Message::Room(v1::Room::default()));
            }
            return;
        };
        let same = self.told.as_ref().is_some_and(|(lifecycle, stage_version, spec)| {
            (*lifecycle, *stage_version) == (status.lifecycle, status.stage_version) && *spec == status.spec
        });
        if always || !same {
            self.told = Some((status.lifecycle, status.stage_version, status.spec.clone()));
            self.outbox.push_back(Message::Room(to_people(&on_air.current().unwrap_or_default())));
        }
    }

    /// What happened to this listener is told, and ends the stream if it is a ban.
    fn event(&mut self, event: &v1::ParticipantEvent) -> Result<(), Fault> {
        let me = self.audience.participant().map(stentor_ids::ParticipantId::as_str);
        if me != Some(&event.participant) {
            return Ok(());
        }
        if let Some(What::Banned(reason)) = &event.what {
            let because = if reason.is_empty() { "no reason was given" } else { reason };
            return Err(Fault::new(Code::Banned, format!("banned: {because}")));
        }
        self.outbox.push_back(Message::Event(event.clone()));
        Ok(())
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.metrics.listeners(Protocol::Grpc).dec();
        self.metrics.leaves(self.over.unwrap_or(Leave::Left)).inc();
    }
}

/// The next of a source. May be dropped and called again without losing any.
async fn heard(source: &mut Source, skipped: &mut bool) -> Heard {
    loop {
        match source {
            Source::Playout(heard) => match heard.recv().await {
                Ok(heard) => return heard,
                Err(RecvError::Lagged(_)) => *skipped = true,
                Err(RecvError::Closed) => return Heard::Closed(Closed::Moved),
            },
            Source::Feed(cursor) => match cursor.next().await {
                Item::Frame(frame) => return Heard::Output(Output::Play(frame)),
                Item::Event(event) => return Heard::Event(Arc::new(event)),
                Item::Closed(closed) => return Heard::Closed(closed),
                Item::Gap { .. } => *skipped = true,
                // The playout's cursor tells when to look at these.
                Item::Status(_)
                | Item::Levels(_)
                | Item::Bans { .. }
                | Item::Stage(_)
                | Item::Fence { .. } => {}
            },
        }
    }
}
