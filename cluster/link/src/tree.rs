//! Shape of the tree: whom a node takes a room from, out of what the topology says now. The functions decide nothing by
//! themselves; `stentor-placement` ranks.

use std::fmt;

use stentor_ids::{NodeId, RoomId};
use stentor_placement::{Candidate, parents, rank};

use crate::{Mirror, Owner, Peer};

/// One place that a room may be had from. A node at another address is another place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) node: NodeId,
    pub(crate) link_addr: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.node, self.link_addr)
    }
}

impl From<Owner> for Place {
    fn from(owner: Owner) -> Self {
        Self { node: owner.node, link_addr: owner.link_addr }
    }
}

impl From<Mirror> for Place {
    fn from(mirror: Mirror) -> Self {
        Self { node: mirror.node, link_addr: mirror.link_addr }
    }
}

/// Whom the edge `me` takes a room from, best first: its two relays, then those that replace one that fails. With fewer
/// than two relays in the cluster, the origins.
pub(crate) fn above_edge(room: &RoomId, me: &NodeId, peers: &[Peer]) -> Vec<Place> {
    let relays: Vec<_> = peers.iter().filter(|peer| peer.relay).map(candidate).collect();
    let edges = peers.iter().filter(|peer| peer.edge).count();
    let zone = peers.iter().find(|peer| peer.id == *me).map_or("", |peer| &peer.labels.zone);
    let mut ranked = parents(room, me, zone, &relays, edges);
    let others = if ranked.len() < 2 {
        ranked.clear();
        rank(room, &peers.iter().filter(|peer| peer.origin).map(candidate).collect::<Vec<_>>())
    } else {
        rank(room, &relays)
    };
    for node in others {
        if !ranked.contains(&node) {
            ranked.push(node);
        }
    }
    ranked.iter().filter_map(|id| place(id, peers)).collect()
}

/// Without its load: rooms that come and go are to move no edge.
fn candidate(peer: &Peer) -> Candidate<'_> {
    Candidate { load: 0, ..peer.candidate() }
}

fn place(id: &NodeId, peers: &[Peer]) -> Option<Place> {
    let peer = peers.iter().find(|peer| peer.id == *id)?;
    Some(Place { node: id.clone(), link_addr: peer.link_addr.clone() })
}

#[cfg(test)]
mod tests {
    use stentor_placement::Labels;

    use super::*;

    fn peer(id: &str, origin: bool, relay: bool, draining: bool) -> Peer {
        Peer {
            id: NodeId::new(id).unwrap(),
            origin,
            relay,
            edge: !origin && !relay,
            admin: false,
            link_addr: format!("{id}:7000"),
            public_addr: String::new(),
            labels: Labels { draining, ..Labels::default() },
            rooms: 0,
        }
    }

    fn above(peers: &[Peer]) -> Vec<String> {
        let (room, me) = (RoomId::new("demo").unwrap(), NodeId::new("e1").unwrap());
        above_edge(&room, &me, peers).into_iter().map(|place| place.node.to_string()).collect()
    }

    #[test]
    fn an_edge_takes_relays_and_keeps_the_rest_as_replacements() {
        let peers: Vec<_> = ["r1", "r2", "r3", "r4"].map(|id| peer(id, false, true, false)).into();
        let mut told = above(&peers);
        assert_eq!(told.len(), 4);
        told.sort();
        assert_eq!(told, ["r1", "r2", "r3", "r4"]);
    }

    #[test]
    fn with_fewer_than_two_relays_that_stay_an_edge_takes_origins() {
        let mut peers = vec![peer("o1", true, false, false), peer("o2", true, false, false)];
        peers.push(peer("r1", false, true, false));
        peers.push(peer("r2", false, true, true));
        let mut told = above(&peers);
        told.sort();
        assert_eq!(told, ["o1", "o2"]);
        assert_eq!(above(&[]), Vec::<String>::new());
    }
}
