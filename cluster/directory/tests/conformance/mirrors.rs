//! The second office of a room: who mirrors it.

use stentor_directory::{Bid, Error, View};
use stentor_ids::{Code, Epoch, Fault, Slot};

use crate::{
    Backend,
    support::{TTL, get, node, room, until, until_view},
};

pub async fn a_room_has_one_mirror_which_is_seen_until_it_gives_the_office_up(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let (id, mut view) = (room("a"), there.view());
    here.create(&id, &b"x"[..]).await.unwrap();
    let (a, b) =
        (here.register(node("a"), TTL).await.unwrap(), there.register(node("b"), TTL).await.unwrap());
    let key = here.mirror(&a, &id, None).await.unwrap();
    assert_eq!((&key.mirror().node, key.room()), (a.node(), &id));
    assert_eq!(get(&there, "a").await.mirror.as_ref(), Some(key.mirror()));
    until_view(&mut view, "the mirror", |view| view.mirror(&id) == Some(key.mirror())).await;
    assert!(view.snapshot().at() >= key.written());

    let error = there.mirror(&b, &id, None).await.unwrap_err();
    assert!(matches!(&error, Error::Mirrored { mirror, .. } if mirror == key.mirror()), "{error}");
    assert_eq!(Fault::from(error).code, Code::WrongState);
    here.release_mirror(key).await.unwrap();
    until_view(&mut view, "nobody", |view| view.mirror(&id).is_none()).await;
    there.mirror(&b, &id, None).await.unwrap();
    let error = there.mirror(&b, &room("b"), None).await.unwrap_err();
    assert!(matches!(error, Error::UnknownRoom { .. }), "{error}");
}

pub async fn of_racing_mirrors_exactly_one_wins_and_a_former_one_gives_up_nothing(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let id = room("a");
    here.create(&id, &b"x"[..]).await.unwrap();
    let (a, b) =
        (here.register(node("a"), TTL).await.unwrap(), there.register(node("b"), TTL).await.unwrap());
    let mut former = None;
    for _ in 0..10 {
        let preempt = former.as_ref().map(|key: &stentor_directory::MirrorKey| key.mirror().revision);
        let (one, other) = tokio::join!(here.mirror(&a, &id, preempt), there.mirror(&b, &id, preempt));
        let (key, error) = match (one, other) {
            (Ok(key), Err(error)) | (Err(error), Ok(key)) => (key, error),
            both => panic!("{both:?}"),
        };
        assert!(matches!(&error, Error::Mirrored { mirror, .. } if mirror == key.mirror()), "{error}");
        if let Some(former) = former.replace(key.clone()) {
            here.release_mirror(former).await.unwrap();
        }
        assert_eq!(get(&here, "a").await.mirror.as_ref(), Some(key.mirror()));
    }
}

pub async fn a_mirror_fences_nobody_and_does_not_outlive_its_lease(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"x"[..]).await.unwrap();
    let owner = directory.register(node("owner"), TTL).await.unwrap();
    let mirror = directory.register(node("mirror"), TTL).await.unwrap();
    let ownership = directory.claim(&owner, &id, Epoch(0), None, Slot(0)).await.unwrap();
    let key = directory.mirror(&mirror, &id, None).await.unwrap();
    directory.commit(&ownership, &b"1"[..]).await.unwrap();
    directory.mirror(&mirror, &id, Some(key.mirror().revision)).await.unwrap();
    directory.commit(&ownership, &b"2"[..]).await.unwrap();
    until(&directory, "both", |view| view.owner(&id).is_some() && view.mirror(&id).is_some()).await;
    assert_eq!(get(&directory, "a").await.epoch, Epoch(1));
    mirror.close().await.unwrap();
    until(&directory, "the mirror to go", |view| view.mirror(&id).is_none()).await;
    directory.commit(&ownership, &b"3"[..]).await.unwrap();
    let read = get(&directory, "a").await;
    assert_eq!((&read.record[..], read.owner.as_ref()), (&b"3"[..], Some(ownership.owner())));
}

pub async fn a_mirror_that_takes_the_room_over_is_its_mirror_no_longer(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let id = room("a");
    here.create(&id, &b"x"[..]).await.unwrap();
    let [old, new, third] = ["old", "new", "third"].map(|name| here.register(node(name), TTL));
    let (old, new, third) = (old.await.unwrap(), new.await.unwrap(), third.await.unwrap());
    let stale = here.claim(&old, &id, Epoch(0), None, Slot(0)).await.unwrap();
    here.mirror(&new, &id, None).await.unwrap();
    until(&there, "the mirror", |view| view.mirror(&id).is_some()).await;

    let mut view = there.view();
    let preempt = Some(stale.owner().revision);
    let fresh = here.claim(&new, &id, Epoch(0), preempt, Slot(50)).await.unwrap();
    let taken = view.wait_for(|view| view.owner(&id) == Some(fresh.owner())).await;
    assert_eq!(taken.mirror(&id), None, "they change together");
    // The old owner may mirror now; whoever else claims leaves it in its office.
    let key = here.mirror(&old, &id, None).await.unwrap();
    let preempt = Some(fresh.owner().revision);
    here.claim(&third, &id, Epoch(0), preempt, Slot(90)).await.unwrap();
    assert_eq!(get(&here, "a").await.mirror.as_ref(), Some(key.mirror()));
}

pub async fn no_node_is_owner_and_mirror_of_one_room(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"x"[..]).await.unwrap();
    let session = directory.register(node("n"), TTL).await.unwrap();
    for _ in 0..10 {
        let (owner, mirror) = tokio::join!(
            directory.claim(&session, &id, Epoch(0), None, Slot(0)),
            directory.mirror(&session, &id, None),
        );
        let owner = owner.unwrap();
        assert_eq!(get(&directory, "a").await.mirror, None, "{mirror:?}");
        let error = directory.mirror(&session, &id, None).await.unwrap_err();
        assert!(matches!(&error, Error::OwnMirror { node, .. } if node == session.node()), "{error}");
        directory.release(owner).await.unwrap();
    }
}

pub async fn a_room_that_is_released_keeps_its_mirror_and_one_that_is_deleted_does_not(
    backend: &impl Backend,
) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"x"[..]).await.unwrap();
    let owner = directory.register(node("owner"), TTL).await.unwrap();
    let mirror = directory.register(node("mirror"), TTL).await.unwrap();
    let ownership = directory.claim(&owner, &id, Epoch(0), None, Slot(0)).await.unwrap();
    let key = directory.mirror(&mirror, &id, None).await.unwrap();
    directory.release(ownership).await.unwrap();
    let released = get(&directory, "a").await;
    assert_eq!((released.owner, released.mirror.as_ref()), (None, Some(key.mirror())));
    directory.delete(&id, released.revision).await.unwrap();
    directory.create(&id, &b"again"[..]).await.unwrap();
    assert_eq!(get(&directory, "a").await.mirror, None);
}

pub async fn a_bid_is_seen_until_it_is_withdrawn_and_goes_with_its_lease(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let (id, mut view) = (room("a"), there.view());
    here.create(&id, &b"x"[..]).await.unwrap();
    let (a, b) =
        (here.register(node("a"), TTL).await.unwrap(), there.register(node("b"), TTL).await.unwrap());
    here.bid(&a, &id, Epoch(3), (40, 2)).await.unwrap();
    let first = there.bid(&b, &id, Epoch(3), (7, 1)).await.unwrap();
    let second = here.bid(&a, &id, Epoch(3), (41, 2)).await.unwrap();
    assert!(second > first);
    let bid = |name: &str, listeners, children, revision| {
        let node = node(name).id;
        Bid { node, epoch: Epoch(3), listeners, children, revision }
    };
    let bids = move |view: &View| {
        let mut bids = view.rooms.get(&room("a")).map(|room| room.bids.clone()).unwrap_or_default();
        bids.sort_by(|one, other| one.node.cmp(&other.node));
        bids
    };
    let both = [bid("a", 41, 2, second), bid("b", 7, 1, first)];
    until_view(&mut view, "both bids", |view| bids(view) == both).await;
    let late = backend.directory().await;
    until(&late, "the bids of before", |view| bids(view) == both).await;

    here.withdraw_bid(&id, a.node()).await.unwrap();
    here.withdraw_bid(&id, a.node()).await.unwrap();
    until_view(&mut view, "one bid", |view| bids(view) == both[1..]).await;
    // Nobody is fenced by a bid, and it is in nobody's way.
    let owned = here.claim(&a, &id, Epoch(0), None, Slot(0)).await.unwrap();
    here.commit(&owned, &b"y"[..]).await.unwrap();
    b.close().await.unwrap();
    until_view(&mut view, "none", |view| bids(view).is_empty() && view.owner(&id).is_some()).await;
}
