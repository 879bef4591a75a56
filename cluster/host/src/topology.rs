//! The directory's view as links see the cluster. Knows no link and no room actor.

use std::sync::Arc;

use parking_lot::Mutex;
use stentor_directory::{Changed, ChangedKeys, NodeRecord, NodeRole, Reader, Roles, View, ViewHandle};
use stentor_ids::{NodeId, RoomId};
use stentor_link::{Mirror, Owner, Peer};
use stentor_placement::Candidate;
use stentor_proto::v1;
use stentor_room::Record;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{news::News, status};

/// The cluster as the directory shows it. Must be made within a tokio runtime.
pub struct Topology {
    view: ViewHandle,
    /// Whether this node may know who owns which room: a node that is only an edge asks its parents, so that what an edge
    /// does is the same whether the directory is there or not.
    knows_rooms: bool,
    peers: Arc<Mutex<Arc<Vec<Peer>>>>,
    news: Arc<News>,
    _follower: AbortOnDropHandle<()>,
}

impl Topology {
    /// Follows the view for a node with these roles.
    #[must_use]
    pub fn new(view: ViewHandle, roles: Roles) -> Self {
        let knows_rooms = roles.iter().any(|role| role != NodeRole::Edge);
        let news = Arc::new(News::default());
        let peers = Arc::new(Mutex::new(peers(&view.snapshot(), knows_rooms)));
        let follower = tokio::spawn(follow(view.reader(), knows_rooms, peers.clone(), news.clone()));
        Self { view, knows_rooms, peers, news, _follower: AbortOnDropHandle::new(follower) }
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
        mirror(&self.view.snapshot(), room)
    }

    fn status(&self, room: &RoomId) -> Option<v1::RoomStatus> {
        let view = self.view.snapshot();
        let known = view.rooms.get(room).filter(|_| self.knows_rooms)?;
        let record = Record::decode(&known.record).ok()?;
        let owner = known.owner.as_ref().map(|owner| (&owner.node, owner.epoch));
        Some(status::recorded(room.as_str(), &record, owner))
    }

    fn changed(&self, room: &RoomId) -> watch::Receiver<u64> {
        self.news.follow(room)
    }
}

/// The origins, as placement sees them.
pub(crate) fn candidates(peers: &[Peer]) -> Vec<Candidate<'_>> {
    peers.iter().filter(|peer| peer.origin).map(Peer::candidate).collect()
}

/// The relays, as placement sees them.
pub(crate) fn relays(peers: &[Peer]) -> Vec<Candidate<'_>> {
    peers.iter().filter(|peer| peer.relay).map(Peer::candidate).collect()
}

/// Who owns a room, if its owner lives.
pub(crate) fn owner(view: &View, room: &RoomId) -> Option<Owner> {
    let owner = view.rooms.get(room)?.owner.as_ref()?;
    let link_addr = view.nodes.get(&owner.node)?.link_addr.clone();
    Some(Owner { node: owner.node.clone(), link_addr, epoch: owner.epoch, from_slot: owner.from_slot })
}

/// Who mirrors a room, if its mirror lives.
pub(crate) fn mirror(view: &View, room: &RoomId) -> Option<Mirror> {
    let node = view.mirror(room)?.node.clone();
    let link_addr = view.nodes.get(&node)?.link_addr.clone();
    Some(Mirror { node, link_addr })
}

async fn follow(mut view: Reader, knows_rooms: bool, known: Arc<Mutex<Arc<Vec<Peer>>>>, news: Arc<News>) {
    loop {
        let (view, changed) = view.next().await;
        let owners = |keys: &ChangedKeys| knows_rooms && !keys.offices.is_empty();
        let told = match &changed {
            Changed::All => true,
            Changed::Keys(keys) => !keys.nodes.is_empty() || owners(keys),
        };
        if told {
            let now = peers(&view, knows_rooms);
            let mut known = known.lock();
            if *known != now {
                *known = now;
            }
        }
        drop(view);
        match changed {
            Changed::Keys(keys) if keys.nodes.is_empty() => news.of(keys.rooms()),
            _ => news.of_all(),
        }
    }
}

fn peers(view: &View, knows_rooms: bool) -> Arc<Vec<Peer>> {
    let rooms = |node: &NodeId| if knows_rooms { view.owned_by(node) } else { 0 };
    Arc::new(view.nodes.values().map(|node| peer(node, rooms(&node.id))).collect())
}

fn peer(node: &NodeRecord, rooms: u32) -> Peer {
    Peer {
        id: NodeId::clone(&node.id),
        origin: node.roles.has(NodeRole::Origin),
        relay: node.roles.has(NodeRole::Relay),
        edge: node.roles.has(NodeRole::Edge),
        admin: node.roles.has(NodeRole::Admin),
        link_addr: node.link_addr.clone(),
        public_addr: node.public_addr.clone().unwrap_or_default(),
        labels: node.labels.clone(),
        rooms,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stentor_directory::Directory;
    use stentor_ids::{Epoch, Slot};
    use stentor_link::Topology as _;

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn who_follows_a_room_is_woken_for_that_room_and_for_nodes_and_not_for_other_rooms() {
        let directory = Directory::embedded();
        let [one, other] = ["one", "other"].map(|name| RoomId::new(name).unwrap());
        let node = |name| NodeRecord::new(NodeId::new(name).unwrap(), NodeRole::Origin);
        let topology = Topology::new(directory.view(), NodeRole::Relay.into());
        let session = directory.register(node("n"), TTL).await.unwrap();
        for room in [&one, &other] {
            directory.create(room, &b"x"[..]).await.unwrap();
        }
        let ownership = directory.claim(&session, &other, Epoch(0), None, Slot(0)).await.unwrap();
        let settle = async || tokio::time::sleep(Duration::from_secs(1)).await;
        settle().await;

        let [mut of_one, mut of_other] = [&one, &other].map(|room| topology.changed(room));
        let mut woken = async || {
            settle().await;
            [&mut of_one, &mut of_other].map(|news| {
                let woken = news.has_changed().unwrap();
                news.mark_unchanged();
                woken
            })
        };
        assert_eq!(woken().await, [false, false]);
        for _ in 0..50 {
            directory.commit(&ownership, &b"y"[..]).await.unwrap();
        }
        assert_eq!(woken().await, [false, true], "a commit");
        directory.release(ownership).await.unwrap();
        assert_eq!(woken().await, [false, true], "an owner that goes");
        directory.claim(&session, &one, Epoch(0), None, Slot(0)).await.unwrap();
        assert_eq!(woken().await, [true, false], "a claim");
        let owned = |topology: &Topology| topology.peers().iter().map(|peer| peer.rooms).collect::<Vec<_>>();
        assert_eq!(owned(&topology), [1]);
        let _joins = directory.register(node("m"), TTL).await.unwrap();
        assert_eq!(woken().await, [true, true], "a node");
        assert_eq!((owned(&topology), topology.owner(&one).is_some()), (vec![0, 1], true));
    }
}
