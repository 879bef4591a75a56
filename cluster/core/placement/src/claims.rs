//! Which empty offices this node is to claim, and when: a room's owner, and its mirror. Pure: it is told what the view
//! shows and what time it is.
//!
//! | office | its ranking |
//! |---|---|
//! | owner | the mirror, if it stays; then [`rank`], each one place later |
//! | mirror | [`heirs`] |
//!
//! An empty office is claimed by the node at place `i` of its ranking after `i` claim steps, counted from when this
//! node first saw it empty. A node has no place for an office that it has just given up, nor while it drains, nor for a
//! room whose record it cannot read.
//!
//! An office whose key names this node, while this node does not hold it, is what an ambiguous time-out or a former
//! process of this node has left; the node waits one step, as if it stood at the second place, and claims it over.
//!
//! An office is ranked when it is seen empty, when the nodes have changed, and when its turn has come: what nodes own
//! may be another by then.
//!
//! Invariant: what is remembered is no more than the offices that are empty now, and those shunned.

use std::{collections::BTreeMap, time::Duration};

use stentor_ids::{NodeId, RoomId};
use stentor_pace::Time;

use crate::{Candidate, heirs, rank, rank::readers};

/// What the node at each further place waits longer before it claims an empty office: time for the one before it to
/// claim and for the watch to tell.
pub const CLAIM_STEP: Duration = Duration::from_millis(300);

/// Claims of one node under way at once. When an origin with many rooms dies, its rooms are claimed in as many turns; each
/// takes two round trips to the directory.
pub const CLAIMS_AT_ONCE: usize = 16;

/// How long the node at this place of a ranking, counted from 0, waits before it claims an empty office.
#[must_use]
pub const fn claim_delay(place: usize) -> Duration {
    CLAIM_STEP.saturating_mul(if place > u32::MAX as usize { u32::MAX } else { place as u32 })
}

/// A room that is open or live and lacks an owner or a mirror. `R` is what names the state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacancy<'a, R> {
    /// The room.
    pub room: &'a RoomId,
    /// The office that nobody holds.
    pub office: Office<'a>,
    /// The office's key, if it names this node, which does not hold the office.
    pub stale: Option<R>,
    /// The schema of the room's record.
    pub schema: u32,
}

/// A key of an office, as a view shows it: whose it is, and its state.
pub type Key<'a, R> = Option<(&'a NodeId, R)>;

impl<'a, R: Copy> Vacancy<'a, R> {
    /// What is empty of a room that is open or live and that `me` does not run, as far as its keys tell: an office that nobody
    /// holds, or whose key names `me`. A mirror that does not `stay` is not preferred as the next owner.
    pub fn of(
        me: &NodeId,
        room: &'a RoomId,
        schema: u32,
        [owner, mirror]: [Key<'a, R>; 2],
        stays: impl Fn(&NodeId) -> bool,
    ) -> Option<Self> {
        let (office, stale) = match (owner, mirror) {
            (None, mirror) => {
                (Office::Owner { mirror: mirror.map(|(node, _)| node).filter(|node| stays(node)) }, None)
            }
            (Some((owner, key)), _) if owner == me => (Office::Owner { mirror: None }, Some(key)),
            (Some((owner, _)), None) => (Office::Mirror { owner }, None),
            (Some((owner, _)), Some((mirror, key))) if mirror == me => (Office::Mirror { owner }, Some(key)),
            (Some(_), Some(_)) => return None,
        };
        Some(Self { room, office, stale, schema })
    }
}

/// An office, and who has the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Office<'a> {
    /// The owner's.
    Owner {
        /// Who mirrors the room, if anyone.
        mirror: Option<&'a NodeId>,
    },
    /// The mirror's.
    Mirror {
        /// Who owns the room.
        owner: &'a NodeId,
    },
}

impl Office<'_> {
    /// Which office it is.
    #[must_use]
    pub const fn kind(&self) -> OfficeKind {
        match self {
            Self::Owner { .. } => OfficeKind::Owner,
            Self::Mirror { .. } => OfficeKind::Mirror,
        }
    }

    /// Who has the room's other office.
    const fn other(&self) -> Option<&NodeId> {
        match self {
            Self::Owner { mirror } => *mirror,
            Self::Mirror { owner } => Some(owner),
        }
    }
}

/// One of a room's two offices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OfficeKind {
    /// The owner's.
    Owner,
    /// The mirror's.
    Mirror,
}

/// An office to claim now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<R> {
    /// The room.
    pub room: RoomId,
    /// The office.
    pub office: OfficeKind,
    /// The key to replace.
    pub preempt: Option<R>,
    /// Since when the office is empty.
    pub since: Time,
}

/// Since when which offices are empty, and which this node leaves to others.
#[derive(Debug)]
pub struct Claims<R> {
    empty: BTreeMap<(RoomId, OfficeKind), Empty<R>>,
    /// Until when.
    shunned: BTreeMap<(RoomId, OfficeKind), Time>,
}

/// An empty office.
#[derive(Debug)]
struct Empty<R> {
    since: Time,
    /// Who has the room's other office.
    other: Option<NodeId>,
    stale: Option<R>,
    schema: u32,
    /// This node's place for it, if it has one; not known before it is ranked.
    place: Option<Option<usize>>,
}

impl<R> Default for Claims<R> {
    fn default() -> Self {
        Self { empty: BTreeMap::new(), shunned: BTreeMap::new() }
    }
}

impl<R: Copy + PartialEq> Claims<R> {
    /// Leaves an office to other nodes until `until`.
    pub fn shun(&mut self, room: RoomId, office: OfficeKind, until: Time) {
        self.shunned.insert((room, office), until);
    }

    /// A claim ended and the office is not ours: if it is still empty, the time of its vacancy starts anew.
    pub fn restart(&mut self, room: &RoomId, office: OfficeKind, now: Time) {
        if let Some(empty) = self.empty.get_mut(&(room.clone(), office)) {
            empty.since = now;
        }
    }

    /// Whether no office is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.empty.is_empty()
    }

    /// An office is seen empty.
    pub fn vacant(&mut self, now: Time, vacancy: &Vacancy<'_, R>) {
        let Vacancy { stale, schema, .. } = *vacancy;
        let other = vacancy.office.other();
        let key = (vacancy.room.clone(), vacancy.office.kind());
        let fresh = |since| Empty { since, other: other.cloned(), stale, schema, place: None };
        let empty = self.empty.entry(key).or_insert_with(|| fresh(now));
        if (empty.other.as_ref(), empty.stale, empty.schema) != (other, stale, schema) {
            *empty = fresh(empty.since);
        }
    }

    /// An office is seen filled, or not wanted.
    pub fn filled(&mut self, room: &RoomId, office: OfficeKind) {
        self.empty.remove(&(room.clone(), office));
    }

    /// All offices but those that `still` names are seen filled.
    pub fn keep(&mut self, mut still: impl FnMut(&RoomId, OfficeKind) -> bool) {
        self.empty.retain(|(room, office), _| still(room, *office));
    }

    /// The nodes have changed: every office is ranked anew.
    pub fn nodes_changed(&mut self) {
        self.empty.values_mut().for_each(|empty| empty.place = None);
    }

    /// What to claim now, and when to ask again if nothing changes. `nodes` are the origins, this one among them.
    pub fn due(&mut self, now: Time, me: &NodeId, nodes: &[Candidate<'_>]) -> (Vec<Claim<R>>, Option<Time>) {
        self.shunned.retain(|_, until| *until > now);
        let (mut due, mut next) = (Vec::new(), None);
        for (key, empty) in &mut self.empty {
            let shunned = self.shunned.get(key).copied().unwrap_or_default();
            let since = empty.since;
            let turn = |place: Option<usize>| place.map(|place| shunned.max(since + claim_delay(place)));
            let known = empty.place.map(turn);
            let at = match known {
                Some(at) if at.is_none_or(|at| at > now) => at,
                _ => turn(*empty.place.insert(empty.place_of(key, me, nodes))),
            };
            match at {
                Some(at) if at <= now => {
                    let (room, office) = key.clone();
                    due.push(Claim { room, office, preempt: empty.stale, since });
                }
                Some(at) => next = Some(next.map_or(at, |next: Time| next.min(at))),
                None => {}
            }
        }
        (due, next)
    }
}

impl<R> Empty<R> {
    /// This node's place for the office, counted from 0.
    fn place_of(
        &self,
        (room, office): &(RoomId, OfficeKind),
        me: &NodeId,
        nodes: &[Candidate<'_>],
    ) -> Option<usize> {
        let office = match (office, &self.other) {
            (OfficeKind::Mirror, Some(owner)) => Office::Mirror { owner },
            (_, mirror) => Office::Owner { mirror: mirror.as_ref() },
        };
        let place = ranking(room, office, nodes, self.schema).iter().position(|node| node == me)?;
        Some(if self.stale.is_some() { 1 } else { place })
    }
}

/// Who may claim the office, first who is to.
fn ranking(room: &RoomId, office: Office<'_>, nodes: &[Candidate<'_>], schema: u32) -> Vec<NodeId> {
    match office {
        Office::Owner { mirror } => {
            let mut ranked = rank(room, &readers(nodes, schema));
            if let Some(place) = ranked.iter().position(|node| Some(node) == mirror) {
                ranked[..=place].rotate_right(1);
            }
            ranked
        }
        Office::Mirror { owner } => heirs(room, nodes, schema, owner),
    }
}
