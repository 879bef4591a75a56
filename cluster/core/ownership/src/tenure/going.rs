//! A room that leaves this node. A claim takes effect at a slot: the old owner goes on up to it, sends the edges on a little
//! before, and lets everyone go when the last of its slots is out. It commits nothing from when it knows of the claim.

use stentor_ids::{NodeId, SLOT_DURATION};
use stentor_pace::{Deadline, Time};

use super::{Desk, Pending, State, Tenure, Wake, transfer::Transfer};
use crate::{
    Driver, Effect, Errand, Here, Left, OwnerHeld, Successor, refusal,
    timing::{LONGEST_RETIREMENT, REDIRECT_AHEAD},
};

/// A room that goes at its successor's first slot.
pub(super) struct Retiring<D: Driver> {
    pub(super) held: OwnerHeld<D>,
    pub(super) mirror: Option<NodeId>,
    successor: Successor,
    /// When edges are sent to the successor; `None` once they are.
    redirect: Option<Time>,
}

impl<D: Driver> Retiring<D> {
    pub(super) fn poll(&mut self, here: &Here, desk: &mut Desk<D>) {
        if self.redirect.take_if(|at| *at <= here.now).is_some() {
            desk.ask([Effect::Redirect(self.successor.node.clone(), self.successor.epoch)]);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        self.redirect.map(|at| Deadline::new(at, Wake::Redirect))
    }
}

/// A room that is not here any more.
#[derive(Debug, Default)]
pub(super) struct Over {
    /// Its key is being given up.
    release: Option<Pending>,
}

impl Over {
    pub(super) fn poll<D: Driver>(&mut self, here: &Here, desk: &mut Desk<D>) {
        if self.release.take_if(|release| release.until <= here.now).is_some() {
            desk.ask([Effect::Aside, Effect::Stop]);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        Pending::deadline(self.release)
    }

    pub(super) fn released<D: Driver>(&mut self, errand: Errand, desk: &mut Desk<D>) {
        if self.release.take_if(|release| release.errand == errand).is_some() {
            desk.ask([Effect::Aside, Effect::Stop]);
        }
    }
}

impl<D: Driver> Tenure<D> {
    /// Another node owns the room.
    pub(super) fn claimed(&mut self, here: &Here, successor: Successor) {
        let known = match &self.state {
            State::Owner(owner) => owner.held.key.epoch,
            State::Retiring(retiring) => retiring.successor.epoch,
            State::Mirror(_) | State::Over(_) => return,
        };
        if successor.epoch > known {
            if let Some(transfer) = self.take_transfer() {
                transfer.overtaken(&mut self.desk, &successor);
            }
            self.retire(here, successor);
        }
    }

    /// Commits nothing more, and goes on up to the successor's first slot.
    pub(super) fn retire(&mut self, here: &Here, successor: Successor) {
        let (held, mirror) = match &mut self.state {
            State::Owner(owner) => (owner.held.clone(), owner.mirror().cloned()),
            State::Retiring(retiring) => (retiring.held.clone(), retiring.mirror.clone()),
            State::Mirror(_) | State::Over(_) => return,
        };
        let fault = refusal::moved(&self.desk.room, &successor.node);
        self.desk.ask([Effect::TellSuccessor(successor.clone()), Effect::AbandonBooks(fault)]);
        let next = here.newest.unwrap_or_default().next();
        let ahead = successor.from_slot.since(next);
        if !here.live || !(1..=LONGEST_RETIREMENT).contains(&ahead) {
            return self.give_way(&successor);
        }
        self.desk.ask([Effect::EndAt(successor.from_slot)]);
        let wait = SLOT_DURATION * u32::try_from(ahead).unwrap_or(u32::MAX);
        let redirect = Some(here.now + wait.saturating_sub(REDIRECT_AHEAD));
        self.state = State::Retiring(Retiring { held, mirror, successor, redirect });
    }

    /// The audio has come to its end.
    pub(super) fn audio_done(&mut self, here: &Here) {
        match &self.state {
            State::Retiring(retiring) => {
                let successor = retiring.successor.clone();
                self.give_way(&successor);
            }
            State::Owner(_) => {
                self.desk.ask([Effect::Fail("the media loop has ended, and the room stays".to_owned())]);
            }
            State::Mirror(_) => self.give_up(here, Left::Moved),
            State::Over(_) => {}
        }
    }

    /// The audio has failed.
    pub(super) fn audio_failed(&mut self, error: String) {
        match &self.state {
            // Its successor goes on.
            State::Retiring(retiring) => {
                let successor = retiring.successor.clone();
                self.give_way(&successor);
            }
            State::Owner(_) | State::Mirror(_) => {
                self.desk.ask([Effect::Fail(format!("the media loop failed: {error}"))]);
            }
            State::Over(_) => {}
        }
    }

    /// The room has ended, as its owner decided.
    pub(super) fn room_ended(&mut self, here: &Here) {
        if self.is_owner() {
            let fault = refusal::restarting(&self.desk.room);
            self.desk.ask([Effect::TellEnded, Effect::AbandonBooks(fault)]);
            self.give_up(here, Left::Ended);
        }
    }

    /// The node stops, or nobody knows who is to own the room.
    pub(super) fn stop(&mut self) {
        if self.is_over() {
            return;
        }
        let fault = refusal::restarting(&self.desk.room);
        self.desk.ask([Effect::AbandonBooks(fault), Effect::Dismiss]);
        self.leave(Left::Moved);
    }

    /// Lets everyone go to the successor.
    fn give_way(&mut self, successor: &Successor) {
        self.desk.ask([
            Effect::Redirect(successor.node.clone(), successor.epoch),
            Effect::Fence(successor.clone()),
        ]);
        self.leave(Left::Moved);
    }

    /// Lets everyone go, and gives the key up.
    pub(super) fn give_up(&mut self, here: &Here, left: Left) {
        let Some(standing) = self.standing() else { return };
        self.leave_but_for(left, |desk| Some(desk.send(here, |errand| Effect::Release(errand, standing))));
    }

    /// Lets everyone go. The key is another's, or is left to its lease.
    pub(super) fn leave(&mut self, left: Left) {
        self.leave_but_for(left, |_| None);
    }

    fn leave_but_for(&mut self, left: Left, release: impl FnOnce(&mut Desk<D>) -> Option<Pending>) {
        if let Some(transfer) = self.take_transfer() {
            transfer.abandoned(&mut self.desk);
        }
        if let State::Mirror(mirror) = &mut self.state {
            mirror.abandon_claim(&mut self.desk);
        }
        self.desk.ask([Effect::Leave(left)]);
        let release = release(&mut self.desk);
        if release.is_none() {
            self.desk.ask([Effect::Aside, Effect::Stop]);
        }
        self.state = State::Over(Over { release });
    }

    fn take_transfer(&mut self) -> Option<Transfer<D>> {
        match &mut self.state {
            State::Owner(owner) => owner.transfer.take(),
            State::Mirror(_) | State::Retiring(_) | State::Over(_) => None,
        }
    }
}
