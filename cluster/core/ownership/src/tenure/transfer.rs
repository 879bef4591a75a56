//! An owner that hands its room to another node: the heir becomes the room's mirror if it is not, gets ready, and owns the
//! room from a slot that the owner names. Nothing is heard of it.
//!
//! | phase | it ends |
//! |---|---|
//! | settling | when nothing is left to commit: preparing; when the directory is away: the room stays |
//! | preparing | when the heir is ready, or is the mirror and has had its time: offered; when it refuses or is not: the room stays |
//! | offered | by the heir's answer: retiring, or looking up |
//! | looking up | by the directory's word on whether the heir has claimed the room all the same: retiring, or the room stays |

use stentor_ids::{Fault, NodeId, Slot};
use stentor_pace::{Deadline, Time};

use super::{Desk, Pending, State, Tenure, Wake, owner::Owner};
use crate::{
    Books, Driver, Effect, End, Errand, Here, Successor, refusal,
    timing::{LOOK_AGAIN, PREPARE_WITHIN, TRANSFER_AHEAD},
};

/// A transfer under way.
pub(super) struct Transfer<D: Driver> {
    heir: NodeId,
    asker: D::Asker,
    phase: Phase,
}

enum Phase {
    Settling,
    Preparing {
        /// The heir is asked to mirror the room.
        asked: Option<Pending>,
        until: Time,
        look: Time,
    },
    Offered(Pending),
    LookingUp {
        pending: Pending,
        /// What the heir answered.
        fault: Fault,
    },
}

impl<D: Driver> Transfer<D> {
    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        match &self.phase {
            Phase::Settling => None,
            Phase::Preparing { look, .. } => Some(Deadline::new(*look, Wake::Heir)),
            Phase::Offered(pending) | Phase::LookingUp { pending, .. } => Pending::deadline(Some(*pending)),
        }
    }

    /// Answers whoever asked, as another node owns the room now.
    pub(super) fn overtaken(self, desk: &mut Desk<D>, successor: &Successor) {
        let offered = matches!(self.phase, Phase::Offered(_) | Phase::LookingUp { .. });
        let outcome = if offered && self.heir == successor.node {
            Ok(successor.clone())
        } else {
            Err(refusal::moved(&desk.room, &successor.node))
        };
        desk.ask([Effect::Transferred(self.asker, outcome)]);
    }

    /// The same, as the room leaves this node in another way.
    pub(super) fn abandoned(self, desk: &mut Desk<D>) {
        let fault = refusal::restarting(&desk.room);
        desk.ask([Effect::Transferred(self.asker, Err(fault))]);
    }

    fn stay(self, desk: &mut Desk<D>, fault: Fault) {
        desk.ask([Effect::ReopenBooks, Effect::Transferred(self.asker, Err(fault))]);
    }
}

impl<D: Driver> Owner<D> {
    /// Who is to take the room: by preference its mirror, which needs no time.
    fn heir(
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

    /// Goes on with the transfer as far as it can now.
    pub(super) fn advance(&mut self, here: &Here, desk: &mut Desk<D>) {
        let Some(mut transfer) = self.transfer.take() else { return };
        let mirrors = self.mirror() == Some(&transfer.heir);
        match (&mut transfer.phase, &here.books) {
            (Phase::Settling, Books::Settled) => {
                transfer.phase = self.prepare(here, desk, &transfer.heir);
                self.transfer = Some(transfer);
                self.advance(here, desk);
            }
            (Phase::Settling, Books::Away(fault)) => transfer.stay(desk, fault.clone()),
            (Phase::Preparing { until, look, .. }, _) => {
                let late = here.now >= *until;
                if mirrors && (late || !here.live || here.ready) {
                    transfer.phase = Phase::Offered(self.offer(here, desk, &transfer.heir));
                } else if late {
                    let fault = refusal::not_ready(&transfer.heir);
                    return transfer.stay(desk, fault);
                } else if here.now >= *look {
                    *look = here.now + LOOK_AGAIN;
                }
                self.transfer = Some(transfer);
            }
            (Phase::Offered(pending), _) if pending.until <= here.now => {
                let fault = refusal::not_ready(&transfer.heir);
                transfer.phase = look_up(here, desk, fault);
                self.transfer = Some(transfer);
            }
            (Phase::LookingUp { pending, fault }, _) if pending.until <= here.now => {
                let fault = fault.clone();
                transfer.stay(desk, fault);
            }
            _ => self.transfer = Some(transfer),
        }
    }

    /// Makes the heir the room's mirror, if it is not.
    fn prepare(&self, here: &Here, desk: &mut Desk<D>, heir: &NodeId) -> Phase {
        let asked = (self.mirror() != Some(heir)).then(|| {
            let (heir, mirror) = (heir.clone(), desk.shown.mirror().map(|mirror| mirror.revision));
            desk.send(here, |errand| Effect::Prepare(errand, heir, mirror))
        });
        Phase::Preparing { asked, until: here.now + PREPARE_WITHIN, look: here.now }
    }

    fn offer(&self, here: &Here, desk: &mut Desk<D>, heir: &NodeId) -> Pending {
        let newest = here.newest.unwrap_or_default();
        let from_slot = if here.live { newest.plus(TRANSFER_AHEAD) } else { Slot(0) };
        let heir = heir.clone();
        desk.send(here, |errand| Effect::Offer(errand, heir, from_slot))
    }

    /// An errand of the transfer ended. Gives the successor if there is one now.
    fn transfer_done(
        &mut self,
        here: &Here,
        desk: &mut Desk<D>,
        errand: Errand,
        end: End<D>,
    ) -> Option<Successor> {
        let mut transfer = self.transfer.take()?;
        let is = |pending: &Pending| pending.errand == errand;
        match (&mut transfer.phase, end) {
            (Phase::Preparing { asked, .. }, end) if asked.as_ref().is_some_and(is) => match end {
                End::Prepared(Ok(())) => *asked = None,
                End::Prepared(Err(fault)) => {
                    transfer.stay(desk, fault);
                    return None;
                }
                _ => {
                    let fault = refusal::not_ready(&transfer.heir);
                    transfer.stay(desk, fault);
                    return None;
                }
            },
            (Phase::Offered(pending), end) if is(pending) => match end {
                End::Offered(Ok(successor)) => {
                    desk.ask([Effect::Transferred(transfer.asker, Ok(successor.clone()))]);
                    return Some(successor);
                }
                // It may have claimed the room all the same.
                End::Offered(Err(fault)) => transfer.phase = look_up(here, desk, fault),
                _ => transfer.phase = look_up(here, desk, refusal::not_ready(&transfer.heir)),
            },
            (Phase::LookingUp { pending, fault }, end) if is(pending) => {
                let fault = fault.clone();
                match end {
                    End::LookedUp(Some(owner)) if owner.node != desk.me => {
                        let successor = Successor::from(&owner);
                        desk.ask([Effect::Transferred(transfer.asker, Ok(successor.clone()))]);
                        return Some(successor);
                    }
                    _ => transfer.stay(desk, fault),
                }
                return None;
            }
            _ => {}
        }
        self.transfer = Some(transfer);
        None
    }
}

fn look_up<D: Driver>(here: &Here, desk: &mut Desk<D>, fault: Fault) -> Phase {
    Phase::LookingUp { pending: desk.send(here, Effect::LookUp), fault }
}

impl<D: Driver> Tenure<D> {
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
                owner.transfer = Some(Transfer { heir, asker, phase: Phase::Settling });
            }
            (_, Err(fault)) => desk.ask([Effect::Transferred(asker, Err(fault))]),
            (_, Ok(_)) => {}
        }
    }

    /// An errand of the transfer ended.
    pub(super) fn transfer_done(&mut self, here: &Here, errand: Errand, end: End<D>) {
        let State::Owner(owner) = &mut self.state else { return };
        if let Some(successor) = owner.transfer_done(here, &mut self.desk, errand, end) {
            self.retire(here, successor);
        }
    }
}
