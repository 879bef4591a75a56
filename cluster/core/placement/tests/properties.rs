//! What holds of every ranking and every tree, whatever the names.

#![expect(clippy::unwrap_used, reason = "a name made here that is refused is a bug of the test")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use stentor_ids::{NodeId, RoomId};
use stentor_placement::{Candidate, FANOUT, PARENTS, carriers, parents, rank};

fn view(ids: &BTreeSet<NodeId>) -> Vec<Candidate<'_>> {
    ids.iter().map(|id| Candidate { id, draining: false }).collect()
}

fn names(prefix: &str, count: usize) -> BTreeSet<NodeId> {
    (0..count).map(|i| NodeId::new(format!("{prefix}-{i}")).unwrap()).collect()
}

fn any_room() -> impl Strategy<Value = RoomId> {
    "[a-z0-9_-]{1,64}".prop_map(|name| RoomId::new(name).unwrap())
}

fn any_node() -> impl Strategy<Value = NodeId> {
    "[a-z0-9_-]{1,16}".prop_map(|name| NodeId::new(name).unwrap())
}

fn any_nodes() -> impl Strategy<Value = BTreeSet<NodeId>> {
    proptest::collection::btree_set(any_node(), 1..20)
}

proptest! {
    #[test]
    fn a_ranking_depends_on_names_alone(room in any_room(), ids in any_nodes(), turn in 0_usize..20) {
        let mut nodes = view(&ids);
        let ranked = rank(&room, &nodes);
        let again: Vec<_> = ranked.iter().map(|id| Candidate { id, draining: false }).collect();
        prop_assert_eq!(&rank(&room, &again), &ranked);
        nodes.rotate_left(turn % ids.len());
        nodes.push(nodes[0]);
        prop_assert_eq!(&rank(&room, &nodes), &ranked);
        prop_assert_eq!(ranked.into_iter().collect::<BTreeSet<_>>(), ids);
    }

    #[test]
    fn a_node_that_comes_or_goes_moves_no_two_others(room in any_room(), ids in any_nodes(), other in any_node()) {
        let mut with = ids.clone();
        with.insert(other.clone());
        let mut without = ids;
        without.remove(&other);
        let mut ranked = rank(&room, &view(&with));
        ranked.retain(|id| *id != other);
        prop_assert_eq!(ranked, rank(&room, &view(&without)));
    }

    #[test]
    fn a_draining_node_is_given_nothing(room in any_room(), ids in any_nodes(), bits: u32) {
        let drains = |i: usize| bits >> i & 1 == 1;
        let nodes: Vec<_> = ids.iter().enumerate().map(|(i, id)| Candidate { id, draining: drains(i) }).collect();
        let staying: BTreeSet<_> = nodes.iter().filter(|node| !node.draining).map(|node| node.id.clone()).collect();
        prop_assert_eq!(rank(&room, &nodes), rank(&room, &view(&staying)));
        let edge = NodeId::new("edge").unwrap();
        prop_assert!(parents(&room, &edge, &nodes, 10).iter().all(|id| staying.contains(id)));
    }

    #[test]
    fn an_edge_has_two_different_parents_among_the_carriers(
        room in any_room(), edge in any_node(), relays in any_nodes(), edges in 0_usize..2_000,
    ) {
        let carriers = carriers(&room, &view(&relays), edges);
        let needed = (2 * edges).div_ceil(FANOUT).max(2);
        prop_assert_eq!(carriers.len(), needed.min(relays.len()));
        let parents = parents(&room, &edge, &view(&relays), edges);
        prop_assert_eq!(parents.len(), PARENTS.min(relays.len()));
        prop_assert!(parents.iter().all(|id| carriers.contains(id)));
        prop_assert_eq!(parents.iter().collect::<BTreeSet<_>>().len(), parents.len());
    }

    #[test]
    fn rooms_spread_within_a_fifth_of_the_mean(prefix in "[a-z]{1,12}", nodes in 2_usize..8) {
        let ids = names(&prefix, nodes);
        let rooms = 1_000 * nodes;
        let mut owned = BTreeMap::new();
        for i in 0..rooms {
            let room = RoomId::new(format!("{prefix}{i}")).unwrap();
            *owned.entry(rank(&room, &view(&ids)).remove(0)).or_insert(0_usize) += 1;
        }
        // Six standard deviations of a fair deal, which is the bound of all these cases together.
        for (id, count) in &owned {
            prop_assert!((800..=1_200).contains(count), "{id} owns {count} of {rooms}");
        }
        prop_assert_eq!(owned.len(), nodes);
    }
}

#[test]
fn children_spread_over_the_carriers_of_a_room() {
    let (relays, edges) = (names("relay", 40), names("edge", 640));
    let room = RoomId::new("final").unwrap();
    let mut children = BTreeMap::new();
    for edge in &edges {
        for parent in parents(&room, edge, &view(&relays), edges.len()) {
            *children.entry(parent).or_insert(0_usize) += 1;
        }
    }
    assert_eq!(children.len(), 20);
    let most = children.values().max().unwrap();
    assert!(*most <= FANOUT * 3 / 2, "{most} children");
}

/// Computed once with python-xxhash. A change here places the rooms of a running cluster anew while builds are mixed.
#[test]
fn rankings_are_the_same_in_every_build() {
    let origins = names("origin", 5);
    let ranked = |room: &str| {
        let ids = rank(&RoomId::new(room).unwrap(), &view(&origins));
        ids.iter().map(|id| id.as_str()["origin-".len()..].to_owned()).collect::<String>()
    };
    let rankings = ["demo", "town-hall", "a", "b", "c"].map(ranked);
    assert_eq!(rankings, ["30241", "03214", "13204", "32104", "32410"]);
    let edge = NodeId::new("edge-1").unwrap();
    let parents = parents(&RoomId::new("demo").unwrap(), &edge, &view(&names("relay", 9)), 200);
    assert_eq!(parents.iter().map(NodeId::as_str).collect::<Vec<_>>(), ["relay-4", "relay-8"]);
}
