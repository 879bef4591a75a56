//! Being a room's mirror: watching over its owner, claiming the room from one that has failed or that asks for it, and
//! stepping aside. The audio goes on meanwhile as the two origins settle it between them; here it is about control.

use stentor_ids::Fault;
use stentor_pace::{Deadline, Time, soonest};

use super::{
    desk::{Desk, PutBack},
    pending::{Pending, Wake},
};
use crate::{
    Act, Bid, Claim, Detector, Driver, Effect, End, Here, MirrorHeld, MirrorKey, NotBack, OwnerKey, Wants,
    preemptions::Pauses,
    refusal,
    timing::{CLAIM_AGAIN, CLAIM_AHEAD, PUT_BACK_AGAIN},
};

/// A room that this node mirrors.
pub(super) struct Mirror<D: Driver> {
    pub(super) held: MirrorHeld<D>,
    /// Whose the room is.
    pub(super) owner: OwnerKey,
    pub(super) put_back: PutBack,
    pub(super) detector: Detector,
    /// When the owner was heard that the detector knows of.
    heard: Time,
    pub(super) asked: Option<Pending>,
    pub(super) claiming: Option<Claiming<D>>,
    /// The view shows a claim of this node's own whose answer has not come: when it is made again.
    again: Option<Time>,
    /// How it waits after it was outbid.
    outbid: Pauses,
    /// It gives the audio back and then steps aside.
    pub(super) aside: bool,
}

/// A claim under way.
pub(super) struct Claiming<D: Driver> {
    pub(super) pending: Pending,
    /// Who asked for it; `None` if the detector did.
    pub(super) asker: Option<D::Asker>,
    /// When the first sign of the owner's failure was.
    pub(super) since: Option<Time>,
}

impl<D: Driver> Mirror<D> {
    pub(super) fn new(here: &Here, held: MirrorHeld<D>, owner: OwnerKey) -> Self {
        Self {
            held,
            owner,
            put_back: PutBack::default(),
            detector: Detector::new(here.now),
            heard: Time::default(),
            asked: None,
            claiming: None,
            again: None,
            outbid: Pauses::default(),
            aside: false,
        }
    }

    /// Takes in how the owner is heard. Before anything else: what happened meanwhile must not look as if it came after.
    pub(super) fn listen(&mut self, here: &Here) {
        if here.heard > self.heard {
            self.heard = here.heard;
            self.detector.heard(here.heard);
            // Links are cut otherwise when they are cut again, and who reaches more may be another.
            self.outbid = Pauses::default();
        }
        if !here.connected {
            self.detector.lost(here.now);
        }
    }

    /// What the view shows. Gives why this node is to mirror the room no more, if so.
    pub(super) fn look(&mut self, here: &Here, desk: &mut Desk<D>) -> Option<Goes> {
        let keys = desk.shown.keys.as_ref()?;
        match &keys.owner {
            Some(_) => self.detector.owned(here.now),
            None => self.detector.unowned(here.now),
        }
        let owner = keys.owner.as_ref();
        if let Some(own) = owner.filter(|owner| owner.node == desk.me) {
            // This node has claimed it and comes to own it.
            if own.epoch > self.owner.epoch {
                self.again.get_or_insert(here.now);
            }
            return None;
        }
        self.again = None;
        // A view from before this node took the key shows none, or that of the mirror before it.
        let is_new = desk.shown.is_after(self.held.written);
        if keys.mirror.is_none() && owner.is_some() && is_new {
            // The owner puts the room back before.
            self.put_back.gone(here.now);
            return None;
        }
        match keys.wants {
            Wants::Nobody => return Some(Goes::Ended),
            _ if is_new && keys.mirror.as_ref().is_some_and(|mirror| mirror.node != desk.me) => {
                return Some(Goes::Replaced);
            }
            // An owner of a newer build has written what this one must not run the room without.
            Wants::Others => return Some(Goes::Aside),
            Wants::Origins => {}
        }
        if let Some(owner) = owner.filter(|owner| **owner != self.owner && owner.epoch >= self.owner.epoch) {
            let owner = owner.clone();
            self.become_of(here, desk, owner);
        }
        None
    }

    /// The room has another owner, or the same under another epoch or revision.
    fn become_of(&mut self, here: &Here, desk: &mut Desk<D>, owner: OwnerKey) {
        let rises = owner.epoch > self.owner.epoch;
        // Another owner has not failed because the one before it did, and was not heard because that was.
        self.detector = if (&owner.node, owner.epoch) == (&self.owner.node, self.owner.epoch) {
            self.detector.again(here.now)
        } else {
            Detector::new(here.now)
        };
        self.owner = owner;
        self.asked = None;
        desk.ask([Effect::Publish, Effect::Follow(Some(self.owner.node.clone()))]);
        if rises {
            desk.ask([Effect::Term(self.owner.clone())]);
        }
    }

    pub(super) fn poll(&mut self, here: &Here, desk: &mut Desk<D>) {
        self.listen(here);
        self.put_back(here, desk);
        self.time_out(here, desk);
        self.claim_over(here, desk);
        while let Some(act) = self.detector.poll(here.now) {
            match act {
                Act::Ask => {
                    let owner = self.owner.clone();
                    self.asked = Some(desk.send(here, |errand| Effect::Ask(errand, owner)));
                }
                Act::Claim { .. } if self.claiming.is_some() => self.detector.refused(here.now),
                Act::Claim { contested: false } => self.send_claim(here, desk),
                Act::Contest => self.contest(here, desk),
                Act::Claim { contested: true } if self.is_outbid(desk) => {
                    self.outbid.wait(here.now);
                    self.detector.yields(here.now);
                }
                Act::Claim { contested: true } => {
                    desk.ask([Effect::Preempts]);
                    self.send_claim(here, desk);
                }
            }
        }
        if !self.detector.contests() {
            desk.withdraw_bid();
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        soonest([
            self.put_back.next_deadline(),
            self.again.filter(|_| self.claiming.is_none()).map(|at| Deadline::new(at, Wake::Claim)),
            self.claiming.as_ref().and_then(|claiming| Pending::deadline(Some(claiming.pending))),
            self.detector.next_deadline().map(|deadline| deadline.map(Wake::Detector)),
        ])
    }

    fn put_back(&mut self, here: &Here, desk: &mut Desk<D>) {
        if self.put_back.is_due(here.now) {
            // A key of this node's own on a former lease is replaced.
            let own = desk.shown.mirror().filter(|mirror| mirror.node == desk.me);
            let own = own.map(|mirror| mirror.revision);
            self.put_back.pending = Some(desk.send(here, |errand| Effect::PutBackMirror(errand, own)));
            self.put_back.next = Some(here.now + PUT_BACK_AGAIN);
        }
    }

    /// Claims over a claim of this node's own whose answer did not come. The former owner may be the room's mirror by then and
    /// be heard well, so that nothing else would lead to another claim.
    fn claim_over(&mut self, here: &Here, desk: &mut Desk<D>) {
        if self.claiming.is_none() && self.again.is_some_and(|at| at <= here.now) {
            self.again = Some(here.now + CLAIM_AGAIN);
            self.send_claim(here, desk);
        }
    }

    fn send_claim(&mut self, here: &Here, desk: &mut Desk<D>) {
        let claim = self.claim(here, desk);
        let pending = desk.send(here, |errand| Effect::Claim(errand, claim));
        self.claiming = Some(Claiming { pending, asker: None, since: self.detector.since() });
    }

    /// Bids for the room, if nothing is in the way.
    fn contest(&mut self, here: &Here, desk: &mut Desk<D>) {
        let from = self.outbid.over().max(here.preempt_from);
        let may = self.claiming.is_none() && from <= here.now;
        if !may || !desk.bid(here, self.owner.epoch) {
            self.detector.bid(here.now, false);
        }
    }

    /// Whether the owner has answered this node's bid with one that is not smaller, or there is none of this node's own.
    fn is_outbid(&self, desk: &Desk<D>) -> bool {
        let Some(own) = desk.bid.made() else { return true };
        let of_owner = |bid: &&Bid| bid.node == self.owner.node && bid.epoch == self.owner.epoch;
        let answers = |bid: &Bid| bid.revision > own.revision && bid.reach >= own.reach;
        desk.shown.bids().filter(of_owner).any(answers)
    }

    /// A claim that does not end came to nothing.
    fn time_out(&mut self, here: &Here, desk: &mut Desk<D>) {
        if let Some(claiming) = self.claiming.take_if(|claiming| claiming.pending.until <= here.now) {
            let fault = refusal::restarting(&desk.room);
            self.refused(here, desk, claiming, fault);
        }
    }

    pub(super) fn refused(&mut self, here: &Here, desk: &mut Desk<D>, claiming: Claiming<D>, fault: Fault) {
        match claiming.asker {
            Some(asker) => desk.ask([Effect::TookOver(asker, Err(fault))]),
            None => self.detector.refused(here.now),
        }
    }

    /// The room leaves this node: whoever asked for the claim under way is answered. Gives that claim, which may be won yet.
    pub(super) fn abandon_claim(&mut self, desk: &mut Desk<D>) -> Option<Pending> {
        let Claiming { pending, asker, .. } = self.claiming.take()?;
        if let Some(asker) = asker {
            let fault = refusal::restarting(&desk.room);
            desk.ask([Effect::TookOver(asker, Err(fault))]);
        }
        Some(pending)
    }

    /// The claim of a room from an owner that nobody hears.
    fn claim(&self, here: &Here, desk: &Desk<D>) -> Claim {
        // A claim of this node's own whose answer was lost is claimed over.
        let own = desk.shown.owner().filter(|owner| owner.node == desk.me);
        let preempt = Some(own.unwrap_or(&self.owner).revision);
        // Whoever goes on from slots that were here asks no clock.
        let next = here.next.or(here.clock);
        let from_slot = next.map(|next| next.plus(CLAIM_AHEAD)).unwrap_or_default();
        Claim { seen: here.epoch.max(self.owner.epoch), preempt, from_slot }
    }

    /// The putting back ended. Gives why this node is to mirror the room no more, if so.
    pub(super) fn put_back_ended(&mut self, here: &Here, desk: &mut Desk<D>, end: End<D>) -> Option<Goes> {
        match end {
            End::MirrorBack(Ok(held)) => {
                self.held = held;
                self.put_back.next = None;
                desk.ask([Effect::Publish]);
            }
            // This node has claimed the room and comes to own it.
            End::MirrorBack(Err(NotBack::OwnsIt)) => self.put_back.next = None,
            // The view shows it soon, and the next try names it.
            End::MirrorBack(Err(NotBack::Other(MirrorKey { node, .. }))) if node == desk.me => {}
            End::MirrorBack(Err(NotBack::Other(_) | NotBack::Superseded)) => return Some(Goes::Replaced),
            // The owner puts the room itself back before.
            _ => self.put_back.next = Some(here.now + PUT_BACK_AGAIN),
        }
        None
    }
}

/// Why a mirror is one no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    /// The room has ended.
    Ended,
    /// Another node mirrors it.
    Replaced,
    /// It cannot be this node any more.
    Aside,
}
