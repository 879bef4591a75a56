//! What the sessions of one room and the task that holds its uplinks share: the seats, and what is on its way to the room's
//! two origins. Sessions never wait here.
//!
//! Each origin has a [`Queue`] of its own, so that one that is dead, stalled or far away holds up nothing that goes to the
//! other. Both are given the same packets under the same stream.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, task::AtomicWaker};
use parking_lot::Mutex;
use stentor_ids::{Code, Fault, ParticipantId, Slot};
use stentor_pace::Time;
use stentor_proto::v1::{self, uplink_request::Message};
use stentor_telemetry::Counter;
use tokio::sync::watch;

use super::{
    SpeakerEvent,
    queue::{MAX_SEATS, Queue},
    seat::{Seat, detach},
};
use crate::clock;

/// One of the two ways from an edge to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To its owner, who gives the seats.
    Owner = 0,
    /// To its mirror, which takes the packets of those who have one.
    Mirror = 1,
}

impl Way {
    const fn other(self) -> Self {
        match self {
            Self::Owner => Self::Mirror,
            Self::Mirror => Self::Owner,
        }
    }
}

/// The shared state of one room's uplinks.
pub(super) struct Lane {
    state: Mutex<State>,
    /// Wakes the streams of requests.
    out: [AtomicWaker; 2],
    /// Told when a session has gone, and when the owner has given or refused a seat.
    changed: watch::Sender<()>,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    /// Sessions, and attaches that wait for an answer.
    users: usize,
    seats: BTreeMap<u64, Seat>,
    queues: [Queue; 2],
    /// Why no seat is given any more.
    over: Option<Fault>,
}

impl Lane {
    /// Counts in `dropped` what did not reach the owner in time.
    pub(super) fn new(dropped: Counter) -> Self {
        let (state, out, changed) = Default::default();
        Self { state, out, changed, dropped }
    }

    /// One more session; false if there are too many.
    pub(super) fn join(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.users < MAX_SEATS;
        state.users += usize::from(free);
        free
    }

    pub(super) fn users(&self) -> usize {
        self.state.lock().users
    }

    /// Told when a session has gone, and when the owner has given or refused a seat.
    pub(super) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A seat is to be had. Its session has joined, so arrivals are bounded. An earlier seat of the participant is lost.
    pub(super) fn arrive(&self, seat: Seat) {
        let mut state = self.state.lock();
        if let Some(fault) = state.over.clone() {
            return seat.lose(fault);
        }
        if let Some(earlier) = state.remove(seat.participant()) {
            let detail = "a newer connection of this participant has taken the seat";
            earlier.lose(Fault::new(Code::WrongState, detail));
        }
        state.ask(Way::Owner, &seat);
        state.ask(Way::Mirror, &seat);
        state.seats.insert(seat.id, seat);
        drop(state);
        self.wake();
    }

    /// A session is over.
    pub(super) fn leave(&self, seat: u64) {
        let mut state = self.state.lock();
        state.users = state.users.saturating_sub(1);
        if let Some(seat) = state.seats.remove(&seat) {
            for queue in &mut state.queues {
                queue.detach(seat.id, detach(seat.participant(), seat.stream));
            }
        }
        drop(state);
        self.wake();
        self.changed.send_replace(());
    }

    /// The stream of a seat; 0 until it has one.
    pub(super) fn stream(&self, seat: u64) -> u64 {
        self.state.lock().seats.get(&seat).map_or(0, |seat| seat.stream)
    }

    /// Begins a connection with a hello and every seat that may be asked for; what an earlier one had to say is forgotten.
    pub(super) fn connect(self: &Arc<Self>, way: Way, hello: v1::UplinkHello) -> Outbound {
        let mut state = self.state.lock();
        let State { seats, queues, .. } = &mut *state;
        let wanted = seats.values().filter(|seat| seat.may_ask(way));
        let attaches = wanted.map(|seat| (seat.id, seat.attach()));
        let connection = queues[way as usize].connect(Message::Hello(hello), attaches);
        drop(state);
        Outbound { lane: self.clone(), way, connection }
    }

    /// Ends the connection that there is: its stream of requests ends, which lets go of the stream as a whole.
    pub(super) fn disconnect(&self, way: Way) {
        self.state.lock().queues[way as usize].disconnect();
        self.out[way as usize].wake();
    }

    /// Puts a packet on both ways.
    pub(super) fn send(&self, seat: u64, packet: v1::SpeakerPacket) {
        let dropped = self.state.lock().send(clock::now(), seat, packet);
        self.dropped.inc_by(dropped);
        self.wake();
    }

    /// An origin gave a seat. What the first one says is what the session is told.
    pub(super) fn attached(&self, way: Way, answer: &v1::SpeakerAttached) {
        let mut state = self.state.lock();
        state.attached(way, answer);
        drop(state);
        self.wake();
        if way == Way::Owner {
            self.changed.send_replace(());
        }
    }

    /// The owner refused a seat, or took it back.
    pub(super) fn refused(&self, answer: v1::SpeakerRefused) {
        let mut state = self.state.lock();
        let Some(id) = state.find(&answer.participant) else { return };
        state.queues[Way::Owner as usize].forget(id);
        if let Some(seat) = state.seats.remove(&id) {
            state.queues[Way::Mirror as usize].detach(id, detach(seat.participant(), seat.stream));
            let code = answer.code.parse().unwrap_or(Code::Internal);
            seat.lose(Fault::new(code, answer.detail));
        }
        drop(state);
        self.wake();
        self.changed.send_replace(());
    }

    /// The mirror refused a seat, which it may not know of yet.
    pub(super) fn refused_by_mirror(&self, participant: &str) {
        let mut state = self.state.lock();
        if let Some(id) = state.find(participant) {
            state.queues[Way::Mirror as usize].forget(id);
        }
    }

    /// Asks the mirror again for the seats that it refused.
    pub(super) fn ask_mirror_again(&self) {
        let mut state = self.state.lock();
        let State { seats, queues, .. } = &mut *state;
        let mirror = &mut queues[Way::Mirror as usize];
        for seat in seats.values().filter(|seat| seat.may_ask(Way::Mirror)) {
            if !mirror.is_asked(seat.id) {
                mirror.attach(seat.id, seat.attach());
            }
        }
        drop(state);
        self.wake();
    }

    /// Whether the owner has every seat that was ever given, and so needs nobody's help.
    pub(super) fn is_whole(&self) -> bool {
        let state = self.state.lock();
        let owner = &state.queues[Way::Owner as usize];
        state.seats.values().filter(|seat| seat.stream > 0).all(|seat| owner.stream(seat.id).is_some())
    }

    /// Whether the mirror takes anyone's packets.
    pub(super) fn is_mirrored(&self) -> bool {
        let state = self.state.lock();
        state.seats.keys().any(|seat| state.queues[Way::Mirror as usize].stream(*seat).is_some())
    }

    /// The stage for a speaker, from either origin: each slot once.
    pub(super) fn monitor(&self, monitor: v1::SpeakerMonitor) {
        let mut state = self.state.lock();
        if let Some(id) = state.find(&monitor.participant)
            && let Some(seat) = state.seats.get_mut(&id)
        {
            seat.monitor(Slot(monitor.slot), monitor.opus);
        }
    }

    /// Something happened to a speaker.
    pub(super) fn event(&self, event: v1::ParticipantEvent) {
        let state = self.state.lock();
        if let Some(id) = state.find(&event.participant)
            && let Some(seat) = state.seats.get(&id)
        {
            seat.tell(SpeakerEvent::Event(event));
        }
    }

    /// Tells every seat that it is over, and takes no more.
    pub(super) fn end(&self, fault: &Fault) {
        let mut state = self.state.lock();
        state.over = Some(fault.clone());
        for (_, seat) in std::mem::take(&mut state.seats) {
            seat.lose(fault.clone());
        }
    }

    fn wake(&self) {
        self.out.iter().for_each(AtomicWaker::wake);
    }
}

impl State {
    fn find(&self, participant: &str) -> Option<u64> {
        self.seats.values().find(|seat| seat.participant().as_str() == participant).map(|seat| seat.id)
    }

    /// Takes a participant's seat out, without a word to the origins: they are about to hear of another one.
    fn remove(&mut self, participant: &ParticipantId) -> Option<Seat> {
        let id = self.find(participant.as_str())?;
        self.queues.iter_mut().for_each(|queue| queue.forget(id));
        self.seats.remove(&id)
    }

    fn ask(&mut self, way: Way, seat: &Seat) {
        if seat.may_ask(way) {
            self.queues[way as usize].attach(seat.id, seat.attach());
        }
    }

    fn attached(&mut self, way: Way, answer: &v1::SpeakerAttached) {
        let seat = self.find(&answer.participant).and_then(|id| self.seats.get_mut(&id));
        let Some(seat) = seat else {
            // It left while the origin was giving it the seat.
            if let Ok(participant) = answer.participant.parse() {
                self.queues[way as usize].say_detach(detach(&participant, answer.stream));
            }
            return;
        };
        let rises = answer.stream > seat.stream;
        seat.given(answer);
        self.queues[way as usize].attached(seat.id, seat.stream);
        if rises {
            // The other origin is to know the seat under the same stream.
            self.queues[way.other() as usize].attach(seat.id, seat.attach());
        }
    }

    /// Returns how many packets the owner's way dropped: those are heard if the mirror mixes, and else they are not.
    fn send(&mut self, now: Time, seat: u64, packet: v1::SpeakerPacket) -> u64 {
        let [owner, mirror] = &mut self.queues;
        mirror.push(now, seat, packet.clone());
        owner.push(now, seat, packet)
    }
}

/// The requests of one connection, in order: what it begins with, then what there is to say, then packets.
pub(super) struct Outbound {
    lane: Arc<Lane>,
    way: Way,
    connection: u64,
}

impl Stream for Outbound {
    type Item = v1::UplinkRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::UplinkRequest>> {
        self.lane.out[self.way as usize].register(cx.waker());
        let mut state = self.lane.state.lock();
        let queue = &mut state.queues[self.way as usize];
        if !queue.is(self.connection) {
            return Poll::Ready(None);
        }
        let dropped = queue.drop_old(clock::now());
        let next = queue.next();
        drop(state);
        if self.way == Way::Owner {
            self.lane.dropped.inc_by(dropped);
        }
        next.map_or(Poll::Pending, |message| Poll::Ready(Some(v1::UplinkRequest { message: Some(message) })))
    }
}

#[cfg(test)]
mod tests;
