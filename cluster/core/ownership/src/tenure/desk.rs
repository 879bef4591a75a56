//! What every state of a tenure has: who and where it is, what the directory shows, what it asks of its driver and waits for.

use stentor_ids::{Epoch, NodeId, Revision, RoomId};
use stentor_pace::{Deadline, Time};

use super::{
    bid::{Bidding, Made, OwnBid, Writing},
    pending::{Pending, Wake},
};
use crate::{Driver, Effect, End, Errand, Here, MirrorKey, Shown, timing::ERRAND};

/// What every state has: who and where it is, what the directory shows, and what it asks for.
pub(super) struct Desk<D: Driver> {
    pub(super) me: NodeId,
    pub(super) room: RoomId,
    pub(super) shown: Shown,
    pub(super) errands: u64,
    pub(super) bid: OwnBid,
    pub(super) out: Vec<Effect<D>>,
}

impl<D: Driver> Desk<D> {
    pub(super) fn ask(&mut self, effect: impl IntoIterator<Item = Effect<D>>) {
        self.out.extend(effect);
    }

    /// Sends the driver on an errand.
    pub(super) fn send(&mut self, here: &Here, effect: impl FnOnce(Errand) -> Effect<D>) -> Pending {
        self.errands += 1;
        let errand = Errand(self.errands);
        self.out.push(effect(errand));
        Pending { errand, until: here.now + ERRAND }
    }
}

impl<D: Driver> Desk<D> {
    /// Who mirrors the room by the view, if it is not this node: a view from before this node's claim shows it, if it mirrored
    /// the room until then.
    pub(super) fn mirror(&self) -> Option<(NodeId, String)> {
        let keys = self.shown.keys.as_ref()?;
        let MirrorKey { node, .. } = keys.mirror.as_ref().filter(|mirror| mirror.node != self.me)?;
        Some((node.clone(), keys.mirror_at.clone()?))
    }
}

/// A key of this node's that may be gone, and how it is put back.
#[derive(Debug, Default)]
pub(super) struct PutBack {
    /// When to try next; `None` while the key is there.
    pub(super) next: Option<Time>,
    pub(super) pending: Option<Pending>,
}

impl PutBack {
    pub(super) const fn is_gone(&self) -> bool {
        self.next.is_some()
    }

    /// The key is gone: it is put back at once.
    pub(super) fn gone(&mut self, now: Time) {
        self.next = Some(now);
    }

    /// Whether it is to be tried now.
    pub(super) fn is_due(&mut self, now: Time) -> bool {
        if self.pending.is_some_and(|pending| pending.until <= now) {
            self.pending = None;
        }
        self.pending.is_none() && self.next.is_some_and(|next| next <= now)
    }

    /// Whether this errand is the one that is waited for; then it is no longer.
    pub(super) fn ended(&mut self, errand: Errand) -> bool {
        self.pending.take_if(|pending| pending.errand == errand).is_some()
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        match self.pending {
            Some(_) => Pending::deadline(self.pending),
            None => self.next.map(|next| Deadline::new(next, Wake::PutBack)),
        }
    }
}

impl<D: Driver> Desk<D> {
    /// Bids with what this node reaches now, in place of an earlier bid. Says whether it does: not while another is written.
    pub(super) fn bid(&mut self, here: &Here, epoch: Epoch) -> bool {
        if self.bid.is_writing() {
            return false;
        }
        let reach = here.reach;
        let pending = self.send(here, |errand| Effect::Bid(errand, epoch, reach));
        self.bid = OwnBid { writing: Some(Writing { pending, reach, wanted: true }), made: None };
        true
    }

    /// Withdraws the bid, if there is one.
    pub(super) fn withdraw_bid(&mut self) {
        if let Some(writing) = &mut self.bid.writing {
            writing.wanted = false;
        }
        if self.bid.made.take().is_some() {
            self.ask([Effect::WithdrawBid]);
        }
    }

    /// An errand ended: what became of the bid, if it was that one. One that comes when nobody waits for it is withdrawn.
    pub(super) fn bid_ended(&mut self, errand: Errand, end: &End<D>) -> Option<Bidding> {
        let written = if let End::Bid(Some(revision)) = end { Some(*revision) } else { None };
        let Some(writing) = self.bid.writing.take_if(|writing| writing.pending.errand == errand) else {
            if written.is_some() && self.bid.made.is_none() && !self.bid.is_writing() {
                self.ask([Effect::WithdrawBid]);
            }
            return None;
        };
        Some(self.bid_written(&writing, written))
    }

    /// A bid that does not end to be written counts as one that failed.
    pub(super) fn bid_late(&mut self, here: &Here) -> Option<Bidding> {
        let writing = self.bid.writing.take_if(|writing| writing.pending.until <= here.now)?;
        Some(self.bid_written(&writing, None))
    }

    fn bid_written(&mut self, writing: &Writing, written: Option<Revision>) -> Bidding {
        match written {
            Some(revision) if writing.wanted => {
                self.bid.made = Some(Made { reach: writing.reach, revision });
                return Bidding::Made;
            }
            // It may be there all the same.
            _ => self.ask([Effect::WithdrawBid]),
        }
        if writing.wanted { Bidding::Failed } else { Bidding::Withdrawn }
    }
}
