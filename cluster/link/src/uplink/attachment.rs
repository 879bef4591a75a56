//! A speaker's attachment as the edge holds it: what its session is told, and what the origins are asked.

use bytes::Bytes;
use stentor_ids::{Code, Fault, ParticipantId, Slot};
use stentor_proto::{
    required, role_held, role_to_wire,
    v1::{self, uplink_request::Message},
};
use tokio::sync::{mpsc, oneshot};

use super::{Attached, Speaker, SpeakerEvent, way::Way};

/// Events that a session may leave lying: over a second of monitor frames. Beyond [`EVENTS`]` - `[`EVENTS_KEPT`] monitor
/// frames are let go, so that the rest has a place.
const EVENTS: usize = 96;
/// Places that monitor frames do not take.
const EVENTS_KEPT: usize = 32;

/// One speaker's attachment, over all connections to origins.
pub(super) struct Attachment {
    pub(super) id: u64,
    speaker: Speaker,
    /// What an origin gave, or is asked to give again; 0 until there is one.
    pub(super) stream: u64,
    /// Who waits to be attached.
    waiting: Option<oneshot::Sender<Result<Attached, Fault>>>,
    events: mpsc::Sender<SpeakerEvent>,
    /// The newest slot of the stage that it was given.
    monitored: Option<Slot>,
}

/// What the session of an attachment hears: the answer, then events.
pub(super) struct SessionSide {
    pub(super) answer: oneshot::Receiver<Result<Attached, Fault>>,
    pub(super) events: mpsc::Receiver<SpeakerEvent>,
}

impl Attachment {
    /// A speaker that is to be attached, under the stream to resume if there is one.
    pub(super) fn new(id: u64, speaker: Speaker, resume: Option<u64>) -> (Self, SessionSide) {
        let (events, events_out) = mpsc::channel(EVENTS);
        let (waiting, answer) = oneshot::channel();
        let (waiting, stream) = (Some(waiting), resume.unwrap_or_default());
        let attachment = Self { id, speaker, stream, waiting, events, monitored: None };
        (attachment, SessionSide { answer, events: events_out })
    }

    pub(super) const fn participant(&self) -> &ParticipantId {
        &self.speaker.participant
    }

    /// Whether this origin may be asked: a mirror takes those who have a stream already.
    pub(super) fn may_ask(&self, way: Way) -> bool {
        way == Way::Owner || self.stream > 0
    }

    /// What asks an origin to take the speaker.
    pub(super) fn attach(&self) -> Message {
        Message::Attach(v1::SpeakerAttach {
            participant: self.participant().to_string(),
            name: self.speaker.name.clone(),
            role: role_to_wire(self.speaker.role).into(),
            monitor: self.speaker.monitor,
            stream: self.stream,
        })
    }

    /// An origin took the speaker.
    pub(super) fn given(&mut self, answer: &v1::SpeakerAttached) {
        self.stream = self.stream.max(answer.stream);
        if let Some(waiting) = self.waiting.take() {
            let role = required(role_held(answer.role), "role");
            let attached = role.map(|role| Attached { stream: self.stream, role, muted: answer.muted });
            // Who waited may have gone; then the speaker is let go with it.
            let _ = waiting.send(attached.map_err(Fault::from));
        }
    }

    /// The stage in a slot, unless it or a newer one came before.
    pub(super) fn monitor(&mut self, slot: Slot, opus: Bytes) {
        if self.monitored < Some(slot) {
            self.monitored = Some(slot);
            if self.events.capacity() > EVENTS_KEPT {
                self.tell(SpeakerEvent::Monitor { slot, opus });
            }
        }
    }

    /// What does not fit is let go; the session's end is told by the channel's end as well.
    pub(super) fn tell(&self, event: SpeakerEvent) {
        let _ = self.events.try_send(event);
    }

    pub(super) fn lose(mut self, fault: Fault) {
        match self.waiting.take() {
            Some(waiting) => {
                let _ = waiting.send(Err(fault));
            }
            None if fault.code == Code::RoomEnded => self.tell(SpeakerEvent::Ended),
            None => self.tell(SpeakerEvent::Lost(fault)),
        }
    }
}

/// What ends an attachment.
pub(super) fn detach(participant: &ParticipantId, stream: u64) -> Message {
    Message::Detach(v1::SpeakerDetach { participant: participant.to_string(), stream })
}
