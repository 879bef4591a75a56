//! One room as one node sees it that owns or mirrors it: told what happens, it says what is to be done.
//!
//! | state | it ends |
//! |---|---|
//! | owner | by another's claim, or a transfer: retiring; by the end of the room, or of the node: over |
//! | mirror | by its own claim: owner; by another mirror, the end of the room, or when it steps aside: over |
//! | retiring | at the successor's first slot: over |
//! | over | never |
//!
//! | module | holds |
//! |---|---|
//! | `pending` | what is waited for |
//! | `desk`, `bid` | what every state has; this node's bid for the room |
//! | `owner`, `transfer` | the state of an owner: its key, its mirror, the phases of a transfer |
//! | `mirror` | the state of a mirror: its key, its owner, the claim under way |
//! | `going` | the states of a room that goes, and has gone |
//! | `state` | one of these, and what can be asked of it |
//! | `owning`, `mirroring`, `leaving` | the turns from one to another |
//!
//! Errands are what is asked of the driver and ends: each end is told with the number of its errand, and one that is not
//! waited for changes nothing. An errand that does not end in [`ERRAND`](crate::timing::ERRAND) counts as one that failed.
//!
//! Invariants: at most one claim and one putting back of a key are under way; an owner that knows of a claim of a higher
//! epoch commits nothing more; what is over does nothing more than to end.

mod bid;
mod desk;
mod going;
mod leaving;
mod mirror;
mod mirroring;
mod owner;
mod owning;
mod pending;
mod state;
mod transfer;

use stentor_ids::{NodeId, RoomId};

use self::{
    bid::{Bidding, OwnBid},
    desk::Desk,
    mirror::Mirror,
    owner::Owner,
    state::State,
};
use crate::{Driver, Effect, End, Errand, Event, Here, Shown, Standing, refusal};

pub use self::{pending::Wake, state::Tenure};

impl<D: Driver> Tenure<D> {
    /// Begins with a room that this node has just come to own or to mirror; or begins again, if the room's actor failed, with
    /// what was published last. `shown` is what the view shows now.
    #[must_use]
    pub fn begin(
        here: &Here,
        me: NodeId,
        room: RoomId,
        standing: Standing<D>,
        shown: Shown,
        again: bool,
    ) -> (Self, Vec<Effect<D>>) {
        let mut desk = Desk { me, room, shown, errands: 0, bid: OwnBid::default(), out: Vec::new() };
        if desk.shown.bids().any(|bid| bid.node == desk.me) {
            // Of an actor that failed, or of a former office.
            desk.ask([Effect::WithdrawBid]);
        }
        let state = match standing {
            Standing::Owner(held) => {
                let owner = Owner::new(&desk, held);
                if again {
                    // What was told may not have been committed.
                    desk.ask([Effect::SaveAgain]);
                }
                desk.ask([Effect::Decide(None), Effect::TellRoom]);
                State::Owner(owner)
            }
            Standing::Mirror { held, owner } => {
                let fault = refusal::mirrored_only(&desk.room, &owner.node);
                desk.ask([Effect::CloseBooks(fault), Effect::Keep(owner.clone())]);
                State::Mirror(Mirror::new(here, held, owner))
            }
        };
        desk.ask([Effect::Look]);
        let mut tenure = Self { desk, state };
        let effects = tenure.poll(here);
        (tenure, effects)
    }

    /// Takes an event in, and says what is to be done about it and about all that is due.
    pub fn handle(&mut self, here: &Here, event: Event<D>) -> Vec<Effect<D>> {
        if let Event::Shown(shown) = &event {
            self.desk.shown = shown.clone();
        }
        if let State::Mirror(mirror) = &mut self.state {
            mirror.listen(here);
        }
        match event {
            Event::Stop => self.stop(),
            Event::Transfer { to, ranked, asker } => self.transfer(here, to, &ranked, asker),
            Event::TakeOver { epoch, owner, from_slot, asker } => {
                let claim = crate::Claim { seen: epoch, preempt: owner, from_slot };
                self.take_over(here, claim, asker);
            }
            Event::StepAside => self.step_aside(here),
            Event::Claimed(successor) => self.claimed(here, successor),
            Event::Shown(_) => self.look(here),
            Event::NewLease => self.key_gone(here),
            Event::Ended => self.room_ended(here),
            Event::OwnerEnded => self.owner_ended(here),
            Event::AudioDone => self.audio_done(here),
            Event::AudioFailed(error) => self.audio_failed(error),
            Event::PeerChanged if self.is_owner() => self.desk.ask([Effect::TellPeer]),
            Event::Done(errand, end) => self.done(here, errand, end),
            Event::Books | Event::PeerChanged | Event::PeerStream | Event::Wake => {}
        }
        self.poll(here)
    }

    /// What is due now. To be called at [`next_deadline`](Self::next_deadline); [`handle`](Self::handle) does it as well.
    pub fn poll(&mut self, here: &Here) -> Vec<Effect<D>> {
        if let Some(bidding) = self.desk.bid_late(here) {
            self.bidding(here, bidding);
        }
        match &mut self.state {
            State::Owner(owner) => owner.poll(here, &mut self.desk),
            State::Mirror(mirror) => mirror.poll(here, &mut self.desk),
            State::Retiring(retiring) => retiring.poll(here, &mut self.desk),
            State::Over(over) => over.poll(here, &mut self.desk),
        }
        std::mem::take(&mut self.desk.out)
    }

    /// The directory's view has changed.
    fn look(&mut self, here: &Here) {
        match &mut self.state {
            State::Owner(owner) => {
                if let Some(successor) = owner.look(here, &mut self.desk) {
                    self.claimed(here, successor);
                }
            }
            State::Mirror(mirror) => {
                if let Some(left) = mirror.look(here, &mut self.desk) {
                    self.mirror_goes(here, left);
                }
            }
            State::Retiring(_) => {
                if let Some(owner) = self.desk.shown.owner().cloned() {
                    self.claimed(here, (&owner).into());
                }
            }
            State::Over(_) => {}
        }
    }

    /// Every key on the former lease is gone.
    fn key_gone(&mut self, here: &Here) {
        self.desk.bid.gone();
        match &mut self.state {
            State::Owner(owner) => owner.put_back.gone(here.now),
            State::Mirror(mirror) => mirror.put_back.gone(here.now),
            State::Retiring(_) | State::Over(_) => {}
        }
    }

    /// This node's bid was written, or was not.
    fn bidding(&mut self, here: &Here, bidding: Bidding) {
        match (&mut self.state, bidding) {
            (State::Mirror(mirror), Bidding::Made) => mirror.detector.bid(here.now, true),
            // Without the directory the claim could not be made either.
            (State::Mirror(mirror), Bidding::Failed) => mirror.detector.bid(here.now, false),
            _ => {}
        }
    }

    fn done(&mut self, here: &Here, errand: Errand, end: End<D>) {
        if let Some(bidding) = self.desk.bid_ended(errand, &end) {
            return self.bidding(here, bidding);
        }
        match (&mut self.state, end) {
            (State::Owner(_), end) => self.owner_done(here, errand, end),
            (State::Mirror(_), end) => self.mirror_done(here, errand, end),
            (State::Over(over), end) => over.done(here, &mut self.desk, errand, end),
            (State::Retiring(_), _) => {}
        }
    }
}
