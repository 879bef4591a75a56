//! What the other origin of the room says, taken in.
//!
//! Each origin believes the other's frames by their epoch and lineage. The stage, the room's state and its events are the
//! owner's alone to tell.

use std::sync::Arc;

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_link::{Followed, clock};
use stentor_pace::WallTime;
use stentor_proto::v1::{self, follow_response::Message as Told};
use stentor_relay::{Heard, Inserted, can_be_epoch, can_be_lineage};

use super::run::Loop;
use crate::{
    actor::Message,
    mirror::{entry_of, frame_of, stage_of},
    tenure::Successor,
};

impl Loop {
    /// Takes in what came from the other origin.
    pub(super) fn told(&mut self, followed: Followed) {
        let now = self.now();
        match followed {
            Followed::Opened => {
                self.hosted.peer.heard(now);
                self.hosted.peer.learn(|known| known.connected = true);
            }
            Followed::Lost(fault) => {
                let mut broke = false;
                self.hosted.peer.learn(|known| broke = std::mem::take(&mut known.connected));
                if broke {
                    tracing::info!(room = %self.hosted.id, %fault, "the other origin is not heard any more");
                } else {
                    tracing::debug!(room = %self.hosted.id, %fault, "the other origin is not heard");
                }
                if let Some(leadership) = &mut self.leadership {
                    leadership.lost();
                }
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
            Told::Stage(stage) if self.mirrors() => match stage_of(&stage) {
                Ok(stage) => self.studio.set_stage(Arc::new(stage)),
                Err(error) => tracing::warn!(room = %self.hosted.id, %error, "a stage is refused"),
            },
            Told::Origin(state) => self.state(state),
            Told::Room(status) if self.mirrors() => self.status(status),
            Told::Event(event) if self.mirrors() => self.hosted.feed.event(event),
            Told::Levels(levels) if self.mirrors() => self.hosted.feed.set_levels(levels),
            Told::Bans(bans) if self.mirrors() => self.hosted.feed.take_bans(bans),
            Told::Fence(fence) => self.fence(Epoch(fence.epoch), Slot(fence.from_slot)),
            // Of an origin that takes itself for the owner, as this one does; their epochs decide.
            Told::Stage(_) | Told::Room(_) | Told::Event(_) | Told::Levels(_) | Told::Bans(_) => {}
        }
    }

    /// A slot that the other origin mixed: passed on as it is, if it counts.
    fn frame(&mut self, frame: v1::Frame) {
        let Some(frame) = frame_of(frame) else { return };
        let (slot, lineage) = (frame.slot, frame.lineage);
        let reign = self.steer.reign;
        if !can_be_epoch(reign.epoch, frame.epoch) || !can_be_lineage(reign.epoch, lineage) {
            return self.refuse();
        }
        if (frame.epoch < reign.epoch && slot >= reign.from) || !self.believes(slot) {
            return;
        }
        if self.pass(&frame) == Inserted::Fenced {
            return;
        }
        // A frame of a higher epoch is a claim by itself.
        self.fence(frame.epoch, slot);
        let now = self.now();
        let Some(leadership) = &mut self.leadership else { return };
        if leadership.heard(now, slot, lineage) == Heard::StepDown {
            tracing::info!(room = %self.hosted.id, %slot, %lineage, "the other origin leads; this one keeps");
            self.keep();
            self.say_now();
        }
    }

    /// Whether a slot can be true.
    fn believes(&mut self, slot: Slot) -> bool {
        let (now, hosted) = (self.now(), &self.hosted);
        self.ceiling.admits(now, slot, || clock::slot(hosted.feed.status().as_deref()))
    }

    fn state(&mut self, state: v1::OriginState) {
        let lineage = Lineage(state.lineage);
        if !can_be_lineage(self.steer.reign.epoch, lineage) {
            return self.refuse();
        }
        // What it has led, and this one may not have heard, is not begun here a second time.
        if let Some(leadership) = self.leadership.as_mut().filter(|leadership| leadership.leads().is_none()) {
            leadership.saw(lineage);
        }
        let ready = |known: &crate::peer::Known| known.state.map(|state| (state.ready, state.leads));
        let mut changed = false;
        self.hosted.peer.learn(|known| {
            let before = ready(known);
            known.state = Some(state);
            changed = ready(known) != before;
        });
        if changed {
            // The actor is gone: the next one tells the room as it is.
            drop(self.actor.cast(Message::PeerChanged));
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
        self.hosted.feed.set_status(Arc::new(status));
        if ended {
            // The actor is gone, and the room with it.
            drop(self.actor.cast(Message::OwnerEnded));
        }
    }

    /// The other origin says what cannot be.
    fn refuse(&self) {
        self.origin.metrics.reports_refused().inc();
    }

    /// A claim that the other origin knows of.
    fn fence(&mut self, epoch: Epoch, from_slot: Slot) {
        if epoch <= self.steer.reign.epoch {
            return;
        }
        if !can_be_epoch(self.steer.reign.epoch, epoch) {
            return self.refuse();
        }
        self.hosted.feed.fence(epoch, from_slot);
        if self.mirrors() {
            self.learn_reign(epoch, from_slot);
        } else if let Some(peer) = &self.steer.peer {
            let successor = Successor { node: peer.node.clone(), epoch, from_slot };
            // The actor is gone, and the room with it.
            drop(self.actor.cast(Message::Claimed(successor)));
        }
    }
}
