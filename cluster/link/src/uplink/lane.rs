//! What the sessions of one room and the task that holds its uplink share: seats that come and go, and packets on their
//! way. Sessions never wait here.
//!
//! A packet goes out once its seat is attached with the owner, stamped with the seat's stream. It waits for that no
//! longer than [`PACKET_AGE`]: while a room has no owner the oldest are dropped, never accumulated.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, task::AtomicWaker};
use parking_lot::Mutex;
use stentor_pace::Time;
use stentor_proto::v1::{self, uplink_request::Message};
use stentor_telemetry::Counter;
use tokio::sync::Notify;

use super::client::Seat;
use crate::clock;

/// How old a packet may become in the queue: an owner's jitter buffer would not wait for it any longer.
pub(super) const PACKET_AGE: Duration = Duration::from_millis(200);
/// Packets that one seat may have waiting: 200 ms of the shortest packets, 10 ms. Beyond it the seat's oldest goes, so that
/// no speaker pushes out another.
pub(super) const SEAT_PACKETS: usize = 20;
/// Speakers of one room at one edge. A stage has 20 seats by default; beyond it an attach is refused.
pub(super) const MAX_SEATS: usize = 256;

/// The shared state of one room's uplink.
pub(super) struct Lane {
    state: Mutex<State>,
    /// Wakes the stream of requests.
    out: AtomicWaker,
    /// Wakes the task that holds the uplink.
    pub(super) task: Notify,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    /// Sessions, and attaches that wait for an answer.
    users: usize,
    arrived: Vec<Seat>,
    gone: Vec<u64>,
    /// Grows with each connection; a stream of requests of an older one ends.
    connection: u64,
    /// Whether there is a connection, or one being made.
    open: bool,
    control: VecDeque<v1::UplinkRequest>,
    /// The stream number of each seat that is attached over this connection.
    attached: HashMap<u64, u64>,
    packets: VecDeque<Waiting>,
}

struct Waiting {
    since: Time,
    seat: u64,
    packet: v1::SpeakerPacket,
}

impl Lane {
    pub(super) fn new(dropped: Counter) -> Self {
        Self { state: Mutex::default(), out: AtomicWaker::new(), task: Notify::new(), dropped }
    }

    /// One more session; false if there are too many.
    pub(super) fn join(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.users < MAX_SEATS;
        state.users += usize::from(free);
        free
    }

    /// A seat is to be attached. Its session has joined, so arrivals are bounded.
    pub(super) fn arrive(&self, seat: Seat) {
        self.state.lock().arrived.push(seat);
        self.task.notify_one();
    }

    /// A session is over.
    pub(super) fn leave(&self, seat: u64) {
        let mut state = self.state.lock();
        state.users = state.users.saturating_sub(1);
        state.arrived.retain(|arrived| arrived.id != seat);
        state.gone.push(seat);
        state.forget(seat);
        drop(state);
        self.task.notify_one();
    }

    pub(super) fn users(&self) -> usize {
        self.state.lock().users
    }

    /// The seats that came and went since last asked.
    pub(super) fn changes(&self) -> (Vec<Seat>, Vec<u64>) {
        let mut state = self.state.lock();
        (std::mem::take(&mut state.arrived), std::mem::take(&mut state.gone))
    }

    /// Begins a connection with these messages; what an earlier one had to say is forgotten.
    pub(super) fn connect(self: &Arc<Self>, first: impl IntoIterator<Item = Message>) -> Outbound {
        let mut state = self.state.lock();
        state.connection += 1;
        state.open = true;
        state.attached.clear();
        state.control = first.into_iter().map(request).collect();
        Outbound { lane: self.clone(), connection: state.connection }
    }

    /// Ends the connection that there is: its stream of requests ends, which lets go of the stream as a whole.
    pub(super) fn disconnect(&self) {
        let mut state = self.state.lock();
        state.connection += 1;
        state.open = false;
        state.attached.clear();
        drop(state);
        self.out.wake();
    }

    /// Says something over the connection, if there is one: the next begins with what is so then. One message for each
    /// seat that comes or goes, so it is bounded as seats are.
    pub(super) fn say(&self, message: Message) {
        let mut state = self.state.lock();
        if state.open {
            state.control.push_back(request(message));
        }
        drop(state);
        self.out.wake();
    }

    /// The owner knows the seat: its packets go out, under this stream.
    pub(super) fn attach(&self, seat: u64, stream: u64) {
        self.state.lock().attached.insert(seat, stream);
        self.out.wake();
    }

    /// The seat is no more: its packets go nowhere.
    pub(super) fn forget(&self, seat: u64) {
        self.state.lock().forget(seat);
    }

    /// Puts a packet in the queue.
    pub(super) fn send(&self, seat: u64, packet: v1::SpeakerPacket) {
        let now = clock::now();
        let mut state = self.state.lock();
        let mut dropped = state.drop_old(now);
        let of_seat = |waiting: &&Waiting| waiting.seat == seat;
        if state.packets.iter().filter(of_seat).count() >= SEAT_PACKETS
            && let Some(oldest) = state.packets.iter().position(|waiting| waiting.seat == seat)
        {
            state.packets.remove(oldest);
            dropped += 1;
        }
        state.packets.push_back(Waiting { since: now, seat, packet });
        drop(state);
        self.dropped.inc_by(dropped);
        self.out.wake();
    }
}

impl State {
    fn forget(&mut self, seat: u64) {
        self.attached.remove(&seat);
        self.packets.retain(|waiting| waiting.seat != seat);
    }

    /// Drops packets that waited too long, and says how many.
    fn drop_old(&mut self, now: Time) -> u64 {
        let old = self.packets.iter().take_while(|waiting| now.since(waiting.since) > PACKET_AGE).count();
        self.packets.drain(..old);
        old as u64
    }

    fn next(&mut self) -> Option<v1::UplinkRequest> {
        if let Some(control) = self.control.pop_front() {
            return Some(control);
        }
        let ready = self.packets.iter().position(|waiting| self.attached.contains_key(&waiting.seat))?;
        let Waiting { seat, mut packet, .. } = self.packets.remove(ready)?;
        packet.stream = self.attached.get(&seat).copied()?;
        Some(request(Message::Packet(packet)))
    }
}

/// The requests of one connection, in order: what it begins with, then what there is to say, then packets.
pub(super) struct Outbound {
    lane: Arc<Lane>,
    connection: u64,
}

impl Stream for Outbound {
    type Item = v1::UplinkRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::UplinkRequest>> {
        self.lane.out.register(cx.waker());
        let mut state = self.lane.state.lock();
        if state.connection != self.connection {
            return Poll::Ready(None);
        }
        let dropped = state.drop_old(clock::now());
        let next = state.next();
        drop(state);
        self.lane.dropped.inc_by(dropped);
        next.map_or(Poll::Pending, |request| Poll::Ready(Some(request)))
    }
}

fn request(message: Message) -> v1::UplinkRequest {
    v1::UplinkRequest { message: Some(message) }
}
