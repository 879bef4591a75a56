//! The task that holds one room's uplink: finds the owner, connects, attaches every seat again, and starts over when the
//! owner moves or the stream breaks. Seats keep their stream number, so that the owner hears one connection go on.

use std::{collections::HashMap, future::Future, pin::pin, sync::Arc, time::Duration};

use stentor_ids::{Code, Epoch, Fault, ParticipantId, RoomId, Slot};
use stentor_pace::{Backoff, Time};
use stentor_proto::{
    fault_of, required, role_from_wire, role_to_wire,
    v1::{self, uplink_request::Message as Up, uplink_response::Message as Down},
};
use stentor_telemetry::{LinkKind, propagation};
use tokio::time::Instant;
use tonic::{Request, Streaming};
use tracing::{Instrument, Span, debug, info};

use super::{
    Attached, SpeakerEvent,
    client::{EVENTS_KEPT, Inner, Seat},
    lane::{Lane, Outbound},
};
use crate::{Counted, MAX_MESSAGE, Topology, clock};

/// How long an owner may take to welcome an uplink: it answers from memory.
const WELCOME_WITHIN: Duration = Duration::from_secs(1);
/// First ceiling of the wait before the owner is looked for again, and the highest: a new owner is there within the
/// lease, and speakers should lose none of its first slots.
const RETRY_BASE: Duration = Duration::from_millis(50);
const RETRY_CAP: Duration = Duration::from_secs(1);
/// How long seats are kept while nobody owns the room. A person who talks into nothing should know after a minute.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How long an owner that is not the owner any more may still say goodbye. A planned move is in the directory a second
/// before the slot at which it happens, and until then the old owner is the one that is heard.
const PARTING: Duration = Duration::from_millis(1500);

/// The task of one room.
pub(super) struct Link {
    uplinks: Arc<Inner>,
    room: RoomId,
    lane: Arc<Lane>,
    seats: HashMap<ParticipantId, Seat>,
    /// Highest epoch seen: an owner under a lower one is none.
    epoch: Epoch,
    /// Where the room's owner was said to be by the one before it.
    hint: Option<String>,
    /// What the uplink was first asked for by; later connections belong to no trace.
    cause: Span,
}

/// Why a connection is over.
enum Over {
    /// Look for the owner, now.
    Moved,
    /// Look for the owner, after a wait.
    Broken(Fault),
    /// Nobody speaks here any more, or the room has ended.
    Done,
}

/// A connection that an owner has welcomed.
struct Connection {
    inbound: Streaming<v1::UplinkResponse>,
    link_addr: String,
    epoch: Epoch,
}

impl Link {
    pub(super) fn new(uplinks: Arc<Inner>, room: RoomId, lane: Arc<Lane>, cause: Span) -> Self {
        Self { uplinks, room, lane, seats: HashMap::new(), epoch: Epoch(0), hint: None, cause }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
        let mut since = clock::now();
        while !self.take_changes() {
            let opening = self.opening();
            let Some(opened) = self.meanwhile(opening).await else { return };
            let over = match opened {
                Ok(connection) => {
                    let begun = clock::now();
                    let over = self.converse(connection).await;
                    since = clock::now();
                    if since.since(begun) >= RETRY_CAP {
                        backoff.reset();
                    }
                    over
                }
                Err(fault) => Over::Broken(fault),
            };
            self.lane.disconnect();
            let first = backoff.failures() == 0;
            let wait = self.wait(backoff.next(rand::random()));
            match over {
                Over::Done => return,
                Over::Broken(fault) if self.is_final(&fault, since) => return self.end(&fault),
                // A room moves seldom; an owner that sends us away each time we come must not make us run in circles.
                Over::Moved if first => {}
                over => {
                    if let Over::Broken(fault) = over {
                        debug!(room = %self.room, %fault, "the room's owner is looked for again");
                    }
                    if self.meanwhile(wait).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether a fault is one that waiting does not mend.
    fn is_final(&self, fault: &Fault, since: Time) -> bool {
        matches!(fault.code, Code::UnknownRoom | Code::RoomEnded | Code::InvalidArgument)
            || clock::now().since(since) >= GIVE_UP
    }

    /// Tells every seat that it is over, and takes no more.
    fn end(&mut self, fault: &Fault) {
        info!(room = %self.room, %fault, "uplink given up");
        self.retire(|_| true);
        self.take_changes();
        for (_, seat) in self.seats.drain() {
            self.lane.forget(seat.id);
            seat.lose(fault.clone());
        }
    }

    /// Waits for `what` while seats come and go; `None` when the last has gone.
    async fn meanwhile<F: Future>(&mut self, what: F) -> Option<F::Output> {
        let mut what = pin!(what);
        let lane = self.lane.clone();
        loop {
            tokio::select! {
                done = &mut what => return Some(done),
                () = lane.task.notified() => if self.take_changes() { return None },
            }
        }
    }

    /// Waits until the owner may be elsewhere: for a while, or until the cluster changes.
    fn wait(&self, wait: Duration) -> impl Future<Output = ()> + use<> {
        let mut changed = self.uplinks.topology.changed();
        async move {
            changed.mark_unchanged();
            // A view that will not change any more leaves the time alone.
            let _ = tokio::time::timeout(wait, changed.changed()).await;
        }
    }

    /// A connection to the owner, begun with every seat. It borrows nothing, so that seats may come and go meanwhile.
    fn opening(&mut self) -> impl Future<Output = Result<Connection, Fault>> + use<> {
        let hello = v1::UplinkHello {
            room: self.room.to_string(),
            node: self.uplinks.me.to_string(),
            epoch: self.epoch.0,
            mirror: false,
        };
        let attaches = self.seats.values().map(Seat::attach).collect::<Vec<_>>();
        let outbound = self.lane.connect(std::iter::once(Up::Hello(hello)).chain(attaches));
        let cause = std::mem::replace(&mut self.cause, Span::none());
        open(self.uplinks.clone(), self.room.clone(), self.hint.take(), outbound).instrument(cause)
    }

    /// Takes in the seats that came and lets go those that went; true when this was the last and the task is over.
    fn take_changes(&mut self) -> bool {
        let (arrived, gone) = self.lane.changes();
        for seat in arrived {
            self.lane.say(seat.attach());
            if let Some(earlier) = self.seats.insert(seat.speaker.participant.clone(), seat) {
                self.lane.forget(earlier.id);
                earlier.lose(Fault::new(
                    Code::WrongState,
                    "a newer connection of this participant has taken the seat",
                ));
            }
        }
        for id in gone {
            let left = self.seats.extract_if(|_, seat| seat.id == id).next();
            if let Some((participant, seat)) = left.filter(|(_, seat)| seat.stream > 0) {
                self.lane.say(detach(&participant, seat.stream));
            }
        }
        self.retire(|lane| lane.users() == 0)
    }

    /// Takes the lane out of the edge's uplinks, so that nobody joins it any more, if it is still wanted so then.
    fn retire(&self, wanted: impl FnOnce(&Lane) -> bool) -> bool {
        let mut rooms = self.uplinks.rooms.lock();
        let over = wanted(&self.lane);
        if over && rooms.get(&self.room).is_some_and(|lane| Arc::ptr_eq(lane, &self.lane)) {
            rooms.remove(&self.room);
        }
        over
    }

    /// Listens to the owner until the connection is over.
    async fn converse(&mut self, connection: Connection) -> Over {
        let Connection { mut inbound, link_addr, epoch } = connection;
        let _counted = Counted::new(self.uplinks.metrics.links(LinkKind::Uplink));
        self.epoch = self.epoch.max(epoch);
        let topology = self.uplinks.topology.clone();
        let mut changed = topology.changed();
        let lane = self.lane.clone();
        let mut parting = None;
        loop {
            tokio::select! {
                told = inbound.message() => match told {
                    Ok(Some(v1::UplinkResponse { message: Some(message) })) => {
                        if let Some(over) = self.on_message(message) {
                            return over;
                        }
                    }
                    // A message of a newer build.
                    Ok(Some(_)) => {}
                    Ok(None) => return Over::Broken(Fault::new(Code::NodeUnavailable, "the owner ended the uplink")),
                    Err(status) => {
                        self.uplinks.metrics.link_failures(LinkKind::Uplink).inc();
                        return Over::Broken(fault_of(&status));
                    }
                },
                () = lane.task.notified() => if self.take_changes() { return Over::Done },
                Ok(()) = changed.changed() => {
                    let left = has_left(topology.as_ref(), &self.room, &link_addr);
                    parting = left.then(|| parting.unwrap_or_else(|| Instant::now() + PARTING));
                }
                () = reached(parting) => return Over::Moved,
            }
        }
    }

    fn on_message(&mut self, message: Down) -> Option<Over> {
        match message {
            // It came with the connection.
            Down::Welcome(_) | Down::Mirror(_) => {}
            Down::Attached(attached) => self.on_attached(&attached),
            Down::Refused(refused) => {
                if let Some((_, seat)) = self.remove(&refused.participant) {
                    let code = refused.code.parse().unwrap_or(Code::Internal);
                    seat.lose(Fault::new(code, refused.detail));
                }
            }
            Down::Monitor(monitor) => {
                if let Some(seat) = self.seat(&monitor.participant)
                    && seat.events.capacity() > EVENTS_KEPT
                {
                    seat.tell(SpeakerEvent::Monitor { slot: Slot(monitor.slot), opus: monitor.opus });
                }
            }
            Down::Event(event) => {
                if let Some(seat) = self.seat(&event.participant) {
                    seat.tell(SpeakerEvent::Event(event));
                }
            }
            Down::Moved(moved) => {
                self.epoch = self.epoch.max(Epoch(moved.epoch));
                let peers = self.uplinks.topology.peers();
                let owner = peers.iter().find(|peer| peer.id.as_str() == moved.node);
                self.hint = owner.map(|peer| peer.link_addr.clone());
                return Some(Over::Moved);
            }
            Down::Ended(_) => {
                let detail = format!("{} has ended", self.room);
                return Some(Over::Broken(Fault::new(Code::RoomEnded, detail)));
            }
        }
        None
    }

    fn on_attached(&mut self, answer: &v1::SpeakerAttached) {
        let Some(seat) = self.seats.values_mut().find(|seat| seat.is(&answer.participant)) else {
            // It left while the owner was giving it the seat.
            if let Ok(participant) = ParticipantId::new(&answer.participant) {
                self.lane.say(detach(&participant, answer.stream));
            }
            return;
        };
        seat.stream = seat.stream.max(answer.stream);
        self.lane.attach(seat.id, seat.stream);
        if let Some(waiting) = seat.waiting.take() {
            let role = role_from_wire(answer.role).and_then(|role| required(role, "role"));
            let attached = role.map(|role| Attached { stream: seat.stream, role, muted: answer.muted });
            // Who waited may have gone; then the seat is let go with it.
            let _ = waiting.send(attached.map_err(Fault::from));
        }
    }

    fn seat(&self, participant: &str) -> Option<&Seat> {
        self.seats.values().find(|seat| seat.is(participant))
    }

    fn remove(&mut self, participant: &str) -> Option<(ParticipantId, Seat)> {
        let removed = self.seats.extract_if(|_, seat| seat.is(participant)).next();
        if let Some((_, seat)) = &removed {
            self.lane.forget(seat.id);
        }
        removed
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.lane.disconnect();
    }
}

impl Seat {
    fn is(&self, participant: &str) -> bool {
        self.speaker.participant.as_str() == participant
    }

    fn attach(&self) -> Up {
        Up::Attach(v1::SpeakerAttach {
            participant: self.speaker.participant.to_string(),
            name: self.speaker.name.clone(),
            role: role_to_wire(self.speaker.role).into(),
            monitor: self.speaker.monitor,
            stream: self.stream,
        })
    }

    /// What does not fit is let go; the session's end is told by the channel's end as well.
    fn tell(&self, event: SpeakerEvent) {
        let _ = self.events.try_send(event);
    }

    fn lose(mut self, fault: Fault) {
        match self.waiting.take() {
            Some(waiting) => {
                let _ = waiting.send(Err(fault));
            }
            None if fault.code == Code::RoomEnded => self.tell(SpeakerEvent::Ended),
            None => self.tell(SpeakerEvent::Lost(fault)),
        }
    }
}

fn detach(participant: &ParticipantId, stream: u64) -> Up {
    Up::Detach(v1::SpeakerDetach { participant: participant.to_string(), stream })
}

/// Waits until then; for ever if there is no such moment.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Whether the room's owner is not at this address any more, as far as this node can see.
fn has_left(topology: &dyn Topology, room: &RoomId, link_addr: &str) -> bool {
    match topology.owner(room) {
        Some(owner) => owner.link_addr != link_addr,
        None => !topology.peers().iter().any(|peer| peer.link_addr == link_addr),
    }
}

/// Finds the owner and opens the uplink to it.
async fn open(
    uplinks: Arc<Inner>,
    room: RoomId,
    hint: Option<String>,
    outbound: Outbound,
) -> Result<Connection, Fault> {
    let link_addr = match hint {
        Some(link_addr) => link_addr,
        None => locate(&uplinks, &room).await?,
    };
    let mut client = v1::uplink_service_client::UplinkServiceClient::new(uplinks.pool.channel(&link_addr)?)
        .max_decoding_message_size(MAX_MESSAGE);
    let mut request = Request::new(outbound);
    propagation::inject(request.metadata_mut());
    let welcomed = async {
        let mut inbound = client.uplink(request).await?.into_inner();
        let first = inbound.message().await?;
        Ok::<_, tonic::Status>((inbound, first))
    };
    let (inbound, first) = match tokio::time::timeout(WELCOME_WITHIN, welcomed).await {
        Ok(welcomed) => welcomed.map_err(|status| fault_of(&status))?,
        Err(_) => {
            let detail = format!("the owner of {room} at {link_addr} did not answer in time");
            return Err(Fault::new(Code::NodeUnavailable, detail));
        }
    };
    match first {
        Some(v1::UplinkResponse { message: Some(Down::Welcome(welcome)) }) => {
            Ok(Connection { inbound, link_addr, epoch: Epoch(welcome.epoch) })
        }
        _ => {
            Err(Fault::new(Code::Internal, format!("the owner of {room} at {link_addr} did not welcome us")))
        }
    }
}

async fn locate(uplinks: &Inner, room: &RoomId) -> Result<String, Fault> {
    let located = uplinks.locator.status(room).await?;
    let ended = located.room.is_some_and(|status| status.lifecycle() == v1::Lifecycle::Ended);
    if ended {
        return Err(Fault::new(Code::RoomEnded, format!("{room} has ended")));
    }
    if located.owner_addr.is_empty() {
        let fault = Fault::new(Code::NoOwner, format!("nobody owns {room} at the moment"));
        return Err(fault.retry_after(Duration::from_secs(1)));
    }
    Ok(located.owner_addr)
}
