//! A room that leaves this node. A claim takes effect at a slot: the old owner goes on up to it, sends the edges on a little
//! before, and lets everyone go when the last of its slots is out. It commits nothing from when it knows of the claim.

use stentor_ids::NodeId;
use stentor_pace::{Deadline, Time};

use super::desk::{Desk, Pending, Wake};
use crate::{Driver, Effect, Errand, Here, OwnerHeld, Successor};

/// A room that goes at its successor's first slot.
pub(super) struct Retiring<D: Driver> {
    pub(super) held: OwnerHeld<D>,
    pub(super) mirror: Option<NodeId>,
    pub(super) successor: Successor,
    /// When edges are sent to the successor; `None` once they are.
    pub(super) redirect: Option<Time>,
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
    pub(super) release: Option<Pending>,
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
