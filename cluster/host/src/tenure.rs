//! A room's owner staying the owner, and ceasing to be: it puts its key back when that went with a lease, gives way to one
//! that claimed the room, or ends it.
//!
//! A claim takes effect at a slot. The old owner goes on up to it, tells the edges a little before it, and closes its feed
//! when the last of its slots is out. It never commits again once it knows of the claim.

use std::time::Duration;

use ractor::ActorProcessingErr;
use stentor_directory::{Error, Owner, Ownership};
use stentor_ids::{Epoch, Fault, NodeId, SLOT_DURATION, Slot};
use stentor_link::Closed;

use crate::{
    actor::{Message, State},
    heir::{Heir, Leaving, response},
    hosted::Seat,
    media::Outcome,
    origin::{moved, restarting},
    supervisor::release,
};

/// Furthest ahead that an old owner goes on to a claim's first slot. A slot further away is of a clock gone wrong, and
/// waiting for it would leave the room with two owners.
const LONGEST_RETIREMENT: u64 = 250;
/// How long before the claim's first slot the edges bring their speakers to the new owner: what is under way to the old
/// one and held back there fills the slots up to it.
const RELOCATE_AHEAD: Duration = Duration::from_millis(60);

/// Who owns the room after this node.
#[derive(Debug, Clone)]
pub(crate) struct Successor {
    pub(crate) node: NodeId,
    pub(crate) epoch: Epoch,
    pub(crate) from_slot: Slot,
}

impl From<Owner> for Successor {
    fn from(owner: Owner) -> Self {
        Self { node: owner.node, epoch: owner.epoch, from_slot: owner.from_slot }
    }
}

impl State {
    /// Another node owns the room.
    pub(crate) fn claimed(&mut self, successor: Successor) {
        if !self.hosted.is_owned() || successor.epoch <= self.hosted.epoch() {
            return;
        }
        match std::mem::replace(&mut self.leaving, Leaving::No) {
            Leaving::Retiring(known) if known.epoch >= successor.epoch => {
                self.leaving = Leaving::Retiring(known);
                return;
            }
            Leaving::Asked { to, reply } if to == successor.node => {
                self.answer_hand_off(reply, Ok(response(&successor)));
            }
            Leaving::Asked { reply, .. }
            | Leaving::Settling(Heir { reply, .. })
            | Leaving::Preparing(Heir { reply, .. }, _) => {
                self.answer_hand_off(reply, Err(moved(&self.hosted.id, &successor.node)));
            }
            Leaving::No | Leaving::Retiring(_) => {}
        }
        self.retire(successor);
    }

    /// It is time for the edges to go over.
    pub(crate) fn relocate(&self) {
        if let Leaving::Retiring(successor) = &self.leaving {
            self.hosted.edges.moved(&successor.node, successor.epoch);
        }
    }

    /// The media loop ended by itself: as planned, or as a panic of the room.
    pub(crate) fn media_ended(&mut self, outcome: Outcome) -> Result<(), ActorProcessingErr> {
        match (&self.leaving, outcome) {
            (Leaving::Retiring(successor), _) => {
                let successor = successor.clone();
                self.leave(&successor);
                Ok(())
            }
            (_, Outcome::Done) if self.hosted.is_owned() => {
                Err("the media loop has ended, and the room stays".into())
            }
            (_, Outcome::Done) => {
                self.stepped_aside();
                Ok(())
            }
            (_, Outcome::Failed(error)) => Err(format!("the media loop failed: {error}").into()),
        }
    }

    /// The key is gone with its lease: puts it back, unless somebody claimed the room.
    pub(crate) fn reassert(&mut self) {
        if !self.hosted.is_owned() {
            return self.mirror_again();
        }
        self.unowned = true;
        let Ok(session) = self.origin.session() else { return };
        if self.reasserting || !matches!(self.leaving, Leaving::No) {
            return;
        }
        self.reasserting = true;
        let Some(ownership) = self.hosted.ownership() else { return };
        let origin = self.origin.clone();
        let (record, myself) = (self.ledger.room().record().encode(), self.myself.clone());
        tokio::spawn(async move {
            let outcome = origin.directory.reassert(&session, &ownership, record).await;
            // The actor is gone: then the room is not ours to hold.
            drop(myself.cast(Message::Reasserted(outcome)));
        });
    }

    pub(crate) fn reasserted(&mut self, outcome: Result<Ownership, Error>) {
        self.reasserting = false;
        match outcome {
            Ok(ownership) => {
                tracing::info!(room = %self.hosted.id, epoch = %ownership.epoch(), "the owner key is back");
                self.hosted.keep(|kept| kept.seat = Seat::Owner(ownership));
                self.unowned = false;
                // With the key went the record; what is beside it may be gone or older as well.
                let steps = self.ledger.save_again();
                self.carry_out(steps);
            }
            Err(Error::Fenced { owner: Some(owner), .. }) => self.claimed(owner.into()),
            Err(Error::Fenced { owner: None, .. }) => self.stop(),
            Err(error) => tracing::warn!(room = %self.hosted.id, %error, "the owner key is not back yet"),
        }
    }

    /// The room is over.
    pub(crate) fn end(&mut self) {
        tracing::info!(room = %self.hosted.id, "the room has ended");
        self.hosted.edges.ended();
        self.close(Closed::Ended);
        let (origin, hosted) = (self.origin.clone(), self.hosted.clone());
        tokio::spawn(async move { release(&origin, &hosted).await });
    }

    /// The node stops, or nobody knows who is to own the room.
    pub(crate) fn stop(&mut self) {
        self.abandon(&restarting(&self.hosted.id));
        self.hosted.edges.look_elsewhere(&self.origin.me, self.hosted.epoch());
        self.close(Closed::Moved);
    }

    /// Commits nothing more, and goes on up to the successor's first slot.
    pub(crate) fn retire(&mut self, successor: Successor) {
        tracing::info!(
            room = %self.hosted.id, to = %successor.node, epoch = %successor.epoch,
            from_slot = %successor.from_slot, "the room goes to another node"
        );
        self.origin.metrics.epoch_changes().inc();
        self.abandon(&moved(&self.hosted.id, &successor.node));
        let next = self.hosted.newest().unwrap_or_default().next();
        let ahead = successor.from_slot.since(next);
        match &self.media {
            Some(media) if (1..=LONGEST_RETIREMENT).contains(&ahead) => {
                media.end_at(successor.from_slot);
                let wait = SLOT_DURATION * u32::try_from(ahead).unwrap_or(u32::MAX);
                self.myself.send_after(wait.saturating_sub(RELOCATE_AHEAD), || Message::Relocate);
                self.leaving = Leaving::Retiring(successor);
            }
            _ => self.leave(&successor),
        }
    }

    fn leave(&mut self, successor: &Successor) {
        self.hosted.edges.moved(&successor.node, successor.epoch);
        self.hosted.feed.fence(successor.epoch, successor.from_slot);
        self.close(Closed::Moved);
    }

    /// Stops the audio, lets everyone go, and stops the actor.
    pub(crate) fn close(&mut self, closed: Closed) {
        (self.media, self.detector) = (None, None);
        self.origin.rooms.remove(&self.hosted);
        self.hosted.close(closed);
        self.myself.stop(None);
    }

    pub(crate) fn abandon(&mut self, fault: &Fault) {
        for (to, outcome) in self.ledger.abandon(fault) {
            self.answer(to, outcome);
        }
    }
}
