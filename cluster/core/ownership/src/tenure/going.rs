//! A room that leaves this node. A claim takes effect at a slot: the old owner goes on up to it, sends the edges on a little
//! before, and lets everyone go when the last of its slots is out. It commits nothing from when it knows of the claim.

use stentor_pace::{Deadline, Time, soonest};

use super::{
    desk::Desk,
    pending::{Pending, Wake},
};
use crate::{Claimed, Driver, Effect, End, Errand, Here, OwnerHeld, Standing, Successor};

/// A room that goes at its successor's first slot.
pub(super) struct Retiring<D: Driver> {
    pub(super) held: OwnerHeld<D>,
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
    /// A claim of it that was under way when it left. Won, it is given up: else the directory would name an owner that does not
    /// run the room, and where this node may not claim it over, as one that leaves or cannot read the record, for good.
    pub(super) claim: Option<Pending>,
}

impl Over {
    pub(super) fn poll<D: Driver>(&mut self, here: &Here, desk: &mut Desk<D>) {
        let over = |pending: &mut Option<Pending>| pending.take_if(|one| one.until <= here.now).is_some();
        // Both are looked at.
        if over(&mut self.release) | over(&mut self.claim) {
            self.stop(desk);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        soonest([Pending::deadline(self.release), Pending::deadline(self.claim)])
    }

    /// An errand ended.
    pub(super) fn done<D: Driver>(&mut self, here: &Here, desk: &mut Desk<D>, errand: Errand, end: End<D>) {
        let is = |pending: &mut Pending| pending.errand == errand;
        if self.claim.take_if(is).is_some() {
            if let End::Claimed(Ok(Claimed { held, .. })) = end {
                // What this node held before went with the claim.
                let won = Standing::Owner(held);
                self.release = Some(desk.send(here, |errand| Effect::Release(errand, won)));
            }
            self.stop(desk);
        } else if self.release.take_if(is).is_some() {
            self.stop(desk);
        }
    }

    /// Ends once nothing is waited for.
    pub(super) fn stop<D: Driver>(&self, desk: &mut Desk<D>) {
        if self.release.is_none() && self.claim.is_none() {
            desk.ask([Effect::Aside, Effect::Stop]);
        }
    }
}
