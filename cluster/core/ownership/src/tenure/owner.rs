//! Staying the owner: what the view says to it, who mirrors the room, and a key that went with its lease.

use stentor_ids::NodeId;
use stentor_pace::Deadline;

use super::{Desk, PutBack, State, Tenure, Wake, transfer::Transfer};
use crate::{
    Driver, Effect, End, Errand, Here, MirrorKey, NotBack, OwnerHeld, OwnerKey, Successor,
    timing::PUT_BACK_AGAIN,
};

/// A room that this node owns.
pub(super) struct Owner<D: Driver> {
    pub(super) held: OwnerHeld<D>,
    /// Who mirrors the room, and where that is reached.
    pub(super) mirror: Option<(NodeId, String)>,
    pub(super) put_back: PutBack,
    pub(super) transfer: Option<Transfer<D>>,
}

impl<D: Driver> Owner<D> {
    pub(super) fn new(desk: &Desk<D>, held: OwnerHeld<D>) -> Self {
        Self { held, mirror: desk.mirror(), put_back: PutBack::default(), transfer: None }
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
            _ if desk.shown.is_after(self.held.written) => self.key_gone(here, desk),
            _ => {}
        }
        None
    }

    /// The key is gone with its lease, or with the directory's data.
    pub(super) fn key_gone(&mut self, here: &Here, _desk: &mut Desk<D>) {
        self.put_back.gone(here.now);
    }

    pub(super) fn poll(&mut self, here: &Here, desk: &mut Desk<D>) {
        self.advance(here, desk);
        // A room that goes is the heir's to hold.
        if self.transfer.is_none() && self.put_back.is_due(here.now) {
            let right = self.held.right.clone();
            self.put_back.pending = Some(desk.send(here, |errand| Effect::PutBackOwner(errand, right)));
            self.put_back.next = Some(here.now + PUT_BACK_AGAIN);
        }
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
    fn put_back(
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
}

impl<D: Driver> Desk<D> {
    /// Who mirrors the room by the view, if it is not this node: a view from before this node's claim shows it, if it mirrored
    /// the room until then.
    fn mirror(&self) -> Option<(NodeId, String)> {
        let keys = self.shown.keys.as_ref()?;
        let MirrorKey { node, .. } = keys.mirror.as_ref().filter(|mirror| mirror.node != self.me)?;
        Some((node.clone(), keys.mirror_at.clone()?))
    }
}

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
}
