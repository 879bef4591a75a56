//! Which node claims which empty office, and when.

#![expect(clippy::unwrap_used, reason = "a name made here that is refused is a bug of the test")]

use proptest::{collection::vec, prelude::*};
use stentor_ids::{NodeId, RoomId};
use stentor_pace::Time;
use stentor_placement::{
    Candidate, Claim, Claims, Office, OfficeKind, Vacancy, claim_delay, rank, rank_apart,
};

type Revision = u64;

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn rooms(count: usize) -> Vec<RoomId> {
    (0..count).map(|i| RoomId::new(format!("room-{i}")).unwrap()).collect()
}

const fn unowned(room: &RoomId) -> Vacancy<'_, Revision> {
    Vacancy { room, office: Office::Owner { mirror: None }, stale: None, schema: 1 }
}

fn candidates(nodes: &[NodeId]) -> Vec<Candidate<'_>> {
    nodes.iter().map(Candidate::new).collect()
}

const fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// What is due where these offices are empty and no others.
fn ask(
    claims: &mut Claims<Revision>,
    now: Time,
    me: &NodeId,
    nodes: &[Candidate<'_>],
    vacancies: &[Vacancy<'_, Revision>],
) -> (Vec<Claim<Revision>>, Option<Time>) {
    claims.keep(|room, office| vacancies.iter().any(|one| one.room == room && one.office.kind() == office));
    vacancies.iter().for_each(|vacancy| claims.vacant(now, vacancy));
    claims.due(now, me, nodes)
}

/// When each of the nodes claims the office, if nothing else happens.
fn turns(nodes: &[Candidate<'_>], vacancy: Vacancy<'_, Revision>) -> Vec<(u64, String)> {
    let turn = |node: &Candidate<'_>| {
        let (due, next) = ask(&mut Claims::default(), at(0), node.id, nodes, &[vacancy]);
        let at = if due.is_empty() { next?.as_millis() } else { 0 };
        Some((at, node.id.to_string()))
    };
    let mut turns: Vec<_> = nodes.iter().filter_map(turn).collect();
    turns.sort();
    turns
}

#[test]
fn the_node_at_each_place_claims_one_step_after_the_one_before() {
    let nodes = [node("a"), node("b"), node("c")];
    let rooms = rooms(1);
    let ranking = rank(&rooms[0], &candidates(&nodes));
    for (place, me) in ranking.iter().enumerate() {
        let mut claims = Claims::default();
        let due = at(1_000) + claim_delay(place);
        let mut ask = |now| ask(&mut claims, now, me, &candidates(&nodes), &[unowned(&rooms[0])]);
        if place > 0 {
            assert_eq!(ask(at(1_000)), (vec![], Some(due)));
            assert_eq!(ask(at(1_000 + 300 * place as u64 - 1)), (vec![], Some(due)));
        } else {
            assert_eq!(ask(at(1_000)).0.len(), 1);
        }
        let claim =
            Claim { room: rooms[0].clone(), office: OfficeKind::Owner, preempt: None, since: at(1_000) };
        assert_eq!(ask(due), (vec![claim], None));
    }
    assert_eq!([0, 1, 7].map(|place| claim_delay(place).as_millis()), [0, 300, 2100]);
    assert!(claim_delay(usize::MAX).as_secs() > 60);
}

#[test]
fn the_mirror_claims_the_owners_office_first_and_all_others_one_step_later() {
    let nodes = [node("a"), node("b"), node("c"), node("d")];
    let rooms = rooms(10);
    for room in &rooms {
        let ranking = rank(room, &candidates(&nodes));
        for mirror in &ranking {
            let vacancy = Vacancy { office: Office::Owner { mirror: Some(mirror) }, ..unowned(room) };
            let others = ranking.iter().filter(|other| *other != mirror);
            let expected = std::iter::once(mirror).chain(others).map(ToString::to_string);
            let expected: Vec<_> = (0..).map(|place| place * 300).zip(expected).collect();
            assert_eq!(turns(&candidates(&nodes), vacancy), expected);

            let mut leaving = candidates(&nodes);
            leaving.iter_mut().filter(|node| node.id == mirror).for_each(|node| node.draining = true);
            assert_eq!(turns(&leaving, vacancy), turns(&leaving, unowned(room)), "it leaves");
        }
        let gone = node("gone");
        let vacancy = Vacancy { office: Office::Owner { mirror: Some(&gone) }, ..unowned(room) };
        assert_eq!(turns(&candidates(&nodes), vacancy), turns(&candidates(&nodes), unowned(room)));
    }
}

#[test]
fn the_mirrors_office_is_claimed_in_another_zone_first_and_never_by_the_owner() {
    let ids = ["a1", "a2", "b1", "b2", "c1"].map(node);
    let nodes: Vec<_> =
        ids.iter().map(|id| Candidate { zone: &id.as_str()[..1], ..Candidate::new(id) }).collect();
    for room in &rooms(10) {
        for owner in &nodes {
            let vacancy = Vacancy { office: Office::Mirror { owner: owner.id }, ..unowned(room) };
            let turns = turns(&nodes, vacancy);
            let mut expected = rank_apart(room, &nodes, owner.zone);
            expected.retain(|id| id != owner.id);
            let names: Vec<_> = turns.iter().map(|(_, name)| name.clone()).collect();
            assert_eq!(names, expected.iter().map(ToString::to_string).collect::<Vec<_>>());
            let last = turns.last().unwrap();
            assert_eq!(last.1.starts_with(owner.zone), owner.zone != "c", "its own zone comes last");
            assert_eq!(last.0, 900);
        }
    }
    let (alone, rooms) = ([node("a")], rooms(1));
    let vacancy = Vacancy { office: Office::Mirror { owner: &alone[0] }, ..unowned(&rooms[0]) };
    assert_eq!(turns(&candidates(&alone), vacancy), []);
}

#[test]
fn an_office_that_was_filled_in_the_meantime_starts_over_and_the_other_one_does_not() {
    let nodes = [node("a"), node("b"), node("c")];
    let rooms = rooms(1);
    let owner = node("gone");
    let mirror = Vacancy { office: Office::Mirror { owner: &owner }, ..unowned(&rooms[0]) };
    let third = rank(&rooms[0], &candidates(&nodes)).remove(2);
    let mut claims = Claims::default();
    let mut at_third = |now, vacancies: &[_]| ask(&mut claims, now, &third, &candidates(&nodes), vacancies);
    assert_eq!(at_third(at(0), &[unowned(&rooms[0])]), (vec![], Some(at(600))));
    assert_eq!(at_third(at(200), &[mirror]), (vec![], Some(at(800))));
    assert_eq!(at_third(at(400), &[mirror, unowned(&rooms[0])]), (vec![], Some(at(800))));
    let (due, next) = at_third(at(800), &[mirror, unowned(&rooms[0])]);
    assert_eq!((due[0].office, due[0].since, next), (OfficeKind::Mirror, at(200), Some(at(1_000))));
    claims.restart(&rooms[0], OfficeKind::Mirror, at(800));
    let again = ask(&mut claims, at(900), &third, &candidates(&nodes), &[mirror]);
    assert_eq!(again, (vec![], Some(at(1_400))));
}

#[test]
fn a_draining_node_and_a_node_that_is_no_origin_claim_nothing() {
    let nodes = [node("a"), node("b")];
    let rooms = rooms(20);
    let vacancies: Vec<_> = rooms.iter().map(unowned).collect();
    let mut draining = candidates(&nodes);
    draining[0].draining = true;
    for me in [node("a"), node("edge")] {
        assert_eq!(ask(&mut Claims::default(), at(60_000), &me, &draining, &vacancies), (vec![], None));
    }
    assert_eq!(ask(&mut Claims::default(), at(0), &node("b"), &draining, &vacancies).0.len(), 20);
}

#[test]
fn a_node_that_cannot_read_a_rooms_record_has_no_turn_and_costs_nobody_one() {
    let nodes = [node("a"), node("b"), node("c")];
    let rooms = rooms(10);
    let mut mixed = candidates(&nodes);
    mixed[0].schema = 1;
    for room in &rooms {
        let newer = Vacancy { schema: 2, ..unowned(room) };
        let expected: Vec<_> = rank(room, &mixed[1..]).iter().map(ToString::to_string).collect();
        let expected: Vec<_> = (0..).map(|place| place * 300).zip(expected).collect();
        assert_eq!(turns(&mixed, newer), expected);
        assert_eq!(turns(&mixed, unowned(room)).len(), 3, "the first schema is for all");
        let vacancy = Vacancy { office: Office::Mirror { owner: &nodes[1] }, ..newer };
        assert_eq!(turns(&mixed, vacancy), [(0, "c".to_owned())]);
    }
}

#[test]
fn an_office_that_was_given_up_is_left_to_others_for_its_time() {
    let nodes = [node("a")];
    let (rooms, owner) = (rooms(1), node("gone"));
    let mut claims = Claims::default();
    claims.shun(rooms[0].clone(), OfficeKind::Owner, at(60_000));
    let mirror = Vacancy { office: Office::Mirror { owner: &owner }, ..unowned(&rooms[0]) };
    let mut ask = |now, vacancy| ask(&mut claims, now, &nodes[0], &candidates(&nodes), &[vacancy]);
    assert_eq!(ask(at(0), unowned(&rooms[0])), (vec![], Some(at(60_000))));
    assert_eq!(ask(at(0), mirror).0.len(), 1, "the other office is not shunned");
    assert_eq!(ask(at(60_000), unowned(&rooms[0])).0.len(), 1);
}

#[test]
fn a_key_that_names_this_node_and_is_not_its_doing_is_claimed_over() {
    let nodes = [node("a"), node("b")];
    let (rooms, owner) = (rooms(1), node("gone"));
    for office in [Office::Owner { mirror: None }, Office::Mirror { owner: &owner }] {
        let stale = [Vacancy { office, stale: Some(7), ..unowned(&rooms[0]) }];
        let mut claims = Claims::default();
        assert_eq!(ask(&mut claims, at(0), &nodes[0], &candidates(&nodes), &stale), (vec![], Some(at(300))));
        let claim = Claim { room: rooms[0].clone(), office: office.kind(), preempt: Some(7), since: at(0) };
        assert_eq!(ask(&mut claims, at(300), &nodes[0], &candidates(&nodes), &stale).0, [claim]);
    }
}

#[test]
fn an_office_is_ranked_anew_when_nodes_change_and_when_its_turn_has_come() {
    let ids = ["a", "b", "c"].map(node);
    let rooms = rooms(1);
    let ranking = rank(&rooms[0], &candidates(&ids));
    let nodes: Vec<_> = ranking.iter().map(Candidate::new).collect();
    let mut claims: Claims<Revision> = Claims::default();
    claims.vacant(at(0), &unowned(&rooms[0]));
    assert_eq!(claims.due(at(0), &ranking[2], &nodes), (vec![], Some(at(600))));
    claims.nodes_changed();
    assert_eq!(claims.due(at(0), &ranking[2], &nodes[1..]), (vec![], Some(at(300))), "the first has gone");
    let full = |id| Candidate { load: 90, ..Candidate::new(id) };
    let loaded = [Candidate::new(&ranking[1]), full(&ranking[2])];
    assert_eq!(claims.due(at(299), &ranking[1], &loaded).1, Some(at(300)), "as ranked before");
    claims.nodes_changed();
    let first = [Candidate::new(&ranking[1]), Candidate::new(&ranking[2])];
    assert_eq!(claims.due(at(299), &ranking[1], &first).0.len(), 1);
    let behind = [full(&ranking[1]), Candidate::new(&ranking[2])];
    assert_eq!(claims.due(at(299), &ranking[1], &behind), (vec![], Some(at(300))), "it has taken many since");
    claims.filled(&rooms[0], OfficeKind::Mirror);
    assert!(!claims.is_empty());
    claims.filled(&rooms[0], OfficeKind::Owner);
    assert_eq!((claims.is_empty(), claims.due(at(900), &ranking[1], &first)), (true, (vec![], None)));
}

proptest! {
    #[test]
    fn asked_at_any_times_a_node_claims_from_its_turn_on_and_never_before(
        count in 1_usize..6, me in 0_usize..6, mut times in vec(0_u64..4_000, 1..20),
    ) {
        let nodes: Vec<_> = (0..count).map(|i| node(&format!("n{i}"))).collect();
        let (rooms, me) = (rooms(1), &nodes[me % count]);
        times.sort_unstable();
        let place = rank(&rooms[0], &candidates(&nodes)).iter().position(|id| id == me).unwrap();
        let turn = at(times[0]) + claim_delay(place);
        let mut claims = Claims::default();
        for now in times.into_iter().map(at) {
            let (due, next) = ask(&mut claims, now, me, &candidates(&nodes), &[unowned(&rooms[0])]);
            prop_assert_eq!(due.len(), usize::from(now >= turn));
            prop_assert_eq!(next, (now < turn).then_some(turn));
        }
    }
}

#[test]
fn an_office_is_empty_if_nobody_has_its_key_or_this_node_has_and_does_not_hold_it() {
    let [me, you, they] = ["me", "you", "they"].map(node);
    let [room] = &rooms(1)[..] else { unreachable!("one was asked for") };
    let found = |owner: Option<&NodeId>, mirror: Option<&NodeId>, stays: bool| {
        let keys = [owner.map(|node| (node, 1)), mirror.map(|node| (node, 2))];
        let vacancy = Vacancy::of(&me, room, 1, keys, |_| stays)?;
        let other = match vacancy.office {
            Office::Owner { mirror } => format!("owner of {mirror:?}"),
            Office::Mirror { owner } => format!("mirror of {owner}"),
        };
        Some((other, vacancy.stale))
    };
    let is = |text: &str, stale: Option<u64>| Some((text.to_owned(), stale));
    assert_eq!(found(None, None, true), is("owner of None", None));
    assert_eq!(found(None, Some(&you), true), is(&format!("owner of {:?}", Some(&you)), None));
    assert_eq!(found(None, Some(&you), false), is("owner of None", None), "it drains");
    assert_eq!(found(Some(&me), Some(&you), true), is("owner of None", Some(1)));
    assert_eq!(found(Some(&you), None, true), is("mirror of you", None));
    assert_eq!(found(Some(&you), Some(&me), true), is("mirror of you", Some(2)));
    assert_eq!(found(Some(&you), Some(&they), true), None);
}
