//! What holds of every ranking and every tree, whatever the names, weights, loads and zones.

#![expect(clippy::unwrap_used, reason = "a name made here that is refused is a bug of the test")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::select};
use stentor_ids::{NodeId, RoomId};
use stentor_placement::{Candidate, FANOUT, PARENTS, carriers, parents, rank, rank_apart, refuge};

/// A node of a made-up cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    id: NodeId,
    draining: bool,
    zone: &'static str,
    weight: u32,
    load: u32,
}

impl Node {
    fn candidate(&self) -> Candidate<'_> {
        let Self { id, draining, zone, weight, load } = self;
        Candidate { draining: *draining, zone, weight: *weight, load: *load, ..Candidate::new(id) }
    }
}

fn view(nodes: &[Node]) -> Vec<Candidate<'_>> {
    nodes.iter().map(Node::candidate).collect()
}

fn plain(id: NodeId) -> Node {
    Node { id, draining: false, zone: "", weight: 1, load: 0 }
}

fn names(prefix: &str, count: usize) -> Vec<Node> {
    (0..count).map(|i| plain(NodeId::new(format!("{prefix}-{i}")).unwrap())).collect()
}

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

fn any_room() -> impl Strategy<Value = RoomId> {
    "[a-z0-9_-]{1,64}".prop_map(|name| room(&name))
}

fn any_node() -> impl Strategy<Value = NodeId> {
    "[a-z0-9_-]{1,16}".prop_map(|name| NodeId::new(name).unwrap())
}

/// Nodes of different names, all of which may be given rooms.
fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let rest = (select(vec!["", "a", "b", "c"]), 1_u32..5, 0_u32..50);
    proptest::collection::btree_map(any_node(), rest, 1..20).prop_map(|nodes| {
        let node = |(id, (zone, weight, load))| Node { id, draining: false, zone, weight, load };
        nodes.into_iter().map(node).collect()
    })
}

fn unloaded(nodes: &[Node]) -> Vec<Node> {
    nodes.iter().map(|node| Node { load: 0, ..node.clone() }).collect()
}

fn zone_of(nodes: &[Node], id: &NodeId) -> &'static str {
    nodes.iter().find(|node| node.id == *id).unwrap().zone
}

/// One of the nodes, and the others.
fn with_and_without(nodes: &[Node], at: usize) -> (NodeId, Vec<Node>) {
    let mut without = nodes.to_vec();
    let other = without.remove(at % nodes.len());
    (other.id, without)
}

proptest! {
    #[test]
    fn a_ranking_does_not_depend_on_the_order_of_the_view(room in any_room(), nodes in any_nodes(), turn in 0_usize..20) {
        let mut turned = nodes.clone();
        turned.rotate_left(turn % nodes.len());
        turned.push(turned[0].clone());
        for zone in ["", "a"] {
            let ranked = rank_apart(&room, &view(&nodes), zone);
            prop_assert_eq!(&rank_apart(&room, &view(&turned), zone), &ranked);
            let ranked: BTreeSet<_> = ranked.into_iter().collect();
            prop_assert_eq!(ranked, nodes.iter().map(|node| node.id.clone()).collect::<BTreeSet<_>>());
        }
        prop_assert_eq!(rank(&room, &view(&turned)), rank(&room, &view(&nodes)));
    }

    #[test]
    fn a_node_that_comes_or_goes_moves_no_two_others(room in any_room(), nodes in any_nodes(), at: usize) {
        let with = unloaded(&nodes);
        let (other, without) = with_and_without(&with, at);
        for zone in ["", "a"] {
            let mut ranked = rank_apart(&room, &view(&with), zone);
            ranked.retain(|id| *id != other);
            prop_assert_eq!(ranked, rank_apart(&room, &view(&without), zone));
        }
    }

    #[test]
    fn with_load_a_node_that_comes_or_goes_moves_only_those_that_pass_their_bound(
        room in any_room(), nodes in any_nodes(), at: usize,
    ) {
        let (other, without) = with_and_without(&nodes, at);
        let order = |nodes: &[Node], among: &BTreeSet<NodeId>| {
            let mut ranked = rank(&room, &view(nodes));
            ranked.retain(|id| *id != other && among.contains(id));
            ranked
        };
        let crowded = |nodes: &[Node]| -> BTreeSet<NodeId> {
            let full = |node: &&Node| node.load >= bound(nodes, node);
            nodes.iter().filter(full).map(|node| node.id.clone()).collect()
        };
        let (before, after) = (crowded(&nodes), crowded(&without));
        let same = |id: &NodeId| before.contains(id) == after.contains(id);
        let unmoved: BTreeSet<_> = nodes.iter().map(|node| node.id.clone()).filter(same).collect();
        prop_assert_eq!(order(&nodes, &unmoved), order(&without, &unmoved));
    }

    #[test]
    fn more_weight_only_brings_a_node_forward(room in any_room(), nodes in any_nodes(), at: usize) {
        let before = unloaded(&nodes);
        let (other, _) = with_and_without(&before, at);
        let mut after = before.clone();
        after.iter_mut().filter(|node| node.id == other).for_each(|node| node.weight += 1);
        let [mut before, mut after] = [before, after].map(|nodes| rank(&room, &view(&nodes)));
        let place = |ranked: &[NodeId]| ranked.iter().position(|id| *id == other);
        prop_assert!(place(&after) <= place(&before));
        before.retain(|id| *id != other);
        after.retain(|id| *id != other);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn draining_nodes_and_those_of_no_weight_are_given_nothing(room in any_room(), nodes in any_nodes(), bits: u32) {
        let mut nodes = unloaded(&nodes);
        for (i, node) in nodes.iter_mut().enumerate().filter(|(i, _)| bits >> i & 1 == 1) {
            if i % 2 == 0 { node.draining = true } else { node.weight = 0 }
        }
        let staying: Vec<_> = nodes.iter().filter(|node| !node.draining && node.weight > 0).cloned().collect();
        prop_assert_eq!(rank(&room, &view(&nodes)), rank(&room, &view(&staying)));
        let edge = NodeId::new("edge").unwrap();
        prop_assert_eq!(
            parents(&room, &edge, "a", &view(&nodes), 10),
            parents(&room, &edge, "a", &view(&staying), 10)
        );
        prop_assert_eq!(refuge("someone", &view(&nodes)), refuge("someone", &view(&staying)));
        prop_assert_eq!(refuge("someone", &view(&nodes)).is_none(), staying.is_empty());
    }

    #[test]
    fn a_second_office_is_in_another_zone_if_there_is_one(room in any_room(), nodes in any_nodes()) {
        let first = rank(&room, &view(&nodes)).remove(0);
        let zone = zone_of(&nodes, &first);
        let mut ranked = rank_apart(&room, &view(&nodes), zone);
        ranked.retain(|id| *id != first);
        let others = ranked.iter().filter(|id| zone_of(&nodes, id) != zone).count();
        prop_assert!(ranked.iter().take(others).all(|id| zone_of(&nodes, id) != zone));
        // Within and without the zone the order is that of the ranking.
        let mut plain = rank(&room, &view(&nodes));
        plain.retain(|id| *id != first);
        plain.sort_by_key(|id| zone_of(&nodes, id) == zone);
        prop_assert_eq!(ranked, plain);
    }

    #[test]
    fn an_edge_has_two_different_parents_among_the_carriers(
        room in any_room(), edge in any_node(), relays in any_nodes(), edges in 0_usize..2_000, zone in select(vec!["", "a", "b"]),
    ) {
        let carriers = carriers(&room, &view(&relays), edges);
        let needed = (2 * edges).div_ceil(FANOUT).max(2);
        prop_assert_eq!(carriers.len(), needed.min(relays.len()));
        let parents = parents(&room, &edge, zone, &view(&relays), edges);
        prop_assert_eq!(parents.len(), PARENTS.min(relays.len()));
        prop_assert!(parents.iter().all(|id| carriers.contains(id)));
        prop_assert_eq!(parents.iter().collect::<BTreeSet<_>>().len(), parents.len());

        let zones: Vec<_> = carriers.iter().map(|id| zone_of(&relays, id)).collect();
        let first = zone_of(&relays, &parents[0]);
        prop_assert!(first == zone || !zones.contains(&zone));
        if let Some(second) = parents.get(1) {
            prop_assert_eq!(zone_of(&relays, second) != first, zones.iter().any(|other| *other != first));
        }
    }

    #[test]
    fn the_carriers_are_of_two_zones_if_the_relays_are_and_load_moves_none(
        room in any_room(), relays in any_nodes(), edges in 0_usize..200,
    ) {
        let carriers = carriers(&room, &view(&relays), edges);
        prop_assert_eq!(&carriers, &stentor_placement::carriers(&room, &view(&unloaded(&relays)), edges));
        let first = zone_of(&relays, &carriers[0]);
        let spread = carriers.iter().any(|id| zone_of(&relays, id) != first);
        prop_assert_eq!(spread, relays.iter().any(|relay| relay.zone != first));
    }

    #[test]
    fn a_relay_that_comes_or_goes_replaces_at_most_one_other(
        room in any_room(), relays in any_nodes(), at: usize, edges in 0_usize..300,
    ) {
        let (other, without) = with_and_without(&relays, at);
        let [with, without] = [&relays, &without].map(|relays| carriers(&room, &view(relays), edges));
        let kept = without.iter().filter(|id| with.contains(id)).count();
        prop_assert!(kept + 1 >= without.len(), "{other}: {with:?} {without:?}");
        prop_assert!(with.contains(&other) || with == without);
    }

    #[test]
    fn rooms_spread_by_weight_within_a_fifth(prefix in "[a-z]{1,12}", weights in vec(1_u32..5, 2..7)) {
        let mut nodes = names(&prefix, weights.len());
        nodes.iter_mut().zip(&weights).for_each(|(node, weight)| node.weight = *weight);
        let total: u32 = weights.iter().sum();
        let mut owned = BTreeMap::new();
        for i in 0..1_000 * total {
            let first = rank(&room(&format!("{prefix}{i}")), &view(&nodes)).remove(0);
            *owned.entry(first).or_insert(0_u32) += 1;
        }
        // Six standard deviations of a fair deal, which is the bound of all these cases together.
        for node in &nodes {
            let (count, fair) = (owned[&node.id], 1_000 * node.weight);
            prop_assert!(count.abs_diff(fair) <= fair / 5, "{} owns {count} instead of {fair}", node.id);
        }
    }

    #[test]
    fn nobody_is_given_rooms_beyond_its_bound(prefix in "[a-z]{1,12}", nodes in any_nodes(), rooms in 1_usize..300) {
        let mut nodes = unloaded(&nodes);
        for i in 0..rooms {
            let first = rank(&room(&format!("{prefix}{i}")), &view(&nodes)).remove(0);
            let before = nodes.clone();
            let node = nodes.iter_mut().find(|node| node.id == first).unwrap();
            node.load += 1;
            let bound = bound(&before, node);
            prop_assert!(node.load <= bound, "{} owns {} of {i}, bound {bound}", node.id, node.load);
        }
    }

    #[test]
    fn who_leaves_an_edge_finds_the_same_refuge_until_that_goes_too(who in ".{0,32}", edges in any_nodes(), at: usize) {
        let found = refuge(&who, &view(&edges)).unwrap();
        let (gone, without) = with_and_without(&edges, at);
        let again = refuge(&who, &view(&without));
        prop_assert!(again.as_ref() == Some(&found) || gone == found);
    }
}

/// A quarter above the weighted share, rounded up, and one more.
fn bound(nodes: &[Node], node: &Node) -> u32 {
    let total = |of: fn(&Node) -> u32| nodes.iter().map(of).sum::<u32>();
    (5 * total(|node| node.load) * node.weight).div_ceil(4 * total(|node| node.weight)) + 1
}

#[test]
fn children_and_listeners_spread() {
    let (relays, edges) = (names("relay", 40), names("edge", 640));
    let mut children = BTreeMap::new();
    for edge in &edges {
        for parent in parents(&room("final"), &edge.id, "", &view(&relays), edges.len()) {
            *children.entry(parent).or_insert(0_usize) += 1;
        }
    }
    assert_eq!(children.len(), 20);
    let most = children.values().max().unwrap();
    assert!(*most <= FANOUT * 3 / 2, "{most} children");

    let mut taken = BTreeMap::new();
    for listener in 0..1_000 {
        let edge = refuge(&format!("listener-{listener}"), &view(&names("edge", 5)));
        *taken.entry(edge).or_insert(0_usize) += 1;
    }
    assert!(taken.len() == 5 && taken.values().all(|count| (140..=260).contains(count)), "{taken:?}");
}

/// Computed once with python-xxhash. A change here places the rooms of a running cluster anew while builds are mixed.
#[test]
fn rankings_are_the_same_in_every_build() {
    let origins = names("origin", 5);
    let ranked = |name: &str| {
        let ids = rank(&room(name), &view(&origins));
        ids.iter().map(|id| id.as_str()["origin-".len()..].to_owned()).collect::<String>()
    };
    let rankings = ["demo", "town-hall", "a", "b", "c"].map(ranked);
    assert_eq!(rankings, ["30241", "03214", "13204", "32104", "32410"]);
    let edge = NodeId::new("edge-1").unwrap();
    let parents = parents(&room("demo"), &edge, "", &view(&names("relay", 9)), 200);
    assert_eq!(parents.iter().map(NodeId::as_str).collect::<Vec<_>>(), ["relay-4", "relay-8"]);
}
