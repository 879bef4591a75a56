//! Which parents of one room to be connected to: the best two of a ranked list, with a rest for those that failed, and a
//! replacement that delivers before the replaced is let go. It does not know where the list comes from (the tree, the
//! owner), nor how one connects.
//!
//! | a link is | until | then |
//! |---|---|---|
//! | connecting | it opens, or [`CONNECT`] passes | open, or failed |
//! | open | another delivers and it does not for [`STALL`], or nobody delivers for [`SILENT`] | failed |
//! | leaving (no longer among the best two) | the best two deliver, or [`LEAVE`] passes | dropped |
//!
//! Invariants: never more than `2 × PARENTS` links; a rest is never longer than [`REST_CAP`]; polling twice at one
//! moment changes nothing.

use std::time::Duration;

use stentor_pace::{Backoff, Deadline, Time, soonest};

/// Parents that a room has at once: one of them may fail without a slot being lost.
pub const PARENTS: usize = 2;
/// Candidates looked at. Beyond two one needs as many as may fail at once; the lowest ranked are not looked at.
pub const MAX_CANDIDATES: usize = 8;
/// How long a live stream may bring no slot while another brings them: 25 slots, far above jitter, and well within what
/// the other parent and the ring cover.
pub const STALL: Duration = Duration::from_millis(500);
/// How long a live stream may bring no slot while none does. Then the source is most likely gone, and connecting anew
/// to those who wait for it too changes nothing; it is tried all the same, seldom.
pub const SILENT: Duration = Duration::from_secs(4);
/// How long a stream may take to open, and once open to bring its first slot: the parent may have to connect upwards.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a link must have been good before it counts as a replacement, and its failures are forgotten.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a replaced parent is kept if its replacement does not deliver.
const LEAVE: Duration = Duration::from_secs(5);
/// First ceiling of a failed candidate's rest, and the highest.
const REST_BASE: Duration = Duration::from_millis(250);
const REST_CAP: Duration = Duration::from_secs(5);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<P> {
    /// Open a stream from this parent.
    Connect(P),
    /// Close the stream from this parent, or give up opening it.
    Drop(P, Why),
}

/// Why a parent is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It did not open in time.
    TimedOut,
    /// Another delivers and it does not.
    Stalled,
    /// Nobody delivers.
    Silent,
    /// Better ones have taken its place.
    Replaced,
}

/// What a deadline of [`Parents`] is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// A link fails unless it opens or delivers.
    Check,
    /// A link will have been good for long enough.
    Settle,
    /// A leaving link has had its time.
    Leave,
    /// A failed candidate may be tried again.
    Rest,
}

/// The parents of one room at one node. `P` names a parent; a name stands for one place, so a node that comes back
/// at another address has another.
#[derive(Debug)]
pub struct Parents<P> {
    /// Best first.
    candidates: Vec<Candidate<P>>,
    links: Vec<Link<P>>,
    live: bool,
}

#[derive(Debug)]
struct Candidate<P> {
    parent: P,
    backoff: Backoff,
    resting: Option<Time>,
}

#[derive(Debug)]
struct Link<P> {
    parent: P,
    state: State,
    /// Since when it is not among the best any more.
    leaving: Option<Time>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Connecting { since: Time },
    Open { since: Time, last_slot: Option<Time> },
}

impl<P> Default for Parents<P> {
    fn default() -> Self {
        Self { candidates: Vec::new(), links: Vec::new(), live: false }
    }
}

impl<P: Clone + PartialEq> Parents<P> {
    /// The candidates, best first. Those known already keep their rest. With none, links that deliver stay.
    pub fn rank(&mut self, ranked: Vec<P>) {
        let mut known = std::mem::take(&mut self.candidates);
        for parent in ranked.into_iter().take(MAX_CANDIDATES) {
            let candidate = match known.iter().position(|candidate| candidate.parent == parent) {
                Some(place) => known.swap_remove(place),
                None => Candidate { parent, backoff: Backoff::new(REST_BASE, REST_CAP), resting: None },
            };
            self.candidates.push(candidate);
        }
    }

    /// Whether the room is on the air, so that slots are due.
    pub fn become_live(&mut self, now: Time, live: bool) {
        if live && !self.live {
            for link in &mut self.links {
                if let State::Open { since, last_slot } = &mut link.state {
                    (*since, *last_slot) = (now, None);
                }
            }
        }
        self.live = live;
    }

    /// The stream from a parent is open.
    pub fn opened(&mut self, now: Time, parent: &P) {
        if let Some(link) = self.links.iter_mut().find(|link| link.parent == *parent) {
            link.state = State::Open { since: now, last_slot: None };
        }
    }

    /// A parent brought a slot, whether or not it was the first to.
    pub fn delivered(&mut self, now: Time, parent: &P) {
        if let Some(Link { state: State::Open { last_slot, .. }, .. }) =
            self.links.iter_mut().find(|link| link.parent == *parent)
        {
            *last_slot = Some(now);
        }
    }

    /// The stream from a parent ended or did not open; it rests for a while. `random` is any number.
    pub fn lost(&mut self, now: Time, parent: &P, random: u64) {
        self.links.retain(|link| link.parent != *parent);
        if let Some(candidate) = self.candidates.iter_mut().find(|candidate| candidate.parent == *parent) {
            candidate.resting = Some(now + candidate.backoff.next(random));
        }
    }

    /// A parent said that it is leaving: it is the last choice from now on, and goes once others deliver.
    pub fn moves(&mut self, now: Time, parent: &P) {
        if let Some(candidate) = self.candidates.iter_mut().find(|candidate| candidate.parent == *parent) {
            candidate.resting = Some(now + REST_CAP);
        }
    }

    /// There is reason to believe that a parent can be had now, whatever happened before: it rests no longer.
    pub fn revive(&mut self, parent: &P) {
        if let Some(candidate) = self.candidates.iter_mut().find(|candidate| candidate.parent == *parent) {
            candidate.backoff.reset();
            candidate.resting = None;
        }
    }

    /// Appends what is to be done now. Call it after anything was told, and at each deadline.
    pub fn poll(&mut self, now: Time, random: u64, actions: &mut Vec<Action<P>>) {
        self.drop_failed(now, random, actions);
        for candidate in &mut self.candidates {
            candidate.resting = candidate.resting.filter(|until| *until > now);
        }
        self.retarget(now, actions);
        self.drop_leaving(now, actions);
    }

    /// When to poll next, and why.
    #[must_use]
    pub fn next_deadline(&self, now: Time) -> Option<Deadline<Wake>> {
        let leaving = self.links.iter().any(|link| link.leaving.is_some());
        let links = self.links.iter().flat_map(|link| {
            let check = self.fails_at(link, now).map(|(at, _)| Deadline::new(at, Wake::Check));
            let settle = link.settles_at().filter(|at| leaving && *at > now);
            let settle = settle.map(|at| Deadline::new(at, Wake::Settle));
            let leave = link.leaving.filter(|_| self.has_target());
            [check, settle, leave.map(|since| Deadline::new(since + LEAVE, Wake::Leave))]
        });
        let rests = self.candidates.iter().map(|one| one.resting.map(|at| Deadline::new(at, Wake::Rest)));
        soonest(links.chain(rests))
    }

    /// The best parent that is open: the one that the counts of an edge go to, so that no listener is counted twice.
    #[must_use]
    pub fn best(&self) -> Option<&P> {
        let open = |parent: &&P| {
            self.links.iter().any(|link| link.parent == **parent && matches!(link.state, State::Open { .. }))
        };
        let ranked = self.candidates.iter().map(|candidate| &candidate.parent);
        ranked.chain(self.links.iter().map(|link| &link.parent)).find(open)
    }

    /// How many links there are, in whatever state.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links.len()
    }

    fn has_target(&self) -> bool {
        self.links.iter().any(|link| link.leaving.is_none())
    }

    fn drop_failed(&mut self, now: Time, random: u64, actions: &mut Vec<Action<P>>) {
        let failed: Vec<_> = self
            .links
            .iter()
            .filter_map(|link| Some((link.parent.clone(), self.fails_at(link, now)?)))
            .filter(|(_, (at, _))| *at <= now)
            .map(|(parent, (_, why))| (parent, why))
            .collect();
        for (parent, why) in failed {
            // Who is silent with all others is tried again at once: resting would only delay the return of the audio.
            if why == Why::Silent {
                self.links.retain(|link| link.parent != parent);
            } else {
                self.lost(now, &parent, random);
            }
            actions.push(Action::Drop(parent, why));
        }
    }

    /// Makes the best candidates that do not rest the ones that are connected to.
    fn retarget(&mut self, now: Time, actions: &mut Vec<Action<P>>) {
        let live = self.live;
        let ready = self.candidates.iter_mut().filter(|candidate| candidate.resting.is_none());
        let target: Vec<_> = ready.take(PARENTS).collect();
        for link in &mut self.links {
            let wanted = target.iter().any(|candidate| candidate.parent == link.parent);
            link.leaving = if wanted { None } else { link.leaving.or(Some(now)) };
        }
        for candidate in target {
            match self.links.iter().find(|link| link.parent == candidate.parent) {
                Some(link) if link.is_settled(now, live) => candidate.backoff.reset(),
                Some(_) => {}
                None => {
                    let parent = candidate.parent.clone();
                    actions.push(Action::Connect(parent.clone()));
                    self.links.push(Link { parent, state: State::Connecting { since: now }, leaving: None });
                }
            }
        }
    }

    fn drop_leaving(&mut self, now: Time, actions: &mut Vec<Action<P>>) {
        let has_target = self.has_target();
        let live = self.live;
        let mut wanted = self.links.iter().filter(|link| link.leaving.is_none());
        let replaced = has_target && wanted.all(|link| link.is_settled(now, live));
        let mut surplus = self.links.len().saturating_sub(2 * PARENTS);
        // While the best two change faster than they open, those that deliver are the last to go.
        for idle in [true, false] {
            self.links.retain(|link| {
                let Some(since) = link.leaving.filter(|_| link.delivers(now) != idle) else { return true };
                let over = replaced || (has_target && now.since(since) >= LEAVE) || surplus > 0;
                if over {
                    surplus = surplus.saturating_sub(1);
                    actions.push(Action::Drop(link.parent.clone(), Why::Replaced));
                }
                !over
            });
        }
    }

    /// When the link fails if nothing comes from it, and as what.
    fn fails_at(&self, link: &Link<P>, now: Time) -> Option<(Time, Why)> {
        match link.state {
            State::Connecting { since } => Some((since + CONNECT, Why::TimedOut)),
            State::Open { .. } if !self.live => None,
            State::Open { since, last_slot } => {
                let delivers = |other: &Link<P>| other.parent != link.parent && other.delivers(now);
                let silent = (last_slot.unwrap_or(since) + SILENT, Why::Silent);
                let stalled = last_slot.map_or(since + CONNECT, |at| at + STALL);
                let others = self.links.iter().any(delivers);
                Some(if others { (stalled, Why::Stalled) } else { silent })
            }
        }
    }
}

impl<P> Link<P> {
    fn delivers(&self, now: Time) -> bool {
        matches!(self.state, State::Open { last_slot: Some(at), .. } if now.since(at) < STALL)
    }

    fn settles_at(&self) -> Option<Time> {
        match self.state {
            State::Open { since, .. } => Some(since + SETTLE),
            State::Connecting { .. } => None,
        }
    }

    fn is_settled(&self, now: Time, live: bool) -> bool {
        self.settles_at().is_some_and(|at| at <= now) && (!live || self.delivers(now))
    }
}
