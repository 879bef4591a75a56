//! One of a room's two origins, as far as its audio goes: under which term slots are emitted, from where on it leads and
//! up to where, what is believed of the other origin, whom it follows, and what it says of itself. [`Leadership`] decides
//! within that which of the two mixes. It does not know how one mixes, who decides what the room is, nor what a frame
//! looks like on the wire.
//!
//! | told | then |
//! |---|---|
//! | a frame below the term's epoch, at or above the term's first slot | dropped: its epoch is over there |
//! | a frame or a fence of a higher epoch | a claim: a mirror works under it from there on, an owner is told whose room it is |
//! | an epoch or a lineage that cannot be ([`can_be_epoch`]) | refused, and nothing else is believed of that message |
//! | a slot that cannot be true by now ([`Ceiling`]) | dropped |
//! | a child that has seen later slots, or a lineage of a higher epoch | goes on above them, while it leads |
//! | a child that is stuck on a lineage | goes on above it, unless it hears that the other leads; begins nothing below, if it keeps |
//! | a lineage of this epoch that the other knows of, and keeps | goes on above it: who led that is gone, and its listeners are not |
//! | a stage | the newest counts, by epoch and version: of the owner's stream, and of its record where that stands not |
//! | to begin at a slot | leads from there; hears the one that led before until then |
//! | an end | emits nothing from there on, and is over once that slot has come, whoever led up to it |
//!
//! The driver tells what happens, then calls [`Origin::poll`] until it says nothing, and again at
//! [`Origin::next_deadline`].
//!
//! Invariants: no slot at or above the end is emitted; a slot below the term's first one is of the epoch before; the other
//! origin is found silent only right after all that it has sent was read; the state is a few numbers.

mod act;
mod lift;
mod say;
mod stages;
mod term;
#[cfg(test)]
mod tests;

use std::time::Duration;

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::{Deadline, Time, WallTime, soonest};

pub use self::{
    act::{Act, Effect, Verdict, Wake},
    say::{State, Word},
    term::{Begin, Term},
};
use self::{lift::CLOCKS_DIFFER, say::Sayings};
use crate::{
    Ceiling, Frame, Heard, Inserted, Leadership, Lifts, Side, StageId, can_be_epoch, can_be_lineage,
    leadership,
};

/// One origin of one room. `P` is where the other one is reached.
#[derive(Debug)]
pub struct Origin<P> {
    term: Term,
    /// Slots below the term's first one are of this epoch.
    before: Epoch,
    /// `None` until the room is live, as far as is known here.
    leadership: Option<Leadership>,
    /// Which slots of the other origin are believed.
    ceiling: Ceiling,
    begin: Option<Begin>,
    /// The first slot that is not emitted any more.
    end: Option<Slot>,
    /// Nothing was emitted yet.
    fresh: bool,
    /// All that the other has sent was read, and nothing was concluded since.
    read: bool,
    peer: Option<P>,
    /// Whom this origin follows, and the epoch that it told.
    followed: Option<(P, Epoch)>,
    /// The stream of the other origin stands.
    streams: bool,
    /// The newest stage that was taken.
    stage: StageId,
    lifts: Lifts,
    sayings: Sayings,
}

impl<P: Clone + PartialEq> Origin<P> {
    /// One that knows of no slot yet and waits until the room is live or it is to begin.
    #[must_use]
    pub fn new(term: Term, peer: Option<P>) -> Self {
        Self {
            term,
            before: term.epoch,
            leadership: None,
            ceiling: Ceiling::default(),
            begin: None,
            end: None,
            fresh: true,
            read: false,
            peer,
            followed: None,
            streams: false,
            stage: StageId::default(),
            lifts: Lifts::default(),
            sayings: Sayings::default(),
        }
    }

    /// The term under which it works.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.term
    }

    /// Whether the stage, the room's state and its events come from the other origin.
    #[must_use]
    pub const fn mirrors(&self) -> bool {
        matches!(self.term.side, Side::Mirror)
    }

    /// The lineage that it leads, if it leads.
    #[must_use]
    pub fn leads(&self) -> Option<Lineage> {
        self.leadership.as_ref()?.leads()
    }

    /// The next slot to lead, or to come; `None` if none has been heard of.
    #[must_use]
    pub fn next(&self) -> Option<Slot> {
        self.leadership.as_ref()?.next()
    }

    /// The room is live, for so long by the wall clock: slots are due. It may be said again.
    pub fn become_live(&mut self, now: Time, live: Duration) {
        self.leadership.get_or_insert_with(|| Leadership::keeping(self.term.side, now, live));
    }

    /// Slots from the term's first one on are emitted under it.
    pub fn enter(&mut self, term: Term) {
        if term == self.term {
            return;
        }
        // A claim is learnt of more than once: from frames, a fence, and whoever decides here. What was before it stays.
        if term.epoch != self.term.epoch {
            self.before = self.term.epoch;
        }
        self.term = term;
        if let Some(leadership) = &mut self.leadership {
            leadership.become_side(term.side);
            // What is begun from now on is above all of the epoch before.
            leadership.saw(Lineage::of(term.epoch));
        }
    }

    /// Leads from a slot on, whether it does already or keeps. `wall` and `now` are the same moment. An end that was set
    /// is forgotten.
    pub fn begin(&mut self, now: Time, wall: WallTime, begin: Begin) {
        (self.begin, self.end) = (Some(begin), None);
        match &mut self.leadership {
            Some(leadership) if leadership.next().is_some() => {
                leadership.lead_from(begin.slot, begin.lineage);
            }
            _ => {
                let grid = begin.grid(now, wall);
                self.leadership = Some(Leadership::leading(self.term.side, begin.lineage, grid));
            }
        }
    }

    /// Emits no slot from `end` on.
    pub const fn end_at(&mut self, end: Slot) {
        self.end = Some(end);
        if let Some(leadership) = &mut self.leadership {
            leadership.yield_at(end);
        }
    }

    /// The room's other origin is this one from now on.
    pub fn meet(&mut self, peer: Option<P>) {
        self.peer = peer;
    }

    /// A child has seen this slot and this lineage: one that leads goes on above them, one that keeps begins nothing below.
    /// It may be said again. Returns by how many slots it went forward.
    pub fn lift(&mut self, slot: Slot, lineage: Lineage) -> Option<u64> {
        let side = self.side_above(lineage);
        let leadership = self.leadership.as_mut()?;
        if leadership.leads().is_some() && lineage.epoch() > self.term.epoch {
            leadership.become_side(side);
        }
        let least = if self.fresh { 0 } else { CLOCKS_DIFFER };
        lift::above_seen(leadership, self.term.epoch, least, (slot, lineage))
    }

    /// Somebody below is stuck on this lineage, and takes nothing of a lower one. Returns the lineage that it leads from now on,
    /// if it goes on above that. It may be said again.
    ///
    /// While it hears that the other leads, which of their lineages counts is settled between the two. Two that lead and do not
    /// hear each other do not race: who is given slots by either is not stuck.
    pub fn lift_above_stuck(&mut self, now: Time, stuck: Lineage) -> Option<Lineage> {
        let side = self.side_above(stuck);
        let leadership = self.leadership.as_mut()?;
        if leadership.leads().is_some() {
            if self.streams && self.sayings.other_leads() {
                return None;
            }
            leadership.become_side(side);
        }
        lift::above_stuck(leadership, &mut self.lifts, now, stuck)
    }

    /// This process stood still until then. It may be said again and again.
    pub fn stood_still(&mut self, until: Time) {
        if let Some(leadership) = &mut self.leadership {
            leadership.stood_still(until);
        }
    }

    /// The stream of the other origin has ended.
    pub const fn lost(&mut self) {
        self.streams = false;
        if let Some(leadership) = &mut self.leadership {
            leadership.lost();
        }
    }

    /// Whether a frame of the other origin counts. `clock` is asked for the slot that is under way by one's own clock, if
    /// that tells, while nothing is known of the room.
    pub fn judge(&mut self, now: Time, frame: &Frame, clock: impl FnOnce() -> Option<Slot>) -> Verdict {
        let Term { epoch, from, .. } = self.term;
        if !can_be_epoch(epoch, frame.epoch) || !can_be_lineage(epoch, frame.lineage) {
            Verdict::Refuse
        } else if (frame.epoch < epoch && frame.slot >= from) || !self.ceiling.admits(now, frame.slot, clock)
        {
            Verdict::Drop
        } else {
            Verdict::Pass
        }
    }

    /// A frame of the other origin was passed on, or not.
    pub fn heard(&mut self, now: Time, frame: &Frame, inserted: Inserted) -> Vec<Effect<P>> {
        self.took(now, frame.slot, inserted);
        if inserted == Inserted::Fenced {
            return Vec::new();
        }
        // A frame of a higher epoch is a claim by itself.
        let mut effects = self.fence(frame.epoch, frame.slot);
        let Some(leadership) = &mut self.leadership else { return effects };
        if leadership.heard(now, frame.slot, frame.lineage) == Heard::StepDown {
            self.sayings.keeps();
            effects.push(Effect::StepDown { slot: frame.slot, lineage: frame.lineage });
        }
        effects
    }

    /// The other origin knows of a claim.
    pub fn fence(&mut self, epoch: Epoch, from: Slot) -> Vec<Effect<P>> {
        if epoch <= self.term.epoch {
            return Vec::new();
        }
        if !can_be_epoch(self.term.epoch, epoch) {
            return vec![Effect::Refused];
        }
        let mut effects = vec![Effect::Fence { epoch, from }];
        if self.mirrors() {
            self.enter(Term { epoch, from, ..self.term });
        } else if let Some(by) = self.peer.clone() {
            // An owner's term ends by who decides here, who names the slot.
            effects.push(Effect::Claimed { by, epoch, from });
        }
        effects
    }

    /// The other origin says how it stands.
    pub fn told(&mut self, state: State) -> Word {
        if !can_be_lineage(self.term.epoch, state.lineage) {
            return Word::Refused;
        }
        if let Some(leadership) = &mut self.leadership {
            if leadership.leads().is_none() {
                // What it has led, and this one may not have heard, is not begun here a second time.
                leadership.saw(state.lineage);
            } else if !state.leads && state.lineage.epoch() == self.term.epoch {
                // Somebody has led that and does not any more, and whoever listens to it takes nothing below. If the other
                // leads it still, this one steps down for its slots instead.
                leadership.lift(Slot(0), state.lineage);
            }
        }
        self.sayings.told(state)
    }

    /// All that the other origin has sent was told.
    pub const fn has_read(&mut self) {
        self.read = true;
    }

    /// A slot was mixed and passed on. Returns the lineage before, if this origin leads from now on under this one: then it
    /// is to say so.
    pub fn emitted(&mut self, now: Time, frame: &Frame, inserted: Inserted) -> Option<Lineage> {
        self.took(now, frame.slot, inserted);
        self.fresh = false;
        self.sayings.leads(frame.lineage)
    }

    /// How this origin stands, to tell the other one; `ready` if it could go on with the room at once.
    pub fn say(&mut self, now: Time, ready: bool) -> State {
        let leadership = self.leadership.as_ref();
        let leads = leadership.is_some_and(|leadership| leadership.leads().is_some());
        let lineage = leadership.map(Leadership::lineage).unwrap_or_default();
        self.sayings.say(now, State { leads, lineage, ready })
    }

    /// What to do now; call it until it says nothing, after anything was told and at each deadline.
    pub fn poll(&mut self, now: Time) -> Option<Act<P>> {
        // Before anything is found missing: one that comes late to its end does not take what lies behind it for missing.
        if self.is_over() {
            return Some(Act::Over);
        }
        if let Some(act) = self.lead(now) {
            return Some(act);
        }
        // After the slots that are due: who begins now heard the former one up to there.
        self.follow().or_else(|| self.sayings.is_due(now).then_some(Act::Say))
    }

    /// When to poll next, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Deadline<Wake> {
        let due = self.leadership.as_ref().and_then(Leadership::deadline);
        let due = due.map(|due| {
            due.map(|why| match why {
                leadership::Wake::Slot => Wake::Slot,
                leadership::Wake::Missing => Wake::Missing,
                leadership::Wake::Begin => Wake::Begin,
            })
        });
        let say = Deadline::new(self.sayings.due(), Wake::Say);
        soonest([due, Some(say)]).unwrap_or(say)
    }

    /// What leadership says is to be done.
    fn lead(&mut self, now: Time) -> Option<Act<P>> {
        let side = self.side_above(self.leadership.as_ref()?.lineage());
        let leadership = self.leadership.as_mut()?;
        leadership.become_side(side);
        let read = std::mem::take(&mut self.read);
        let concludes =
            leadership.leads().is_none() && leadership.deadline().is_some_and(|due| due.is_due(now));
        if concludes && !read {
            // Whoever drives this may come late to its turn, and so may what brings the other's frames.
            return Some(Act::Read);
        }
        Some(match leadership.poll(now)? {
            leadership::Act::TakeOver { slot, due } => {
                Act::TakeOver { slot, due, promised: self.sayings.promised() }
            }
            leadership::Act::Emit { due, lineage } => {
                Act::Emit { due, epoch: self.epoch_of(due.slot), lineage }
            }
            leadership::Act::Yielded => {
                self.sayings.keeps();
                Act::Yield
            }
        })
    }

    /// Whether the end has come, led here or by the other origin.
    fn is_over(&self) -> bool {
        let Some(end) = self.end else { return false };
        let comes = |leadership: &Leadership| leadership.next().is_none_or(|next| next >= end);
        self.leadership.as_ref().is_none_or(|leadership| leadership.leads().is_none() && comes(leadership))
    }

    /// Hears the other origin. One that is to lead later hears the former owner up to then, also if it leads meanwhile: where
    /// a cut had parted the two, listeners may be on the former owner's lineage, which is the higher one.
    fn follow(&mut self) -> Option<Act<P>> {
        let next = self.next();
        let waits = self.begin.is_some_and(|begin| next.is_some_and(|next| next < begin.slot));
        let followed = self.followed.as_ref().map(|(peer, _)| peer);
        let another = followed != self.peer.as_ref();
        let told = self.followed.as_ref().is_none_or(|(_, epoch)| *epoch == self.term.epoch);
        if waits || (!another && told) {
            return None;
        }
        if another {
            self.sayings.forget();
            self.streams = false;
        }
        let epoch = self.term.epoch;
        self.followed = self.peer.clone().map(|peer| (peer, epoch));
        Some(Act::Follow { peer: self.peer.clone(), epoch, another })
    }

    /// What this origin is to the epoch of a lineage that was seen: of one above its term not the owner, whatever it is in its
    /// own. The lineages of that which are an owner's are another's to begin.
    fn side_above(&self, seen: Lineage) -> Side {
        if seen.epoch() > self.term.epoch { Side::Mirror } else { self.term.side }
    }

    /// The epoch of a slot that this origin emits.
    fn epoch_of(&self, slot: Slot) -> Epoch {
        if slot >= self.term.from { self.term.epoch } else { self.before }
    }

    fn took(&mut self, now: Time, slot: Slot, inserted: Inserted) {
        if inserted == Inserted::New {
            self.ceiling.took(now, slot);
        }
    }
}
