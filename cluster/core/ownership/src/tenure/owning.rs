//! What an owner's tenure does about what it is told: it stays, hands the room over, or gives way.

use stentor_ids::{NodeId, SLOT_DURATION};

use super::{
    going::Retiring,
    state::{State, Tenure},
    transfer::{Goes, Transfer},
};
use crate::{
    Driver, Effect, End, Errand, Here, NotBack, Successor, refusal,
    timing::{LONGEST_RETIREMENT, REDIRECT_AHEAD},
};

impl<D: Driver> Tenure<D> {
    /// An errand of the owner's ended.
    pub(super) fn owner_done(&mut self, here: &Here, errand: Errand, end: End<D>) {
        let State::Owner(owner) = &mut self.state else { return };
        if !owner.put_back.ended(errand) {
            return self.transfer_done(here, errand, end);
        }
        let outcome = match end {
            End::OwnerBack(outcome) => outcome,
            _ => Err(NotBack::NotYet),
        };
        match owner.put_back(here, &mut self.desk, outcome) {
            Ok(()) | Err(NotBack::NotYet | NotBack::OwnsIt) => {}
            Err(NotBack::Other(owner)) => self.claimed(here, (&owner).into()),
            // The room was claimed and let go since: nobody knows who is to own it.
            Err(NotBack::Superseded) => self.stop(),
        }
    }

    /// The room is to go to another node.
    pub(super) fn transfer(&mut self, here: &Here, to: Option<NodeId>, ranked: &[NodeId], asker: D::Asker) {
        let desk = &mut self.desk;
        let outcome = match &self.state {
            State::Owner(owner) => owner.heir(here, desk, to, ranked),
            State::Retiring(_) => Err(refusal::going_already(&desk.room)),
            State::Mirror(mirror) => Err(refusal::mirrored_only(&desk.room, &mirror.owner.node)),
            State::Over(_) => Err(refusal::restarting(&desk.room)),
        };
        match (&mut self.state, outcome) {
            (State::Owner(owner), Ok(heir)) => {
                desk.ask([Effect::CloseBooks(refusal::moved(&desk.room, &heir))]);
                owner.transfer = Some(Transfer::begin(heir, asker));
            }
            (_, Err(fault)) => desk.ask([Effect::Transferred(asker, Err(fault))]),
            (_, Ok(_)) => {}
        }
    }

    /// An errand of the transfer ended.
    fn transfer_done(&mut self, here: &Here, errand: Errand, end: End<D>) {
        let State::Owner(owner) = &mut self.state else { return };
        match owner.transfer.take().map(|transfer| transfer.done(here, &mut self.desk, errand, end)) {
            Some(Goes::On(transfer)) => owner.transfer = transfer,
            Some(Goes::To(successor)) => self.retire(here, successor),
            None => {}
        }
    }

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
        let held = match &self.state {
            State::Owner(owner) => owner.held.clone(),
            State::Retiring(retiring) => retiring.held.clone(),
            State::Mirror(_) | State::Over(_) => return,
        };
        self.desk.withdraw_bid();
        let fault = refusal::moved(&self.desk.room, &successor.node);
        self.desk.ask([Effect::TellSuccessor(successor.clone()), Effect::AbandonBooks(fault)]);
        let next = here.newest.unwrap_or_default().next();
        let ahead = successor.from_slot.since(next);
        if !here.live || !(1..=LONGEST_RETIREMENT).contains(&ahead) {
            return self.give_way(&successor);
        }
        // Whether or not it mirrored the room: from its claim on it is who says who may speak.
        self.desk.ask([Effect::Follow(Some(successor.node.clone())), Effect::EndAt(successor.from_slot)]);
        let wait = SLOT_DURATION * u32::try_from(ahead).unwrap_or(u32::MAX);
        let redirect = Some(here.now + wait.saturating_sub(REDIRECT_AHEAD));
        self.state = State::Retiring(Retiring { held, successor, redirect });
    }
}
