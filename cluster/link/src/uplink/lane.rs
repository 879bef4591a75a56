//! What the sessions of one room and the task that holds its uplinks share: the speakers that are attached, and what is
//! on its way to the room's two origins. Sessions never wait here.
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
    attachment::{Attachment, detach},
    queue::{MAX_SPEAKERS, Queue},
    way::Way,
};

/// The shared state of one room's uplinks.
pub(super) struct Lane {
    state: Mutex<State>,
    /// Wakes the streams of requests.
    out: [AtomicWaker; 2],
    /// Told when a session has gone, and when the owner has taken or refused a speaker.
    changed: watch::Sender<()>,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    /// Sessions, and attaches that wait for an answer.
    users: usize,
    attachments: BTreeMap<u64, Attachment>,
    queues: [Queue; 2],
    /// Why nobody is attached any more.
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
        let free = state.users < MAX_SPEAKERS;
        state.users += usize::from(free);
        free
    }

    pub(super) fn users(&self) -> usize {
        self.state.lock().users
    }

    /// Told when a session has gone, and when the owner has taken or refused a speaker.
    pub(super) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A speaker is to be attached. Its session has joined, so arrivals are bounded. An earlier attachment of the
    /// participant is lost.
    pub(super) fn arrive(&self, attachment: Attachment) {
        let mut state = self.state.lock();
        if let Some(fault) = state.over.clone() {
            return attachment.lose(fault);
        }
        if let Some(earlier) = state.remove(attachment.participant()) {
            let detail = "a newer connection of this participant has taken its place";
            earlier.lose(Fault::new(Code::WrongState, detail));
        }
        state.ask(Way::Owner, &attachment);
        state.ask(Way::Mirror, &attachment);
        state.attachments.insert(attachment.id, attachment);
        drop(state);
        self.wake();
    }

    /// A session is over.
    pub(super) fn leave(&self, speaker: u64) {
        let mut state = self.state.lock();
        state.users = state.users.saturating_sub(1);
        if let Some(attachment) = state.attachments.remove(&speaker) {
            for queue in &mut state.queues {
                queue.detach(attachment.id, detach(attachment.participant(), attachment.stream));
            }
        }
        drop(state);
        self.wake();
        self.changed.send_replace(());
    }

    /// The stream of an attachment; 0 until it has one.
    pub(super) fn stream(&self, speaker: u64) -> u64 {
        self.state.lock().attachments.get(&speaker).map_or(0, |one| one.stream)
    }

    /// Begins a connection with a hello and every speaker that this origin may be asked to take; what an earlier one
    /// had to say is forgotten.
    pub(super) fn connect(self: &Arc<Self>, way: Way, hello: v1::UplinkHello) -> Outbound {
        let mut state = self.state.lock();
        let State { attachments, queues, .. } = &mut *state;
        let wanted = attachments.values().filter(|one| one.may_ask(way));
        let attaches = wanted.map(|one| (one.id, one.attach()));
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
    pub(super) fn send(&self, speaker: u64, packet: v1::SpeakerPacket) {
        let dropped = self.state.lock().send(stentor_clock::now(), speaker, packet);
        self.dropped.inc_by(dropped);
        self.wake();
    }

    /// An origin took a speaker. What the first one says is what the session is told.
    pub(super) fn attached(&self, way: Way, answer: &v1::SpeakerAttached) {
        let mut state = self.state.lock();
        state.attached(way, answer);
        drop(state);
        self.wake();
        if way == Way::Owner {
            self.changed.send_replace(());
        }
    }

    /// The owner refused a speaker, or took it off the stage.
    pub(super) fn refused(&self, answer: v1::SpeakerRefused) {
        let mut state = self.state.lock();
        let Some(id) = state.find(&answer.participant) else { return };
        state.queues[Way::Owner as usize].forget(id);
        if let Some(attachment) = state.attachments.remove(&id) {
            state.queues[Way::Mirror as usize]
                .detach(id, detach(attachment.participant(), attachment.stream));
            let code = answer.code.parse().unwrap_or(Code::Internal);
            attachment.lose(Fault::new(code, answer.detail));
        }
        drop(state);
        self.wake();
        self.changed.send_replace(());
    }

    /// The mirror refused a speaker, of whom it may not know yet.
    pub(super) fn refused_by_mirror(&self, participant: &str) {
        let mut state = self.state.lock();
        if let Some(id) = state.find(participant) {
            state.queues[Way::Mirror as usize].forget(id);
        }
    }

    /// Asks the mirror again to take the speakers that it refused.
    pub(super) fn ask_mirror_again(&self) {
        let mut state = self.state.lock();
        let State { attachments, queues, .. } = &mut *state;
        let mirror = &mut queues[Way::Mirror as usize];
        for attachment in attachments.values().filter(|one| one.may_ask(Way::Mirror)) {
            if !mirror.is_asked(attachment.id) {
                mirror.attach(attachment.id, attachment.attach());
            }
        }
        drop(state);
        self.wake();
    }

    /// Whether the owner has every speaker that was ever taken, and so needs nobody's help.
    pub(super) fn is_whole(&self) -> bool {
        let state = self.state.lock();
        let owner = &state.queues[Way::Owner as usize];
        state.attachments.values().filter(|one| one.stream > 0).all(|one| owner.stream(one.id).is_some())
    }

    /// Whether the mirror takes anyone's packets.
    pub(super) fn is_mirrored(&self) -> bool {
        let state = self.state.lock();
        state.attachments.keys().any(|speaker| state.queues[Way::Mirror as usize].stream(*speaker).is_some())
    }

    /// The stage for a speaker, from either origin: each slot once.
    pub(super) fn monitor(&self, monitor: v1::SpeakerMonitor) {
        let mut state = self.state.lock();
        if let Some(id) = state.find(&monitor.participant)
            && let Some(attachment) = state.attachments.get_mut(&id)
        {
            attachment.monitor(Slot(monitor.slot), monitor.opus);
        }
    }

    /// Something happened to a speaker.
    pub(super) fn event(&self, event: v1::ParticipantEvent) {
        let state = self.state.lock();
        if let Some(id) = state.find(&event.participant)
            && let Some(attachment) = state.attachments.get(&id)
        {
            attachment.tell(SpeakerEvent::Event(event));
        }
    }

    /// Tells every speaker that it is over, and takes no more.
    pub(super) fn end(&self, fault: &Fault) {
        let mut state = self.state.lock();
        state.over = Some(fault.clone());
        for (_, attachment) in std::mem::take(&mut state.attachments) {
            attachment.lose(fault.clone());
        }
    }

    fn wake(&self) {
        self.out.iter().for_each(AtomicWaker::wake);
    }
}

impl State {
    fn find(&self, participant: &str) -> Option<u64> {
        self.attachments.values().find(|one| one.participant().as_str() == participant).map(|one| one.id)
    }

    /// Takes a participant's attachment out, without a word to the origins: they are about to hear of another one.
    fn remove(&mut self, participant: &ParticipantId) -> Option<Attachment> {
        let id = self.find(participant.as_str())?;
        self.queues.iter_mut().for_each(|queue| queue.forget(id));
        self.attachments.remove(&id)
    }

    fn ask(&mut self, way: Way, attachment: &Attachment) {
        if attachment.may_ask(way) {
            self.queues[way as usize].attach(attachment.id, attachment.attach());
        }
    }

    fn attached(&mut self, way: Way, answer: &v1::SpeakerAttached) {
        let attachment = self.find(&answer.participant).and_then(|id| self.attachments.get_mut(&id));
        let Some(attachment) = attachment else {
            // It left while the origin was taking it.
            if let Ok(participant) = answer.participant.parse() {
                self.queues[way as usize].say_detach(detach(&participant, answer.stream));
            }
            return;
        };
        let rises = answer.stream > attachment.stream;
        attachment.given(answer);
        self.queues[way as usize].attached(attachment.id, attachment.stream);
        if rises {
            // The other origin is to know the speaker under the same stream.
            self.queues[way.other() as usize].attach(attachment.id, attachment.attach());
        }
    }

    /// Returns how many packets the owner's way dropped: those are heard if the mirror mixes, and else they are not.
    fn send(&mut self, now: Time, speaker: u64, packet: v1::SpeakerPacket) -> u64 {
        let [owner, mirror] = &mut self.queues;
        mirror.push(now, speaker, packet.clone());
        owner.push(now, speaker, packet)
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
        let dropped = queue.drop_old(stentor_clock::now());
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
