//! What a mirror's tenure does about what it is told: it watches over the owner, owns the room, or steps aside.

use stentor_ids::NodeId;

use super::{
    mirror::{Claiming, Goes},
    owner::Owner,
    state::{State, Tenure},
};
use crate::{Claim, Claimed, Driver, Effect, End, Errand, Here, Left, Took, refusal, timing::ASIDE_AHEAD};

impl<D: Driver> Tenure<D> {
    pub(super) fn mirror_goes(&mut self, here: &Here, goes: Goes) {
        match goes {
            Goes::Ended => self.give_up(here, Left::Ended),
            // The key is another node's: there is none to give up.
            Goes::Replaced => self.leave(Left::Moved),
            Goes::Aside => self.step_aside(here),
        }
    }

    /// The owner says that the room has ended.
    pub(super) fn owner_ended(&mut self, here: &Here) {
        if self.is_mirror() {
            self.give_up(here, Left::Ended);
        }
    }

    /// The owner asks this mirror to own the room.
    pub(super) fn take_over(&mut self, here: &Here, claim: Claim, asker: D::Asker) {
        let (desk, busy) = (&mut self.desk, refusal::restarting);
        match &mut self.state {
            State::Mirror(mirror) if mirror.claiming.is_none() => {
                let pending = desk.send(here, |errand| Effect::Claim(errand, claim));
                mirror.claiming = Some(Claiming { pending, asker: Some(asker), since: None });
            }
            State::Mirror(_) | State::Over(_) => {
                let fault = busy(&desk.room);
                desk.ask([Effect::TookOver(asker, Err(fault))]);
            }
            State::Owner(_) | State::Retiring(_) => {
                let fault = refusal::not_mirrored(&desk.room, &desk.me);
                desk.ask([Effect::TookOver(asker, Err(fault))]);
            }
        }
    }

    /// Stops to mirror the room; gives the audio back first if it leads.
    pub(super) fn step_aside(&mut self, here: &Here) {
        match &mut self.state {
            State::Mirror(mirror) if mirror.aside => {}
            State::Mirror(mirror) if here.leads => {
                mirror.aside = true;
                let end = here.newest.unwrap_or_default().plus(ASIDE_AHEAD);
                self.desk.ask([Effect::EndAt(end)]);
            }
            State::Mirror(_) => self.give_up(here, Left::Moved),
            // It is no mirror any more; there is nothing to wait for.
            State::Owner(_) | State::Retiring(_) => self.desk.ask([Effect::Aside]),
            // Whoever waits is answered when the key is given up.
            State::Over(_) => {}
        }
    }

    /// An errand of the mirror's ended.
    pub(super) fn mirror_done(&mut self, here: &Here, errand: Errand, end: End<D>) {
        let State::Mirror(mirror) = &mut self.state else { return };
        if mirror.put_back.ended(errand) {
            if let Some(goes) = mirror.put_back_ended(here, &mut self.desk, end) {
                self.mirror_goes(here, goes);
            }
        } else if mirror.asked.take_if(|asked| asked.errand == errand).is_some() {
            if let End::Answered(answer) = end {
                mirror.detector.answered(here.now, answer);
            }
        } else if let Some(claiming) = mirror.claiming.take_if(|claiming| claiming.pending.errand == errand) {
            match end {
                End::Claimed(Ok(claimed)) => self.become_owner(here, claiming, claimed),
                End::Claimed(Err(fault)) => mirror.refused(here, &mut self.desk, claiming, fault),
                _ => {
                    let fault = refusal::restarting(&self.desk.room);
                    mirror.refused(here, &mut self.desk, claiming, fault);
                }
            }
        }
    }

    /// This node has claimed the room that it mirrored.
    fn become_owner(&mut self, here: &Here, claiming: Claiming<D>, claimed: Claimed<D>) {
        let State::Mirror(mirror) = &self.state else { return };
        let (former, key) = (mirror.owner.node.clone(), claimed.held.key.clone());
        self.desk.withdraw_bid();
        let owner = Owner::new(&self.desk, claimed.held);
        let follows: Option<NodeId> = owner.mirror().cloned();
        self.state = State::Owner(owner);
        let desk = &mut self.desk;
        desk.ask([Effect::Publish, Effect::Aside]);
        if let Some(asker) = claiming.asker {
            desk.ask([Effect::TookOver(asker, Ok((&key).into()))]);
        }
        if claimed.ended {
            // The former owner had ended it and did not come to tell.
            desk.ask([Effect::Decide(Some(claimed.record))]);
            return self.room_ended(here);
        }
        // The fence comes before the audio, so that no slot of the new term is taken for one of the old.
        desk.ask([
            Effect::Follow(follows),
            Effect::Term(key.clone()),
            Effect::Decide(Some(claimed.record)),
            Effect::TellOwner(Took { former, key, since: claiming.since }),
            Effect::TellRoom,
            Effect::Look,
        ]);
    }
}
