//! Which rooms this node is to claim, and when. Pure: it is told what the view shows and what time it is.
//!
//! A room that nobody owns is claimed by the node at place `i` of its ranking after `i` claim steps, counted from when this
//! node first saw it unowned. A node has no place for a room that it has just given up, nor while it drains.
//!
//! A room whose owner key names this node, while this node does not run it, is what an ambiguous time-out or a former
//! process of this node has left; the node waits one step, as if it stood at the second place, and claims it over.

use std::collections::BTreeMap;

use stentor_directory::Revision;
use stentor_ids::{NodeId, RoomId};
use stentor_pace::Time;
use stentor_placement::{Candidate, claim_delay, rank};

/// A room that is open or live, and not run by whom the directory names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vacancy<'a> {
    pub(crate) room: &'a RoomId,
    /// The owner key that names this node, if one does.
    pub(crate) stale: Option<Revision>,
}

/// A room to claim now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) room: RoomId,
    pub(crate) preempt: Option<Revision>,
    /// Since when it is vacant.
    pub(crate) since: Time,
}

/// Since when which rooms are vacant, and which this node leaves to others.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    since: BTreeMap<RoomId, Time>,
    /// Until when.
    shunned: BTreeMap<RoomId, Time>,
}

impl Claims {
    /// Leaves a room to other nodes until `until`.
    pub(crate) fn shun(&mut self, room: RoomId, until: Time) {
        self.shunned.insert(room, until);
    }

    /// What to claim now, and when to ask again if nothing changes. `nodes` are the origins.
    pub(crate) fn due(
        &mut self,
        now: Time,
        me: &NodeId,
        nodes: &[Candidate<'_>],
        vacancies: &[Vacancy<'_>],
    ) -> (Vec<Claim>, Option<Time>) {
        self.shunned.retain(|_, until| *until > now);
        self.since.retain(|room, _| vacancies.iter().any(|vacancy| vacancy.room == room));
        let (mut due, mut next) = (Vec::new(), None);
        for vacancy in vacancies {
            let since = *self.since.entry(vacancy.room.clone()).or_insert(now);
            let Some(place) = place(vacancy, me, nodes) else { continue };
            let at =
                self.shunned.get(vacancy.room).copied().unwrap_or_default().max(since + claim_delay(place));
            if at <= now {
                due.push(Claim { room: vacancy.room.clone(), preempt: vacancy.stale, since });
            } else {
                next = Some(next.map_or(at, |next: Time| next.min(at)));
            }
        }
        (due, next)
    }

    /// A claim ended and the room is not ours: the time of its vacancy starts anew.
    pub(crate) fn restart(&mut self, room: &RoomId, now: Time) {
        self.since.insert(room.clone(), now);
    }
}

/// This node's place for the room, counted from 0.
fn place(vacancy: &Vacancy<'_>, me: &NodeId, nodes: &[Candidate<'_>]) -> Option<usize> {
    let place = rank(vacancy.room, nodes).iter().position(|node| node == me)?;
    Some(if vacancy.stale.is_some() { 1 } else { place })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn rooms(count: usize) -> Vec<RoomId> {
        (0..count).map(|i| RoomId::new(format!("room-{i}")).unwrap()).collect()
    }

    fn vacant(rooms: &[RoomId]) -> Vec<Vacancy<'_>> {
        rooms.iter().map(|room| Vacancy { room, stale: None }).collect()
    }

    fn candidates(nodes: &[NodeId]) -> Vec<Candidate<'_>> {
        nodes.iter().map(Candidate::new).collect()
    }

    const fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn the_node_at_each_place_claims_one_step_after_the_one_before() {
        let nodes = [node("a"), node("b"), node("c")];
        let rooms = rooms(1);
        let ranking = rank(&rooms[0], &candidates(&nodes));
        for (place, me) in ranking.iter().enumerate() {
            let mut claims = Claims::default();
            let due = at(1_000) + claim_delay(place);
            let mut ask = |now| claims.due(now, me, &candidates(&nodes), &vacant(&rooms));
            if place > 0 {
                assert_eq!(ask(at(1_000)), (vec![], Some(due)));
                assert_eq!(ask(at(1_000 + 300 * place as u64 - 1)), (vec![], Some(due)));
            } else {
                assert_eq!(ask(at(1_000)).0.len(), 1);
            }
            let (room, since) = (rooms[0].clone(), if place > 0 { at(1_000) } else { due });
            assert_eq!(ask(due), (vec![Claim { room, preempt: None, since }], None));
        }
    }

    #[test]
    fn a_room_that_another_node_claimed_in_the_meantime_starts_over() {
        let nodes = [node("a"), node("b")];
        let rooms = rooms(1);
        let second = rank(&rooms[0], &candidates(&nodes)).remove(1);
        let mut claims = Claims::default();
        assert!(claims.due(at(0), &second, &candidates(&nodes), &vacant(&rooms)).0.is_empty());
        assert_eq!(claims.due(at(200), &second, &candidates(&nodes), &[]), (vec![], None));
        let again = claims.due(at(400), &second, &candidates(&nodes), &vacant(&rooms));
        assert_eq!(again, (vec![], Some(at(700))));
    }

    #[test]
    fn a_draining_node_and_a_node_that_is_no_origin_claim_nothing() {
        let nodes = [node("a"), node("b")];
        let rooms = rooms(20);
        let mut draining = candidates(&nodes);
        draining[0].draining = true;
        for me in [node("a"), node("edge")] {
            let mut claims = Claims::default();
            assert_eq!(claims.due(at(60_000), &me, &draining, &vacant(&rooms)), (vec![], None));
        }
        assert_eq!(Claims::default().due(at(0), &node("b"), &draining, &vacant(&rooms)).0.len(), 20);
    }

    #[test]
    fn a_room_that_was_given_up_is_left_to_others_for_its_time() {
        let nodes = [node("a")];
        let rooms = rooms(1);
        let mut claims = Claims::default();
        claims.shun(rooms[0].clone(), at(60_000));
        let mut ask = |now| claims.due(now, &nodes[0], &candidates(&nodes), &vacant(&rooms));
        assert_eq!(ask(at(0)), (vec![], Some(at(60_000))));
        assert_eq!(ask(at(60_000)).0.len(), 1);
    }

    #[test]
    fn a_key_that_names_this_node_and_is_not_its_doing_is_claimed_over() {
        let nodes = [node("a"), node("b")];
        let rooms = rooms(1);
        let stale = [Vacancy { room: &rooms[0], stale: Some(Revision(7)) }];
        let mut claims = Claims::default();
        assert_eq!(claims.due(at(0), &nodes[0], &candidates(&nodes), &stale), (vec![], Some(at(300))));
        let claim = Claim { room: rooms[0].clone(), preempt: Some(Revision(7)), since: at(0) };
        assert_eq!(claims.due(at(300), &nodes[0], &candidates(&nodes), &stale).0, [claim]);
    }
}
