//! The directory's view as links see the cluster. Knows no link and no room actor.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use stentor_directory::{NodeRecord, NodeRole, Roles, View, ViewHandle};
use stentor_ids::{NodeId, RoomId};
use stentor_link::{Mirror, Owner, Peer};
use stentor_placement::Candidate;
use stentor_proto::v1;
use stentor_room::Record;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{origin::owned, status};

/// The cluster as the directory shows it. Must be made within a tokio runtime.
pub struct Topology {
    view: ViewHandle,
    /// Whether this node may know who owns which room: a node that is only an edge asks its parents, so that what an edge
    /// does is the same whether the directory is there or not.
    knows_rooms: bool,
    peers: Arc<Mutex<Arc<Vec<Peer>>>>,
    changed: watch::Receiver<u64>,
    _follower: AbortOnDropHandle<()>,
}

impl Topology {
    /// Follows the view for a node with these roles.
    #[must_use]
    pub fn new(view: ViewHandle, roles: Roles) -> Self {
        let knows_rooms = roles.iter().any(|role| role != NodeRole::Edge);
        let (changes, changed) = watch::channel(0);
        let peers = Arc::new(Mutex::new(peers(&view.snapshot(), knows_rooms)));
        let follower = tokio::spawn(follow(view.clone(), knows_rooms, peers.clone(), changes));
        Self { view, knows_rooms, peers, changed, _follower: AbortOnDropHandle::new(follower) }
    }
}

impl stentor_link::Topology for Topology {
    fn peers(&self) -> Arc<Vec<Peer>> {
        self.peers.lock().clone()
    }

    fn owner(&self, room: &RoomId) -> Option<Owner> {
        if !self.knows_rooms {
            return None;
        }
        owner(&self.view.snapshot(), room)
    }

    fn mirror(&self, room: &RoomId) -> Option<Mirror> {
        if !self.knows_rooms {
            return None;
        }
        let view = self.view.snapshot();
        let node = view.rooms.get(room)?.mirror.as_ref()?.node.clone();
        let link_addr = view.nodes.get(&node)?.link_addr.clone();
        Some(Mirror { node, link_addr })
    }

    fn status(&self, room: &RoomId) -> Option<v1::RoomStatus> {
        let view = self.view.snapshot();
        let known = view.rooms.get(room).filter(|_| self.knows_rooms)?;
        let record = Record::decode(&known.record).ok()?;
        Some(status::recorded(room.as_str(), &record, known.owner.as_ref()))
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }
}

/// The origins, as placement sees them.
pub(crate) fn candidates(peers: &[Peer]) -> Vec<Candidate<'_>> {
    peers.iter().filter(|peer| peer.origin).map(candidate).collect()
}

/// The relays, as placement sees them.
pub(crate) fn relays(peers: &[Peer]) -> Vec<Candidate<'_>> {
    peers.iter().filter(|peer| peer.relay).map(candidate).collect()
}

fn candidate(peer: &Peer) -> Candidate<'_> {
    let Peer { id, draining, zone, capacity, rooms, schema, .. } = peer;
    Candidate { id, draining: *draining, zone, weight: *capacity, load: *rooms, schema: *schema }
}

/// Who owns a room, if its owner lives.
pub(crate) fn owner(view: &View, room: &RoomId) -> Option<Owner> {
    let owner = view.rooms.get(room)?.owner.as_ref()?;
    let link_addr = view.nodes.get(&owner.node)?.link_addr.clone();
    Some(Owner { node: owner.node.clone(), link_addr, epoch: owner.epoch, from_slot: owner.from_slot })
}

async fn follow(
    mut view: ViewHandle,
    knows_rooms: bool,
    known: Arc<Mutex<Arc<Vec<Peer>>>>,
    changes: watch::Sender<u64>,
) {
    loop {
        let view = view.changed().await;
        let now = peers(&view, knows_rooms);
        let mut known = known.lock();
        if *known != now {
            *known = now;
        }
        drop(known);
        changes.send_modify(|change| *change += 1);
    }
}

fn peers(view: &View, knows_rooms: bool) -> Arc<Vec<Peer>> {
    let owned = if knows_rooms { owned(view) } else { BTreeMap::new() };
    let peer = |node: &NodeRecord| peer(node, owned.get(&node.id).copied().unwrap_or_default());
    Arc::new(view.nodes.values().map(|node| peer(node)).collect())
}

fn peer(node: &NodeRecord, rooms: u32) -> Peer {
    Peer {
        id: NodeId::clone(&node.id),
        origin: node.roles.has(NodeRole::Origin),
        relay: node.roles.has(NodeRole::Relay),
        edge: node.roles.has(NodeRole::Edge),
        admin: node.roles.has(NodeRole::Admin),
        zone: node.zone.clone(),
        link_addr: node.link_addr.clone(),
        public_addr: node.public_addr.clone().unwrap_or_default(),
        draining: node.draining,
        capacity: node.capacity,
        rooms,
        schema: node.schema,
    }
}
