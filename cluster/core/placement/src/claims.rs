//! Which empty seats this node is to claim, and when: a room's owner, and its mirror. Pure: it is told what the view shows
//! and what time it is.
//!
//! | seat | its ranking |
//! |---|---|
//! | owner | the mirror, if it stays; then [`rank`], each one place later |
//! | mirror | [`rank_apart`] from the owner's zone, without the owner |
//!
//! An empty seat is claimed by the node at place `i` of its ranking after `i` claim steps, counted from when this node first
//! saw it empty. A node has no place for a seat that it has just given up, nor while it drains, nor for a room whose record it
//! cannot read.
//!
//! A seat whose key names this node, while this node does not hold it, is what an ambiguous time-out or a former process
//! of this node has left; the node waits one step, as if it stood at the second place, and claims it over.
//!
//! A seat is ranked when it is seen empty, when the nodes have changed, and when its turn has come: what nodes own may be
//! another by then.
//!
//! Invariant: what is remembered is no more than the seats that are empty now, and those shunned.

use std::{collections::BTreeMap, time::Duration};

use stentor_ids::{NodeId, RoomId};
use stentor_pace::Time;

use crate::{Candidate, rank, rank_apart, readers};

/// What the node at each further place waits longer before it claims an empty seat: time for the one before it to claim
/// and for the watch to tell.
pub const CLAIM_STEP: Duration = Duration::from_millis(300);

/// How long the node at this place of a ranking, counted from 0, waits before it claims an empty seat.
#[must_use]
pub const fn claim_delay(place: usize) -> Duration {
    CLAIM_STEP.saturating_mul(if place > u32::MAX as usize { u32::MAX } else { place as u32 })
}

/// A room that is open or live and lacks an owner or a mirror. `R` is what names the state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacancy<'a, R> {
    /// The room.
    pub room: &'a RoomId,
    /// The seat that nobody holds.
    pub seat: Seat<'a>,
    /// The seat's key, if it names this node, which does not hold the seat.
    pub stale: Option<R>,
    /// The schema of the room's record.
    pub schema: u32,
}

/// A seat, and who has the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat<'a> {
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

impl Seat<'_> {
    /// Which seat it is.
    #[must_use]
    pub const fn kind(&self) -> SeatKind {
        match self {
            Self::Owner { .. } => SeatKind::Owner,
            Self::Mirror { .. } => SeatKind::Mirror,
        }
    }

    /// Who has the room's other seat.
    const fn other(&self) -> Option<&NodeId> {
        match self {
            Self::Owner { mirror } => *mirror,
            Self::Mirror { owner } => Some(owner),
        }
    }
}

/// One of a room's two seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeatKind {
    /// The owner's.
    Owner,
    /// The mirror's.
    Mirror,
}

/// A seat to claim now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<R> {
    /// The room.
    pub room: RoomId,
    /// The seat.
    pub seat: SeatKind,
    /// The key to replace.
    pub preempt: Option<R>,
    /// Since when the seat is empty.
    pub since: Time,
}

/// Since when which seats are empty, and which this node leaves to others.
#[derive(Debug)]
pub struct Claims<R> {
    empty: BTreeMap<(RoomId, SeatKind), Empty<R>>,
    /// Until when.
    shunned: BTreeMap<(RoomId, SeatKind), Time>,
}

/// An empty seat.
#[derive(Debug)]
struct Empty<R> {
    since: Time,
    /// Who has the room's other seat.
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
    /// Leaves a seat to other nodes until `until`.
    pub fn shun(&mut self, room: RoomId, seat: SeatKind, until: Time) {
        self.shunned.insert((room, seat), until);
    }

    /// A claim ended and the seat is not ours: if it is still empty, the time of its vacancy starts anew.
    pub fn restart(&mut self, room: &RoomId, seat: SeatKind, now: Time) {
        if let Some(empty) = self.empty.get_mut(&(room.clone(), seat)) {
            empty.since = now;
        }
    }

    /// Whether no seat is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.empty.is_empty()
    }

    /// A seat is seen empty.
    pub fn vacant(&mut self, now: Time, vacancy: &Vacancy<'_, R>) {
        let Vacancy { stale, schema, .. } = *vacancy;
        let other = vacancy.seat.other();
        let key = (vacancy.room.clone(), vacancy.seat.kind());
        let fresh = |since| Empty { since, other: other.cloned(), stale, schema, place: None };
        let empty = self.empty.entry(key).or_insert_with(|| fresh(now));
        if (empty.other.as_ref(), empty.stale, empty.schema) != (other, stale, schema) {
            *empty = fresh(empty.since);
        }
    }

    /// A seat is seen filled, or not wanted.
    pub fn filled(&mut self, room: &RoomId, seat: SeatKind) {
        self.empty.remove(&(room.clone(), seat));
    }

    /// All seats but those that `still` names are seen filled.
    pub fn keep(&mut self, mut still: impl FnMut(&RoomId, SeatKind) -> bool) {
        self.empty.retain(|(room, seat), _| still(room, *seat));
    }

    /// The nodes have changed: every seat is ranked anew.
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
                    let (room, seat) = key.clone();
                    due.push(Claim { room, seat, preempt: empty.stale, since });
                }
                Some(at) => next = Some(next.map_or(at, |next: Time| next.min(at))),
                None => {}
            }
        }
        (due, next)
    }
}

impl<R> Empty<R> {
    /// This node's place for the seat, counted from 0.
    fn place_of(
        &self,
        (room, seat): &(RoomId, SeatKind),
        me: &NodeId,
        nodes: &[Candidate<'_>],
    ) -> Option<usize> {
        let seat = match (seat, &self.other) {
            (SeatKind::Mirror, Some(owner)) => Seat::Mirror { owner },
            (_, mirror) => Seat::Owner { mirror: mirror.as_ref() },
        };
        let place = ranking(room, seat, nodes, self.schema).iter().position(|node| node == me)?;
        Some(if self.stale.is_some() { 1 } else { place })
    }
}

/// Who may claim the seat, first who is to.
fn ranking(room: &RoomId, seat: Seat<'_>, nodes: &[Candidate<'_>], schema: u32) -> Vec<NodeId> {
    let able = readers(nodes, schema);
    match seat {
        Seat::Owner { mirror } => {
            let mut ranked = rank(room, &able);
            if let Some(place) = ranked.iter().position(|node| Some(node) == mirror) {
                ranked[..=place].rotate_right(1);
            }
            ranked
        }
        Seat::Mirror { owner } => {
            let zone = nodes.iter().find(|node| node.id == owner).map_or("", |node| node.zone);
            let mut ranked = rank_apart(room, &able, zone);
            ranked.retain(|node| node != owner);
            ranked
        }
    }
}
