//! The view that a node keeps of the directory.

use stentor_directory::{Changed, ChangedKeys, NodeRole, Reader, Revision, Roles, View};
use stentor_ids::{Epoch, Slot};
use stentor_telemetry::{Keys, Metrics};

use crate::{
    Backend,
    support::{TTL, node, room, soon, until, until_view},
};

pub async fn the_view_follows_a_room_through_its_life(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let (id, mut view) = (room("a"), there.view());
    until_view(&mut view, "the first listing", |view| view.current).await;

    let created = here.create(&id, &b"1"[..]).await.unwrap();
    until_view(&mut view, "the room", |view| {
        view.rooms.get(&id).is_some_and(|room| room.revision == created)
    })
    .await;
    let updated = here.update_unowned(&id, created, &b"2"[..]).await.unwrap();
    until_view(&mut view, "the update", |view| view.rooms[&id].record == "2" && view.revision == updated)
        .await;
    let session = here.register(node("n"), TTL).await.unwrap();
    let ownership = here.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    until_view(&mut view, "the owner", |view| view.owner(&id) == Some(ownership.owner())).await;
    assert_eq!(view.snapshot().rooms[&id].epoch, Epoch(1), "owner key and record change together");
    here.commit(&ownership, &b"3"[..]).await.unwrap();
    until_view(&mut view, "the commit", |view| view.rooms[&id].record == "3").await;
    assert!(view.snapshot().owner(&id).is_some());
    here.release(ownership).await.unwrap();
    until_view(&mut view, "the release", |view| view.owner(&id).is_none()).await;
    let last = here.get(&id).await.unwrap().unwrap().revision;
    here.delete(&id, last).await.unwrap();
    until_view(&mut view, "the end", |view| view.rooms.is_empty()).await;
    assert!(view.snapshot().current && view.snapshot().unreadable == 0);
}

pub async fn revisions_of_the_view_only_rise_and_it_ends_like_a_listing(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let writer = tokio::spawn(async move {
        for number in 0..100 {
            let id = room(&format!("r{}", number % 10));
            let Some(found) = here.get(&id).await.unwrap() else {
                here.create(&id, number.to_string()).await.unwrap();
                continue;
            };
            match number % 7 {
                0 => here.delete(&id, found.revision).await.unwrap(),
                _ => drop(here.update_unowned(&id, found.revision, number.to_string()).await.unwrap()),
            }
        }
        here.create(&room("last"), &b"done"[..]).await.unwrap()
    });
    let (mut view, mut seen) = (there.view(), Revision(0));
    soon("the last room", async {
        loop {
            let now = view.changed().await;
            assert!(now.revision >= seen, "{} after {seen}", now.revision);
            seen = now.revision;
            if now.rooms.contains_key(&room("last")) {
                break;
            }
        }
    })
    .await;
    assert_eq!(writer.await.unwrap(), seen);
    let viewed: Vec<_> = view.snapshot().rooms.values().map(|room| (**room).clone()).collect();
    assert_eq!(viewed, there.list().await.unwrap());
}

pub async fn a_view_that_begins_late_is_the_same_as_one_that_began_early(backend: &impl Backend) {
    let (early, late) = (backend.directory().await, backend.directory().await);
    let mut before = early.view();
    let session = early.register(node("n"), TTL).await.unwrap();
    for name in ["a", "b", "c"] {
        early.create(&room(name), name.to_owned()).await.unwrap();
    }
    early.claim(&session, &room("b"), Epoch(0), None, Slot(0)).await.unwrap();
    let owned = room("b");
    until(&late, "a listing", |view| view.current).await;
    until_view(&mut before, "the claim", |view| view.owner(&owned).is_some()).await;
    let (before, after) = (before.snapshot(), late.view().snapshot());
    assert_eq!((&before.nodes, &before.rooms), (&after.nodes, &after.rooms));
}

pub async fn an_edge_is_given_nothing_of_rooms_and_other_roles_are(backend: &impl Backend) {
    let (here, there, metrics) = (backend.directory().await, backend.directory().await, Metrics::new());
    here.create(&room("before"), vec![b'x'; 20_000]).await.unwrap();
    let as_node = |name: &str, roles: Roles| {
        let metrics = metrics.for_node(&node(name).id);
        (there.metered(metrics.clone()).viewed_by(roles), metrics)
    };
    let (edge, of_edge) = as_node("edge", NodeRole::Edge.into());
    let (origin, of_origin) = as_node("origin", NodeRole::Origin.into());
    for directory in [&edge, &origin] {
        until(directory, "the first listing", |view| view.current).await;
    }

    let session = here.register(node("n"), TTL).await.unwrap();
    let id = room("a");
    here.create(&id, vec![b'x'; 20_000]).await.unwrap();
    let ownership = here.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    for _ in 0..20 {
        here.commit(&ownership, vec![b'y'; 20_000]).await.unwrap();
    }
    // Changes come in their order: whoever has this one has had all before it.
    let last = here.register(node("last"), TTL).await.unwrap();
    for directory in [&edge, &origin] {
        until(directory, "the last node", |view| view.nodes.contains_key(last.node())).await;
    }
    let view = edge.view().snapshot();
    assert!(view.rooms.is_empty() && view.nodes.len() == 2, "{view:?}");
    assert!(of_edge.directory_read_bytes(Keys::Nodes).get() > 0);
    assert_eq!(of_edge.directory_read_bytes(Keys::Rooms).get(), 0, "an edge reads nothing of rooms");
    assert!(origin.view().snapshot().rooms[&id].record.starts_with(b"y"));
    let (nodes, rooms) =
        (of_origin.directory_read_bytes(Keys::Nodes), of_origin.directory_read_bytes(Keys::Rooms));
    assert!(nodes.get() > 0 && rooms.get() > 20 * 20_000, "{} {}", nodes.get(), rooms.get());
    session.close().await.unwrap();
    until(&edge, "the node to go", |view| view.nodes.len() == 1).await;
}

pub async fn a_reader_is_told_which_keys_changed_and_no_others(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let ids = ["a", "b", "c"].map(room);
    for id in &ids {
        here.create(id, &b"1"[..]).await.unwrap();
    }
    until(&there, "a listing", |view| view.current && view.rooms.len() == 3).await;
    let mut reader = there.view().reader();
    assert_eq!(reader.next().await.1, Changed::All, "at first it is to look at everything");

    let session = here.register(node("n"), TTL).await.unwrap();
    let told = told_until(&mut reader, "the node", |view| view.nodes.len() == 1).await;
    assert_eq!(told, ChangedKeys { nodes: [session.node().clone()].into(), ..ChangedKeys::default() });
    let ownership = here.claim(&session, &ids[1], Epoch(0), None, Slot(0)).await.unwrap();
    let one = || [ids[1].clone()].into();
    let told = told_until(&mut reader, "the claim", |view| view.owner(&ids[1]).is_some()).await;
    assert_eq!(told, ChangedKeys { records: one(), offices: one(), ..ChangedKeys::default() });
    here.commit(&ownership, &b"2"[..]).await.unwrap();
    let told = told_until(&mut reader, "the commit", |view| view.rooms[&ids[1]].record == "2").await;
    assert_eq!(told, ChangedKeys { records: one(), ..ChangedKeys::default() });

    let mut late = reader.clone();
    let first = here.get(&ids[0]).await.unwrap().unwrap().revision;
    here.delete(&ids[0], first).await.unwrap();
    here.release(ownership).await.unwrap();
    let both = ChangedKeys { records: [ids[0].clone()].into(), offices: one(), ..ChangedKeys::default() };
    for reader in [&mut reader, &mut late] {
        let over = |view: &View| view.rooms.len() == 2 && view.owner(&ids[1]).is_none();
        assert_eq!(told_until(reader, "the end", over).await, both);
    }
    assert!(there.view().snapshot().current);
}

/// All that a reader is told until the view holds what is asked for.
async fn told_until(reader: &mut Reader, what: &str, holds: impl Fn(&View) -> bool) -> ChangedKeys {
    let mut told = Changed::Keys(ChangedKeys::default());
    soon(what, async {
        loop {
            let (view, changed) = reader.next().await;
            told.and(changed);
            if holds(&view) {
                break;
            }
        }
    })
    .await;
    let Changed::Keys(keys) = told else { panic!("nothing was interrupted") };
    keys
}
