//! A room that leaves this node: its successor's first slot has come, it has ended, the node stops, or another mirrors it.

use super::{
    desk::Desk,
    going::Over,
    pending::Pending,
    state::{State, Tenure},
    transfer::Transfer,
};
use crate::{Driver, Effect, Here, Left, Successor, refusal};

impl<D: Driver> Tenure<D> {
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
    pub(super) fn give_way(&mut self, successor: &Successor) {
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
        let claim = match &mut self.state {
            State::Mirror(mirror) => mirror.abandon_claim(&mut self.desk),
            State::Owner(_) | State::Retiring(_) | State::Over(_) => None,
        };
        self.desk.withdraw_bid();
        self.desk.ask([Effect::Leave(left)]);
        let over = Over { release: release(&mut self.desk), claim };
        over.stop(&mut self.desk);
        self.state = State::Over(over);
    }

    pub(super) fn take_transfer(&mut self) -> Option<Transfer<D>> {
        match &mut self.state {
            State::Owner(owner) => owner.transfer.take(),
            State::Mirror(_) | State::Retiring(_) | State::Over(_) => None,
        }
    }
}
