//! What the directory's clients make of an etcd that comes back without its data, or with what it held some time ago:
//! whoever owned or mirrored a room does so again, no room moves, no epoch goes back, and nobody is taken for another.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "these are tests and what they share")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use stentor_directory::{Directory, Error, MirrorKey, NodeRecord, Ownership, Session, SessionState, View};
use stentor_ids::{Epoch, NodeId, RoomId, Slot};
use stentor_programs::Etcd;
use tokio::time::sleep;

use support::{TTL, config, get, node, room, soon, until};

/// Rooms of each node.
const ROOMS: usize = 25;

/// A node of the cluster, with what it owns and mirrors.
struct Origin {
    directory: Directory,
    session: Session,
    owned: BTreeMap<RoomId, Ownership>,
    mirrored: BTreeMap<RoomId, MirrorKey>,
}

impl Origin {
    async fn start(server: &Etcd, record: NodeRecord) -> Self {
        let directory = Directory::etcd(config(server.endpoint())).await.unwrap();
        let session = directory.register(record, TTL).await.unwrap();
        until(&directory, "the first listing", |view| view.current).await;
        Self { directory, session, owned: BTreeMap::new(), mirrored: BTreeMap::new() }
    }

    async fn claim(&mut self, id: &RoomId) {
        let preempt = self.directory.get(id).await.unwrap().unwrap().owner.map(|owner| owner.revision);
        let claimed = self.directory.claim(&self.session, id, Epoch(0), preempt, Slot(9)).await.unwrap();
        self.mirrored.remove(id);
        self.owned.insert(id.clone(), claimed);
    }

    async fn mirror(&mut self, id: &RoomId) {
        let key = self.directory.mirror(&self.session, id, None).await.unwrap();
        self.mirrored.insert(id.clone(), key);
    }

    /// `other` takes a room over, and this node becomes its mirror.
    async fn give(&mut self, id: &RoomId, other: &mut Self) -> Ownership {
        other.claim(id).await;
        self.mirror(id).await;
        self.owned.remove(id).unwrap()
    }

    async fn back(&mut self, history: u64) {
        let standing = |state: &SessionState| matches!(state, SessionState::Held(_));
        let node = self.session.node().clone();
        soon("the lease", self.session.state().wait_for(standing)).await.unwrap();
        until(&self.directory, "the other history", |view| {
            view.current && view.history == history && view.nodes.contains_key(&node)
        })
        .await;
    }

    /// Puts back what the view says is gone.
    async fn put_back(&mut self) {
        let view = self.directory.view().snapshot();
        for (id, ownership) in &mut self.owned {
            assert!(view.at() >= ownership.written(), "{id}");
            if view.owner(id) != Some(ownership.owner()) {
                *ownership = self.directory.reassert(&self.session, ownership, id.to_string()).await.unwrap();
            }
        }
    }

    async fn mirror_again(&mut self) {
        for (id, key) in &mut self.mirrored {
            let shown = self.directory.get(id).await.unwrap().unwrap().mirror;
            if shown.as_ref() != Some(key.mirror()) {
                let preempt = shown.filter(|mirror| mirror.node == *self.session.node());
                let preempt = preempt.map(|mirror| mirror.revision);
                *key = self.directory.mirror(&self.session, id, preempt).await.unwrap();
            }
        }
    }
}

/// Who owns each room, at which epoch, and who mirrors it.
type Offices = BTreeMap<RoomId, (Option<(NodeId, Epoch)>, Option<NodeId>)>;

async fn offices(directory: &Directory) -> Offices {
    let rooms = directory.list().await.unwrap().into_iter();
    let offices = rooms.map(|room| {
        let owner = room.owner.map(|owner| (owner.node, owner.epoch));
        (room.id, (owner, room.mirror.map(|mirror| mirror.node)))
    });
    offices.collect()
}

/// Two nodes that own rooms and mirror each other's.
async fn two_nodes(server: &Etcd) -> [Origin; 2] {
    let mut nodes = [Origin::start(server, node("a")).await, Origin::start(server, node("b")).await];
    for number in 0..ROOMS {
        for (owner, name) in ["a", "b"].into_iter().enumerate() {
            let id = room(&format!("{name}{number}"));
            nodes[owner].directory.create(&id, id.to_string()).await.unwrap();
            nodes[owner].claim(&id).await;
            nodes[1 - owner].mirror(&id).await;
        }
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_wipe_every_office_is_taken_again_by_who_held_it() {
    let mut server = Etcd::start().unwrap();
    let [mut a, mut b] = two_nodes(&server).await;
    let before = offices(&a.directory).await;
    assert_eq!(before.len(), 2 * ROOMS);
    until(&b.directory, "all", |view| view.rooms.values().all(|room| room.mirror.is_some())).await;

    server.kill().unwrap();
    server.wipe().unwrap();
    server.run().unwrap();
    for origin in [&mut a, &mut b] {
        origin.back(1).await;
    }
    let view = a.directory.view().snapshot();
    assert!(view.rooms.is_empty() && view.last_owner(&room("b3")).is_some(), "it knows whom to ask");
    for origin in [&mut a, &mut b] {
        origin.put_back().await;
    }
    for origin in [&mut a, &mut b] {
        origin.mirror_again().await;
    }
    assert_eq!(offices(&a.directory).await, before);
    for (origin, id) in [(&a, room("a0")), (&b, room("b0"))] {
        origin.directory.commit(&origin.owned[&id], &b"goes on"[..]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_step_back_every_office_is_taken_again_by_who_held_it_last() {
    let mut server = Etcd::start().unwrap();
    let [mut a, mut b] = two_nodes(&server).await;
    server.kill().unwrap();
    server.back_up().unwrap();
    server.run().unwrap();
    for origin in [&mut a, &mut b] {
        origin.back(0).await;
    }
    // What the older state does not know: two claims, and a new room.
    let (moved, contested, late) = (room("a1"), room("a2"), room("late"));
    let mut stale = Vec::new();
    for id in [&moved, &contested] {
        answer(|| b.directory.get(id)).await.unwrap();
        stale.push(a.give(id, &mut b).await);
    }
    b.directory.create(&late, late.to_string()).await.unwrap();
    b.claim(&late).await;
    let before = offices(&a.directory).await;
    assert_eq!(before[&moved], (Some((b.session.node().clone(), Epoch(2))), Some(a.session.node().clone())));
    for origin in [&a, &b] {
        until(&origin.directory, "the last claim", |view| view.owner(&late).is_some()).await;
    }

    server.kill().unwrap();
    server.restore().unwrap();
    server.run().unwrap();
    for origin in [&mut a, &mut b] {
        origin.back(1).await;
    }
    let view = a.directory.view().snapshot();
    let epochs = |view: &View, id| {
        [view.owner(id), view.last_owner(id)]
            .map(|owner| owner.map(|owner| (owner.node.clone(), owner.epoch)))
    };
    let [old, last] = epochs(&view, &moved);
    assert_eq!(old, Some((a.session.node().clone(), Epoch(1))), "the directory says what was so before");
    assert_eq!(last, Some((b.session.node().clone(), Epoch(2))), "who is to be asked");
    for ownership in &b.owned {
        assert!(view.at() >= ownership.1.written());
    }
    let error = b.directory.commit(&b.owned[&moved], &b"x"[..]).await.unwrap_err();
    assert!(matches!(error, Error::Fenced { .. }), "{error}");

    // The old owner claims one of them in spite of all, by the key that names it: above every epoch it has seen.
    a.mirrored.remove(&contested);
    a.claim(&contested).await;
    assert_eq!(a.owned[&contested].epoch(), Epoch(3));
    let lost = b.owned.remove(&contested).unwrap();
    let error = b.directory.reassert(&b.session, &lost, &b"x"[..]).await.unwrap_err();
    assert!(matches!(&error, Error::Fenced { owner: Some(owner), .. } if owner.epoch == Epoch(3)), "{error}");

    for origin in [&mut b, &mut a] {
        origin.put_back().await;
    }
    assert_eq!(get(&a.directory, "a1").await.mirror, None, "its owner was the mirror of the older state");
    for ownership in stale {
        let error = a.directory.commit(&ownership, &b"x"[..]).await.unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{error}");
    }
    for origin in [&mut a, &mut b] {
        origin.mirror_again().await;
    }
    let (mut before, mut after) = (before, offices(&a.directory).await);
    assert_ne!(before.remove(&contested), after.remove(&contested));
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_wipe_a_revision_that_comes_again_is_not_taken_for_the_former_one() {
    let mut server = Etcd::start().unwrap();
    let (id, filler) = (room("a"), room("filler"));
    let mut old = Origin::start(&server, node("old")).await;
    let mut last = old.directory.create(&filler, &b"x"[..]).await.unwrap();
    for _ in 0..20 {
        last = old.directory.update_unowned(&filler, last, &b"x"[..]).await.unwrap();
    }
    old.directory.create(&id, &b"x"[..]).await.unwrap();
    old.claim(&id).await;
    let Origin { directory, session, mut owned, .. } = old;
    drop(session);
    let stale = owned.remove(&id).unwrap();

    server.kill().unwrap();
    server.wipe().unwrap();
    server.run().unwrap();
    let mut new = Origin::start(&server, node("new")).await;
    new.directory.create(&id, &b"x"[..]).await.unwrap();
    let mut last = new.directory.create(&filler, &b"x"[..]).await.unwrap();
    while last.0 + 1 < stale.owner().revision.0 {
        last = new.directory.update_unowned(&filler, last, &b"x"[..]).await.unwrap();
    }
    new.claim(&id).await;
    assert_eq!(new.owned[&id].owner().revision, stale.owner().revision);
    assert_eq!(new.owned[&id].epoch(), stale.epoch(), "nothing but the node's name is different");
    let error = answer(|| directory.commit(&stale, &b"too late"[..])).await.unwrap_err();
    assert!(matches!(error, Error::Fenced { .. }), "{error}");
    directory.release(stale).await.unwrap();
    let read = get(&new.directory, "a").await;
    assert_eq!((&read.record[..], read.owner.as_ref()), (&b"x"[..], Some(new.owned[&id].owner())));
}

/// Asks until there is an answer other than that the connection, or the lease, is not there yet.
async fn answer<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> Result<T, Error> {
    soon("an answer", async {
        loop {
            match ask().await {
                Err(Error::Unavailable { .. } | Error::LeaseGone) => sleep(Duration::from_millis(20)).await,
                answer => break answer,
            }
        }
    })
    .await
}
