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

use super::{
    desk::Desk,
    pending::{Pending, Wake},
};
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

/// What became of a transfer.
pub(super) enum Goes<D: Driver> {
    /// It goes on, or the room stays.
    On(Option<Transfer<D>>),
    /// The room is another node's.
    To(Successor),
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

    /// The room stays.
    fn stay(self, desk: &mut Desk<D>, fault: Fault) -> Option<Self> {
        desk.ask([Effect::ReopenBooks, Effect::Transferred(self.asker, Err(fault))]);
        None
    }

    /// Begins: nothing new is taken, and when all is committed the heir is made ready.
    pub(super) const fn begin(heir: NodeId, asker: D::Asker) -> Self {
        Self { heir, asker, phase: Phase::Settling }
    }

    /// Goes on as far as it can now; `None` if the room stays.
    pub(super) fn advance(
        mut self,
        here: &Here,
        desk: &mut Desk<D>,
        mirror: Option<&NodeId>,
    ) -> Option<Self> {
        let mirrors = mirror == Some(&self.heir);
        match (&mut self.phase, &here.books) {
            (Phase::Settling, Books::Settled) => {
                self.phase = self.prepare(here, desk, mirrors);
                return self.advance(here, desk, mirror);
            }
            (Phase::Settling, Books::Away(fault)) => return self.stay(desk, fault.clone()),
            (Phase::Preparing { until, look, .. }, _) => {
                let late = here.now >= *until;
                if mirrors && (late || !here.live || here.ready.as_ref() == Some(&self.heir)) {
                    self.phase = Phase::Offered(self.offer(here, desk));
                } else if late {
                    let fault = refusal::not_ready(&self.heir);
                    return self.stay(desk, fault);
                } else if here.now >= *look {
                    *look = here.now + LOOK_AGAIN;
                }
            }
            (Phase::Offered(pending), _) if pending.until <= here.now => {
                self.phase = look_up(here, desk, refusal::not_ready(&self.heir));
            }
            (Phase::LookingUp { pending, fault }, _) if pending.until <= here.now => {
                let fault = fault.clone();
                return self.stay(desk, fault);
            }
            _ => {}
        }
        Some(self)
    }

    /// An errand ended.
    pub(super) fn done(mut self, here: &Here, desk: &mut Desk<D>, errand: Errand, end: End<D>) -> Goes<D> {
        let is = |pending: &Pending| pending.errand == errand;
        match (&mut self.phase, end) {
            (Phase::Preparing { asked, .. }, end) if asked.as_ref().is_some_and(is) => match end {
                End::Prepared(Ok(())) => *asked = None,
                End::Prepared(Err(fault)) => return Goes::On(self.stay(desk, fault)),
                _ => {
                    let fault = refusal::not_ready(&self.heir);
                    return Goes::On(self.stay(desk, fault));
                }
            },
            (Phase::Offered(pending), end) if is(pending) => match end {
                End::Offered(Ok(successor)) => return self.goes(desk, successor),
                // It may have claimed the room all the same.
                End::Offered(Err(fault)) => self.phase = look_up(here, desk, fault),
                _ => self.phase = look_up(here, desk, refusal::not_ready(&self.heir)),
            },
            (Phase::LookingUp { pending, fault }, end) if is(pending) => {
                let fault = fault.clone();
                return match end {
                    End::LookedUp(Some(owner)) if owner.node != desk.me => self.goes(desk, (&owner).into()),
                    _ => Goes::On(self.stay(desk, fault)),
                };
            }
            _ => {}
        }
        Goes::On(Some(self))
    }

    fn goes(self, desk: &mut Desk<D>, successor: Successor) -> Goes<D> {
        desk.ask([Effect::Transferred(self.asker, Ok(successor.clone()))]);
        Goes::To(successor)
    }

    /// Makes the heir the room's mirror, if it is not.
    fn prepare(&self, here: &Here, desk: &mut Desk<D>, mirrors: bool) -> Phase {
        let asked = (!mirrors).then(|| {
            let (heir, mirror) = (self.heir.clone(), desk.shown.mirror().map(|mirror| mirror.revision));
            desk.send(here, |errand| Effect::Prepare(errand, heir, mirror))
        });
        Phase::Preparing { asked, until: here.now + PREPARE_WITHIN, look: here.now }
    }

    fn offer(&self, here: &Here, desk: &mut Desk<D>) -> Pending {
        let newest = here.newest.unwrap_or_default();
        let from_slot = if here.live { newest.plus(TRANSFER_AHEAD) } else { Slot(0) };
        let heir = self.heir.clone();
        desk.send(here, |errand| Effect::Offer(errand, heir, from_slot))
    }
}

fn look_up<D: Driver>(here: &Here, desk: &mut Desk<D>, fault: Fault) -> Phase {
    Phase::LookingUp { pending: desk.send(here, Effect::LookUp), fault }
}
