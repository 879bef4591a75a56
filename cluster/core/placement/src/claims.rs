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
//! Invariant: what is remembered is no more than the seats that are empty now, and those shunned.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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
#[derive(Debug, Default)]
pub struct Claims {
    since: BTreeMap<(RoomId, SeatKind), Time>,
    /// Until when.
    shunned: BTreeMap<(RoomId, SeatKind), Time>,
}

impl Claims {
    /// Leaves a seat to other nodes until `until`.
    pub fn shun(&mut self, room: RoomId, seat: SeatKind, until: Time) {
        self.shunned.insert((room, seat), until);
    }

    /// A claim ended and the seat is not ours: the time of its vacancy starts anew.
    pub fn restart(&mut self, room: &RoomId, seat: SeatKind, now: Time) {
        self.since.insert((room.clone(), seat), now);
    }

    /// What to claim now, and when to ask again if nothing changes. `nodes` are the origins, this one among them; a
    /// vacancy that is not named has been filled.
    pub fn due<R: Copy>(
        &mut self,
        now: Time,
        me: &NodeId,
        nodes: &[Candidate<'_>],
        vacancies: &[Vacancy<'_, R>],
    ) -> (Vec<Claim<R>>, Option<Time>) {
        let empty: BTreeSet<_> =
            vacancies.iter().map(|vacancy| (vacancy.room, vacancy.seat.kind())).collect();
        self.since.retain(|(room, seat), _| empty.contains(&(room, *seat)));
        self.shunned.retain(|_, until| *until > now);
        let (mut due, mut next) = (Vec::new(), None);
        for vacancy in vacancies {
            let seat = (vacancy.room.clone(), vacancy.seat.kind());
            let since = *self.since.entry(seat.clone()).or_insert(now);
            let Some(place) = place(vacancy, me, nodes) else { continue };
            let shunned = self.shunned.get(&seat).copied().unwrap_or_default();
            let at = shunned.max(since + claim_delay(place));
            if at <= now {
                let (room, seat) = seat;
                due.push(Claim { room, seat, preempt: vacancy.stale, since });
            } else {
                next = Some(next.map_or(at, |next: Time| next.min(at)));
            }
        }
        (due, next)
    }
}

/// This node's place for the seat, counted from 0.
fn place<R>(vacancy: &Vacancy<'_, R>, me: &NodeId, nodes: &[Candidate<'_>]) -> Option<usize> {
    let place = ranking(vacancy, nodes).iter().position(|node| node == me)?;
    Some(if vacancy.stale.is_some() { 1 } else { place })
}

/// Who may claim the seat, first who is to.
fn ranking<R>(vacancy: &Vacancy<'_, R>, nodes: &[Candidate<'_>]) -> Vec<NodeId> {
    let (room, able) = (vacancy.room, readers(nodes, vacancy.schema));
    match vacancy.seat {
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
