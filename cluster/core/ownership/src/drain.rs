//! A node that leaves: which of its rooms it offers to others now, how many at once, when offering one is in vain, and when it
//! steps aside from those that it mirrors.
//!
//! | a room | then |
//! |---|---|
//! | it owns one | offered, at most [`OFFERED_AT_ONCE`] at a time |
//! | the offer was refused at once | offered again after [`OFFER_AGAIN`], until each was for [`OFFERED`]: then it is left, and told |
//! | the offer failed after longer | offered again: an heir tried, and was not ready in time |
//! | the offer was taken | it goes, once its last slot is out |
//! | it mirrors one | asked to step aside once no offer is open |
//! | it mirrored one and owns it now | offered as well |
//!
//! Whoever drives this tells what runs at the node, then polls; it tells the end of each offer and of each step aside.
//!
//! Invariant: of each room at most one offer or step aside is under way; what is remembered is no more than the rooms that the
//! node had since it began to leave.

use std::collections::BTreeMap;

use stentor_ids::Fault;
use stentor_pace::Time;

use crate::timing::{OFFER_AGAIN, OFFERED, OFFERED_AT_ONCE};

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act<R> {
    /// Offer a room that this node owns to the best other origin; its end is told to [`Drain::offered`].
    Offer(R),
    /// Mirror a room no more; its end is told to [`Drain::stepped_aside`].
    StepAside(R),
}

/// A node that leaves. `R` names a room.
#[derive(Debug)]
pub struct Drain<R> {
    rooms: BTreeMap<R, Room>,
}

#[derive(Debug)]
struct Room {
    owned: bool,
    stand: Stand,
    /// Since when each offer was refused at once.
    refused_since: Option<Time>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stand {
    /// To be offered, or to step aside, from then on.
    Due(Time),
    /// Offered, or asked to step aside, then.
    Asked(Time),
    /// Another node takes it.
    Taken,
    /// Nobody takes it, for this.
    Refused(Fault),
    /// It does not run here any more.
    Gone,
}

impl Room {
    const fn new(owned: bool) -> Self {
        Self { owned, stand: Stand::Due(Time::from_micros(0)), refused_since: None }
    }
}

impl<R> Default for Drain<R> {
    fn default() -> Self {
        Self { rooms: BTreeMap::new() }
    }
}

impl<R: Clone + Ord> Drain<R> {
    /// These rooms run at the node, and whether it owns them; no other does.
    pub fn shown(&mut self, running: impl IntoIterator<Item = (R, bool)>) {
        let running: BTreeMap<R, bool> = running.into_iter().collect();
        for (name, room) in &mut self.rooms {
            match running.get(name) {
                None => room.stand = Stand::Gone,
                // One that came back, or that is another's to decide or this node's, is begun with anew.
                Some(owned) if room.stand == Stand::Gone || room.owned != *owned => *room = Room::new(*owned),
                Some(_) => {}
            }
        }
        for (name, owned) in running {
            self.rooms.entry(name).or_insert_with(|| Room::new(owned));
        }
    }

    /// What to do now; call it until it says nothing, after anything was told and at [`next_deadline`](Self::next_deadline).
    pub fn poll(&mut self, now: Time) -> Option<Act<R>> {
        let owned = self.is_open(true);
        if owned && self.offers() >= OFFERED_AT_ONCE {
            return None;
        }
        // What it owns goes first: if the time is too short, a mirror that ends with its node is not heard, and an owner is claimed from.
        let is_due = |room: &Room| room.owned == owned && matches!(room.stand, Stand::Due(at) if at <= now);
        let (name, room) = self.rooms.iter_mut().find(|(_, room)| is_due(room))?;
        room.stand = Stand::Asked(now);
        Some(if owned { Act::Offer(name.clone()) } else { Act::StepAside(name.clone()) })
    }

    /// An offer has ended: another node takes the room, or why none does.
    pub fn offered(&mut self, now: Time, name: &R, outcome: Result<(), Fault>) {
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.owned) else { return };
        let Stand::Asked(made) = room.stand else { return };
        room.stand = match outcome {
            Ok(()) => Stand::Taken,
            Err(fault) if room.is_vain(made, now) => Stand::Refused(fault),
            Err(_) => Stand::Due(now + OFFER_AGAIN),
        };
    }

    /// A room that was mirrored has been told, or could not be. One that is shown still is told again.
    pub fn stepped_aside(&mut self, now: Time, name: &R) {
        if let Some(room) = self.rooms.get_mut(name).filter(|room| !room.owned)
            && matches!(room.stand, Stand::Asked(_))
        {
            room.stand = Stand::Due(now + OFFER_AGAIN);
        }
    }

    /// When to poll next, if nothing is told meanwhile.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let owned = self.is_open(true);
        if owned && self.offers() >= OFFERED_AT_ONCE {
            return None;
        }
        let due = self.rooms.values().filter(|room| room.owned == owned);
        due.filter_map(|room| if let Stand::Due(at) = room.stand { Some(at) } else { None }).min()
    }

    /// Whether nothing runs at the node any more but what nobody takes.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.rooms.values().all(|room| matches!(room.stand, Stand::Refused(_) | Stand::Gone))
    }

    /// How many rooms that this node owned run elsewhere.
    #[must_use]
    pub fn moved(&self) -> usize {
        self.rooms.values().filter(|room| room.owned && room.stand == Stand::Gone).count()
    }

    /// The rooms that it still owns, and why nobody takes those that nobody does.
    pub fn left(&self) -> impl Iterator<Item = (&R, Option<&Fault>)> {
        let owned = self.rooms.iter().filter(|(_, room)| room.owned && room.stand != Stand::Gone);
        owned.map(|(name, room)| match &room.stand {
            Stand::Refused(fault) => (name, Some(fault)),
            _ => (name, None),
        })
    }

    /// Whether there is still something to do about rooms that it owns, or about those that it mirrors.
    fn is_open(&self, owned: bool) -> bool {
        let mut rooms = self.rooms.values().filter(|room| room.owned == owned);
        rooms.any(|room| matches!(room.stand, Stand::Due(_) | Stand::Asked(_)))
    }

    fn offers(&self) -> usize {
        self.rooms.values().filter(|room| room.owned && matches!(room.stand, Stand::Asked(_))).count()
    }
}

impl Room {
    /// Takes in that an offer that was `made` has failed `now`, and tells whether to offer again is in vain: it is when each
    /// offer was refused at once for [`OFFERED`].
    fn is_vain(&mut self, made: Time, now: Time) -> bool {
        let tried = now.since(made) >= OFFERED;
        if tried {
            self.refused_since = None;
            return false;
        }
        now.since(*self.refused_since.get_or_insert(made)) >= OFFERED
    }
}

#[cfg(test)]
mod tests {
    use stentor_ids::Code;

    use super::*;

    const MS: fn(u64) -> Time = Time::from_millis;

    fn refused() -> Result<(), Fault> {
        Err(Fault::new(Code::NodeUnavailable, "nobody takes it"))
    }

    /// A drain of a node that owns these rooms.
    fn owner(rooms: std::ops::Range<u32>) -> Drain<u32> {
        let mut drain = Drain::default();
        drain.shown(rooms.map(|room| (room, true)));
        drain
    }

    fn acts(drain: &mut Drain<u32>, now: Time) -> Vec<Act<u32>> {
        std::iter::from_fn(|| drain.poll(now)).collect()
    }

    /// Offers the only room `made` then, and tells that it failed by `until`.
    fn refuse(drain: &mut Drain<u32>, made: u64, until: u64) {
        assert_eq!(acts(drain, MS(made)), [Act::Offer(0)], "offered at {made}");
        drain.offered(MS(until), &0, refused());
    }

    #[test]
    fn so_many_rooms_are_offered_at_once_and_the_next_when_one_has_ended() {
        let mut drain = owner(0..10);
        let first: Vec<_> = (0..8).map(Act::Offer).collect();
        assert_eq!(acts(&mut drain, MS(0)), first);
        assert_eq!((acts(&mut drain, MS(500)), drain.next_deadline()), (vec![], None));
        drain.offered(MS(1_000), &3, Ok(()));
        assert_eq!(acts(&mut drain, MS(1_000)), [Act::Offer(8)]);
        drain.offered(MS(1_000), &4, refused());
        assert_eq!(acts(&mut drain, MS(1_000)), [Act::Offer(9)]);
    }

    #[test]
    fn what_is_refused_at_once_for_a_second_is_not_offered_for_ever() {
        let mut drain = owner(0..1);
        refuse(&mut drain, 0, 5);
        assert_eq!(drain.next_deadline(), Some(MS(205)));
        assert_eq!(acts(&mut drain, MS(204)), []);
        refuse(&mut drain, 800, 805);
        assert!(!drain.is_over());
        refuse(&mut drain, 1_005, 1_010);
        assert!(drain.is_over());
        assert_eq!((acts(&mut drain, MS(60_000)), drain.next_deadline(), drain.moved()), (vec![], None, 0));
        let left: Vec<_> = drain.left().map(|(room, why)| (*room, why.cloned())).collect();
        assert_eq!(left, [(0, refused().err())]);
    }

    #[test]
    fn an_heir_that_is_slow_is_asked_again() {
        let mut drain = owner(0..1);
        refuse(&mut drain, 0, 5);
        refuse(&mut drain, 205, 3_200);
        refuse(&mut drain, 3_400, 6_400);
        refuse(&mut drain, 6_600, 6_605);
        assert!(!drain.is_over(), "the second begins anew");
        refuse(&mut drain, 7_600, 7_605);
        assert!(drain.is_over());
    }

    #[test]
    fn a_room_that_is_taken_is_waited_for_until_it_is_gone() {
        let mut drain = owner(0..2);
        assert_eq!(acts(&mut drain, MS(0)), [Act::Offer(0), Act::Offer(1)]);
        drain.offered(MS(50), &0, Ok(()));
        drain.shown([(0, true), (1, true)]);
        assert_eq!((acts(&mut drain, MS(60)), drain.is_over()), (vec![], false));
        // It went otherwise, and what its offer comes to is nothing any more.
        drain.shown([(0, true)]);
        drain.offered(MS(70), &1, refused());
        assert_eq!(acts(&mut drain, MS(2_000)), []);
        drain.shown([]);
        assert_eq!((drain.is_over(), drain.moved(), drain.left().count()), (true, 2, 0));
    }

    #[test]
    fn mirrors_step_aside_when_no_offer_is_open_and_are_told_again_while_they_are_there() {
        let mut drain = owner(0..1);
        drain.shown([(0, true), (5, false)]);
        assert_eq!(acts(&mut drain, MS(0)), [Act::Offer(0)]);
        drain.offered(MS(10), &0, Ok(()));
        assert_eq!(acts(&mut drain, MS(10)), [Act::StepAside(5)]);
        drain.stepped_aside(MS(20), &5);
        assert_eq!((acts(&mut drain, MS(20)), drain.next_deadline()), (vec![], Some(MS(220))));
        assert_eq!(acts(&mut drain, MS(220)), [Act::StepAside(5)]);
        drain.shown([]);
        assert_eq!((drain.is_over(), drain.moved()), (true, 1), "a room that was mirrored has not moved");
    }

    #[test]
    fn a_room_that_comes_to_be_its_own_meanwhile_is_offered_too() {
        let mut drain = Drain::default();
        drain.shown([(5, false)]);
        assert_eq!(acts(&mut drain, MS(0)), [Act::StepAside(5)]);
        drain.shown([(5, true)]);
        drain.stepped_aside(MS(5), &5);
        assert_eq!(acts(&mut drain, MS(5)), [Act::Offer(5)]);
        drain.offered(MS(9), &5, Ok(()));
        drain.offered(MS(9), &5, refused());
        assert_eq!((acts(&mut drain, MS(900)), drain.is_over()), (vec![], false), "its end is told once");
        drain.shown([]);
        assert_eq!((drain.is_over(), drain.moved()), (true, 1));
    }
}
