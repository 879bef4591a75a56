//! Staying the owner: what the view says to it, who mirrors the room, and a key that went with its lease.

use stentor_ids::{Fault, NodeId, Revision};
use stentor_pace::Deadline;

use super::{
    desk::{Desk, PutBack},
    pending::Wake,
    transfer::Transfer,
};
use crate::{
    Books, Driver, Effect, Here, NotBack, OwnerHeld, OwnerKey, Successor, refusal, timing::PUT_BACK_AGAIN,
};

/// A room that this node owns.
pub(super) struct Owner<D: Driver> {
    pub(super) held: OwnerHeld<D>,
    /// Who mirrors the room, and where that is reached.
    pub(super) mirror: Option<(NodeId, String)>,
    pub(super) put_back: PutBack,
    pub(super) transfer: Option<Transfer<D>>,
    /// The bid of another node that this one has answered: each is answered once.
    answered: Option<(NodeId, Revision)>,
}

impl<D: Driver> Owner<D> {
    pub(super) fn new(desk: &Desk<D>, held: OwnerHeld<D>) -> Self {
        Self { held, mirror: desk.mirror(), put_back: PutBack::default(), transfer: None, answered: None }
    }

    pub(super) fn mirror(&self) -> Option<&NodeId> {
        self.mirror.as_ref().map(|(node, _)| node)
    }

    /// What the view shows. Gives a successor if there is one.
    pub(super) fn look(&mut self, here: &Here, desk: &mut Desk<D>) -> Option<Successor> {
        match desk.shown.owner() {
            Some(owner) if owner.epoch > self.held.key.epoch => return Some(owner.into()),
            Some(owner) if *owner == self.held.key => self.mirrored(desk),
            // No owner, or an older one: the directory lost this one's key, or went back to a state from before it.
            _ if desk.shown.is_after(self.held.written) => self.put_back.gone(here.now),
            _ => {}
        }
        None
    }

    pub(super) fn poll(&mut self, here: &Here, desk: &mut Desk<D>) {
        let mirror = self.mirror().cloned();
        self.transfer =
            self.transfer.take().and_then(|transfer| transfer.advance(here, desk, mirror.as_ref()));
        self.answer(here, desk);
        // A room that goes is the heir's to hold.
        if self.transfer.is_none() && self.put_back.is_due(here.now) {
            let right = self.held.right.clone();
            self.put_back.pending = Some(desk.send(here, |errand| Effect::PutBackOwner(errand, right)));
            self.put_back.next = Some(here.now + PUT_BACK_AGAIN);
        }
    }

    /// Bids in answer to another node, and withdraws that when the other has withdrawn its own.
    fn answer(&mut self, here: &Here, desk: &mut Desk<D>) {
        let epoch = self.held.key.epoch;
        let others = desk.shown.bids().filter(|bid| bid.node != desk.me && bid.epoch == epoch);
        let other = others.max_by_key(|bid| bid.revision).map(|bid| (bid.node.clone(), bid.revision));
        if other.is_none() {
            desk.withdraw_bid();
        } else if other == self.answered || !desk.bid(here, epoch) {
            return;
        }
        self.answered = other;
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        match &self.transfer {
            Some(transfer) => transfer.next_deadline(),
            None => self.put_back.next_deadline(),
        }
    }

    /// The room has another mirror, or none, or the same elsewhere.
    fn mirrored(&mut self, desk: &mut Desk<D>) {
        let mirror = desk.mirror();
        if self.mirror == mirror {
            return;
        }
        self.mirror = mirror;
        let node = self.mirror().cloned();
        // Edges that are there are told after all who follow the room: one that comes meanwhile reads the status.
        desk.ask([Effect::Follow(node.clone()), Effect::TellMirror(node), Effect::TellPeer]);
    }

    /// The putting back ended. Gives whom the room belongs to, if not to this node.
    pub(super) fn put_back(
        &mut self,
        here: &Here,
        desk: &mut Desk<D>,
        outcome: Result<OwnerHeld<D>, NotBack<OwnerKey>>,
    ) -> Result<(), NotBack<OwnerKey>> {
        match outcome {
            Ok(held) => {
                self.held = held;
                self.put_back.next = None;
                // With the key went the record; what is beside it may be gone or older as well.
                desk.ask([Effect::Publish, Effect::SaveAgain]);
                Ok(())
            }
            Err(NotBack::NotYet) => {
                self.put_back.next = Some(here.now + PUT_BACK_AGAIN);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    /// Who is to take the room: by preference its mirror, which needs no time.
    pub(super) fn heir(
        &self,
        here: &Here,
        desk: &Desk<D>,
        to: Option<NodeId>,
        ranked: &[NodeId],
    ) -> Result<NodeId, Fault> {
        if self.transfer.is_some() {
            return Err(refusal::going_already(&desk.room));
        }
        if self.put_back.is_gone() {
            return Err(refusal::key_gone());
        }
        if let Books::Away(fault) = &here.books {
            return Err(fault.clone());
        }
        match to {
            Some(to) => {
                ranked.iter().find(|node| **node == to).cloned().ok_or_else(|| refusal::does_not_take(&to))
            }
            None => {
                let mirror = ranked.iter().find(|node| self.mirror() == Some(node));
                mirror.or(ranked.first()).cloned().ok_or_else(|| refusal::nobody_takes(&desk.room))
            }
        }
    }
}
