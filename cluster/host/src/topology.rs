//! The directory's view as links see the cluster. Knows no link and no room actor.

use std::sync::Arc;

use parking_lot::Mutex;
use stentor_directory::{NodeRecord, NodeRole, Roles, View, ViewHandle};
use stentor_ids::{NodeId, RoomId};
use stentor_link::{Mirror, Owner, Peer};
use stentor_proto::v1;
use stentor_room::Record;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::status;

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
        let (changes, changed) = watch::channel(0);
        let peers = Arc::new(Mutex::new(peers(&view.snapshot())));
        let follower = tokio::spawn(follow(view.clone(), peers.clone(), changes));
        Self {
            view,
            knows_rooms: roles.iter().any(|role| role != NodeRole::Edge),
            peers,
            changed,
            _follower: AbortOnDropHandle::new(follower),
        }
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

    fn mirror(&self, _room: &RoomId) -> Option<Mirror> {
        None
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

/// Who owns a room, if its owner lives.
pub(crate) fn owner(view: &View, room: &RoomId) -> Option<Owner> {
    let owner = view.rooms.get(room)?.owner.as_ref()?;
    let link_addr = view.nodes.get(&owner.node)?.link_addr.clone();
    Some(Owner { node: owner.node.clone(), link_addr, epoch: owner.epoch, from_slot: owner.from_slot })
}

async fn follow(mut view: ViewHandle, known: Arc<Mutex<Arc<Vec<Peer>>>>, changes: watch::Sender<u64>) {
    loop {
        let view = view.changed().await;
        let now = peers(&view);
        let mut known = known.lock();
        if *known != now {
            *known = now;
        }
        drop(known);
        changes.send_modify(|change| *change += 1);
    }
}

fn peers(view: &View) -> Arc<Vec<Peer>> {
    Arc::new(view.nodes.values().map(|node| peer(node)).collect())
}

fn peer(node: &NodeRecord) -> Peer {
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
        rooms: 0,
    }
}
