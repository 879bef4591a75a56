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
//! | `owner` | staying the owner: what a view says, a key that is gone |
//! | `transfer` | an owner that hands its room to an heir |
//! | `mirror` | watching over an owner, claiming from it, stepping aside |
//! | `going` | retiring, ending, stopping; and nothing more |
//!
//! Errands are what is asked of the driver and ends: each end is told with the number of its errand, and one that is not
//! waited for changes nothing. An errand that does not end in [`ERRAND`](crate::timing::ERRAND) counts as one that failed.
//!
//! Invariants: at most one claim and one putting back of a key are under way; an owner that knows of a claim of a higher
//! epoch commits nothing more; what is over does nothing more than to end.

mod going;
mod mirror;
mod owner;
mod transfer;

use stentor_ids::{NodeId, RoomId};
use stentor_pace::{Deadline, Time};

use crate::{Driver, Effect, End, Errand, Event, Here, Shown, Standing, refusal, timing::ERRAND};

use self::{
    going::{Over, Retiring},
    mirror::Mirror,
    owner::Owner,
};

/// Why [`Tenure`] is to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The owner of a mirrored room may have failed; with the detector's reason.
    Detector(crate::detector::Wake),
    /// A key that is gone is to be put back.
    PutBack,
    /// It is to be looked whether the heir is ready.
    Heir,
    /// Edges are to be sent to the successor.
    Redirect,
    /// An errand has not ended in its time.
    Errand,
}

/// A room that this node owns or mirrors, or did.
pub struct Tenure<D: Driver> {
    desk: Desk<D>,
    state: State<D>,
}

enum State<D: Driver> {
    Owner(Owner<D>),
    Mirror(Mirror<D>),
    Retiring(Retiring<D>),
    Over(Over),
}

/// What every state has: who and where it is, what the directory shows, and what it asks for.
struct Desk<D: Driver> {
    me: NodeId,
    room: RoomId,
    shown: Shown,
    errands: u64,
    out: Vec<Effect<D>>,
}

/// An errand that is waited for, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    errand: Errand,
    until: Time,
}

impl Pending {
    fn deadline(this: Option<Self>) -> Option<Deadline<Wake>> {
        this.map(|pending| Deadline::new(pending.until, Wake::Errand))
    }
}

impl<D: Driver> Desk<D> {
    fn ask(&mut self, effect: impl IntoIterator<Item = Effect<D>>) {
        self.out.extend(effect);
    }

    /// Sends the driver on an errand.
    fn send(&mut self, here: &Here, effect: impl FnOnce(Errand) -> Effect<D>) -> Pending {
        self.errands += 1;
        let errand = Errand(self.errands);
        self.out.push(effect(errand));
        Pending { errand, until: here.now + ERRAND }
    }
}

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
        let mut desk = Desk { me, room, shown, errands: 0, out: Vec::new() };
        let state = match standing {
            Standing::Owner(held) => {
                let owner = Owner::new(&desk, held);
                if again {
                    // What was told may not have been committed.
                    desk.ask([Effect::SaveAgain]);
                }
                desk.ask([Effect::Decide(None)]);
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
        match &mut self.state {
            State::Owner(owner) => owner.poll(here, &mut self.desk),
            State::Mirror(mirror) => mirror.poll(here, &mut self.desk),
            State::Retiring(retiring) => retiring.poll(here, &mut self.desk),
            State::Over(over) => over.poll(here, &mut self.desk),
        }
        std::mem::take(&mut self.desk.out)
    }

    /// When to poll next if nothing happens, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline<Wake>> {
        match &self.state {
            State::Owner(owner) => owner.next_deadline(),
            State::Mirror(mirror) => mirror.next_deadline(),
            State::Retiring(retiring) => retiring.next_deadline(),
            State::Over(over) => over.next_deadline(),
        }
    }

    /// What this node is to the room; `None` when that is over.
    #[must_use]
    pub fn standing(&self) -> Option<Standing<D>> {
        match &self.state {
            State::Owner(owner) => Some(Standing::Owner(owner.held.clone())),
            State::Retiring(retiring) => Some(Standing::Owner(retiring.held.clone())),
            State::Mirror(mirror) => {
                Some(Standing::Mirror { held: mirror.held.clone(), owner: mirror.owner.clone() })
            }
            State::Over(_) => None,
        }
    }

    /// Whether this node owns the room and has not heard of a successor.
    #[must_use]
    pub const fn is_owner(&self) -> bool {
        matches!(self.state, State::Owner(_))
    }

    /// Whether this node mirrors the room.
    #[must_use]
    pub const fn is_mirror(&self) -> bool {
        matches!(self.state, State::Mirror(_))
    }

    /// Whether nothing more is to come.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    /// Whether this node's own key is gone and not back yet: then nothing can be committed.
    #[must_use]
    pub const fn has_lost_its_key(&self) -> bool {
        match &self.state {
            State::Owner(owner) => owner.put_back.is_gone(),
            State::Mirror(mirror) => mirror.put_back.is_gone(),
            State::Retiring(_) | State::Over(_) => false,
        }
    }

    /// The room's other origin: the mirror that an owner has, or the owner of a mirror.
    #[must_use]
    pub fn other(&self) -> Option<&NodeId> {
        match &self.state {
            State::Owner(owner) => owner.mirror(),
            State::Mirror(mirror) => Some(&mirror.owner.node),
            State::Retiring(retiring) => retiring.mirror.as_ref(),
            State::Over(_) => None,
        }
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
        match &mut self.state {
            State::Owner(owner) => owner.key_gone(here, &mut self.desk),
            State::Mirror(mirror) => mirror.key_gone(here, &mut self.desk),
            State::Retiring(_) | State::Over(_) => {}
        }
    }

    fn done(&mut self, here: &Here, errand: Errand, end: End<D>) {
        match (&mut self.state, end) {
            (State::Owner(_), end) => self.owner_done(here, errand, end),
            (State::Mirror(_), end) => self.mirror_done(here, errand, end),
            (State::Over(over), End::Released | End::Failed) => over.released(errand, &mut self.desk),
            (State::Retiring(_) | State::Over(_), _) => {}
        }
    }
}

/// A key of this node's that may be gone, and how it is put back.
#[derive(Debug, Default)]
struct PutBack {
    /// When to try next; `None` while the key is there.
    next: Option<Time>,
    pending: Option<Pending>,
}

impl PutBack {
    const fn is_gone(&self) -> bool {
        self.next.is_some()
    }

    /// The key is gone: it is put back at once.
    fn gone(&mut self, now: Time) {
        self.next = Some(now);
    }

    /// Whether it is to be tried now.
    fn is_due(&mut self, now: Time) -> bool {
        if self.pending.is_some_and(|pending| pending.until <= now) {
            self.pending = None;
        }
        self.pending.is_none() && self.next.is_some_and(|next| next <= now)
    }

    /// Whether this errand is the one that is waited for; then it is no longer.
    fn ended(&mut self, errand: Errand) -> bool {
        self.pending.take_if(|pending| pending.errand == errand).is_some()
    }

    fn next_deadline(&self) -> Option<Deadline<Wake>> {
        match self.pending {
            Some(_) => Pending::deadline(self.pending),
            None => self.next.map(|next| Deadline::new(next, Wake::PutBack)),
        }
    }
}
