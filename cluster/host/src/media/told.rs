//! What the other origin of the room says, taken in.
//!
//! Each origin believes the other's frames by their epoch and lineage. The stage, the room's state and its events are the
//! owner's alone to tell: by its stream, and while that stands not, the stage and the state by its record.

use std::sync::Arc;

use stentor_ids::{Epoch, Slot};
use stentor_link::{Followed, Mirror, slot_by_clock};
use stentor_ownership::{Event, Successor};
use stentor_pace::WallTime;
use stentor_proto::v1::{self, follow_response::Message as Told};
use stentor_relay::{
    Heed, Way,
    origin::{Effect, Verdict, Word},
};

use super::run::Loop;
use crate::{
    driver::RoomDriver,
    message::Message,
    mirror::wire::{entry_of, frame_of, stage_of, state_of},
    status::Staged,
};

impl Loop {
    /// Takes in what came from the other origin.
    pub(super) fn told(&mut self, followed: Followed) {
        let now = self.now();
        match followed {
            Followed::Opened => {
                self.hosted.peer.heard(now);
                self.hosted.peer.learn(|known| known.connected = true);
                self.machine.opened();
                self.tell(Event::PeerStream);
            }
            Followed::Lost(fault) => {
                let mut broke = false;
                self.hosted.peer.learn(|known| broke = std::mem::take(&mut known.connected));
                if broke {
                    tracing::info!(room = %self.hosted.id, %fault, "the other origin is not heard any more");
                    self.tell(Event::PeerStream);
                } else {
                    tracing::debug!(room = %self.hosted.id, %fault, "the other origin is not heard");
                }
                self.machine.lost();
                self.heed_record();
            }
            Followed::Told(message) => {
                self.hosted.peer.heard(now);
                self.message(message);
            }
        }
    }

    fn message(&mut self, message: Told) {
        match message {
            Told::Frame(frame) => self.frame(frame),
            Told::Entry(entry) => match entry_of(entry) {
                Ok(entry) if !self.studio.is_open() => self.studio.log(self.now(), entry),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(room = %self.hosted.id, %error, "an entry of the mix log is refused")
                }
            },
            Told::Stage(stage) => match stage_of(&stage) {
                Ok(stage) => drop(self.heed(Way::Stream, &stage)),
                Err(error) => tracing::warn!(room = %self.hosted.id, %error, "a stage is refused"),
            },
            Told::Origin(state) => self.state(state),
            Told::Room(status) if self.machine.mirrors() => self.status(status),
            Told::Event(event) if self.machine.mirrors() => self.hosted.feed.event(event),
            Told::Levels(levels) if self.machine.mirrors() => self.hosted.feed.set_levels(levels),
            Told::Bans(bans) if self.machine.mirrors() => self.hosted.feed.take_bans(bans),
            Told::Fence(fence) => {
                let effects = self.machine.fence(Epoch(fence.epoch), Slot(fence.from_slot));
                self.perform(effects);
            }
            // Of an origin that takes itself for the owner, as this one does; their epochs decide.
            Told::Room(_) | Told::Event(_) | Told::Levels(_) | Told::Bans(_) => {}
        }
    }

    /// A slot that the other origin mixed: passed on as it is, if it counts.
    fn frame(&mut self, frame: v1::Frame) {
        let Some(frame) = frame_of(frame) else { return };
        let hosted = &self.hosted;
        let clock = || slot_by_clock(hosted.feed.status().as_deref());
        match self.machine.judge(stentor_clock::now(), &frame, clock) {
            Verdict::Refuse => self.refuse(),
            Verdict::Drop => {}
            Verdict::Pass => {
                let (now, inserted) = self.pass(&frame);
                let effects = self.machine.heard(now, &frame, inserted);
                self.perform(effects);
            }
        }
    }

    fn state(&mut self, state: v1::OriginState) {
        let state = state_of(state);
        let word = self.machine.told(state);
        if word == Word::Refused {
            return self.refuse();
        }
        self.hosted.peer.learn(|known| known.state = Some(state));
        if word == Word::Changed {
            self.tell(Event::PeerChanged);
        }
    }

    /// The owner's word on the room.
    fn status(&mut self, status: v1::RoomStatus) {
        let live = status.lifecycle() == v1::Lifecycle::Live;
        let ended = status.lifecycle() == v1::Lifecycle::Ended;
        if live {
            let since = u64::try_from(status.live_since_us).unwrap_or_default();
            self.become_live(WallTime::from_micros(since));
        }
        self.hosted.feed.take_status(Arc::new(status));
        if ended {
            self.tell(Event::OwnerEnded);
        }
    }

    /// Who may speak from the next slot on, as it comes this way. Says whether that counts.
    pub(super) fn heed(&mut self, way: Way, staged: &Staged) -> bool {
        match self.machine.stage(way, staged.id()) {
            Heed::Take => {
                self.studio.set_stage(staged.stage.clone());
                self.hosted.tell_stage(staged);
                true
            }
            Heed::Leave => false,
            Heed::Refuse => {
                self.refuse();
                false
            }
        }
    }

    /// What the owner has committed, where that is to be heeded. It may be said again.
    pub(super) fn heed_record(&mut self) {
        let Some(recorded) = self.steer.recorded.clone() else { return };
        if !self.machine.heeds(Way::Record) {
            return;
        }
        if self.heed(Way::Record, &recorded.stage) {
            let (room, version) = (&self.hosted.id, recorded.stage.stage.version);
            tracing::info!(%room, version, "the stage is taken from the record; the owner is not heard");
        }
        self.hosted.feed.take_status(recorded.status.clone());
    }

    fn tell(&self, event: Event<RoomDriver>) {
        // The actor is gone, and this loop with it: the next one looks how things are.
        drop(self.actor.cast(Message::Told(event)));
    }

    /// The other origin says what cannot be.
    fn refuse(&self) {
        self.origin.metrics.reports_refused().inc();
    }

    fn perform(&mut self, effects: Vec<Effect<Mirror>>) {
        for effect in effects {
            match effect {
                Effect::Refused => self.refuse(),
                Effect::Fence { epoch, from } => {
                    // Its readers hear of it by the feed.
                    self.hosted.feed.fence(epoch, from);
                }
                Effect::Claimed { by, epoch, from } => {
                    let successor = Successor { node: by.node, epoch, from_slot: from };
                    self.tell(Event::Claimed(successor));
                }
                Effect::StepDown { slot, lineage } => {
                    tracing::info!(room = %self.hosted.id, %slot, %lineage, "the other origin leads; this one keeps");
                    self.keep();
                    // At once: until it knows, the other takes this one for a leader too.
                    self.say();
                }
            }
        }
    }
}
