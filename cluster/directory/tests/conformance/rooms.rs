//! Rooms that nobody owns, or that somebody else owns.

use stentor_directory::{BanPart, Error, MAX_RECORD_BYTES, Revision, Room};
use stentor_ids::{Code, Epoch, Fault, Slot};

use crate::{
    Backend,
    support::{TTL, get, node, room},
};

pub async fn a_room_is_created_once_and_read_back_until_it_is_deleted(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let (id, record) = (room("town-hall"), &b"any\nbytes \xff"[..]);
    assert_eq!(here.get(&id).await.unwrap(), None);
    let revision = here.create(&id, record).await.unwrap();
    let error = there.create(&id, &b"other"[..]).await.unwrap_err();
    assert!(matches!(error, Error::RoomExists { .. }), "{error}");
    let read = get(&there, "town-hall").await;
    assert_eq!((&read.record[..], read.epoch, read.revision, read.owner), (record, Epoch(0), revision, None));
    there.delete(&id, revision).await.unwrap();
    assert_eq!(here.get(&id).await.unwrap(), None);
    let error = there.delete(&id, revision).await.unwrap_err();
    assert_eq!(Fault::from(error).code, Code::UnknownRoom);
}

pub async fn a_room_that_nobody_owns_is_written_only_at_the_revision_that_was_read(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    let first = directory.create(&id, &b"1"[..]).await.unwrap();
    let second = directory.update_unowned(&id, first, &b"2"[..]).await.unwrap();
    assert!(second > first);
    for late in [first, Revision(0)] {
        let error = directory.update_unowned(&id, late, &b"3"[..]).await.unwrap_err();
        assert!(matches!(error, Error::Changed { expected, .. } if expected == late), "{error}");
        assert!(matches!(directory.delete(&id, late).await, Err(Error::Changed { .. })));
    }
    assert_eq!(get(&directory, "a").await.record, "2");
    let error = directory.update_unowned(&room("b"), first, &b"1"[..]).await.unwrap_err();
    assert!(matches!(error, Error::UnknownRoom { .. }), "{error}");
}

pub async fn nobody_but_the_owner_writes_an_owned_room(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"1"[..]).await.unwrap();
    let session = directory.register(node("n"), TTL).await.unwrap();
    let ownership = directory.claim(&session, &id, Epoch(0), None, Slot(7)).await.unwrap();
    let owned = get(&directory, "a").await;
    assert_eq!(owned.owner.as_ref(), Some(ownership.owner()));
    assert_eq!((ownership.epoch(), ownership.from_slot()), (Epoch(1), Slot(7)));
    let error = directory.update_unowned(&id, owned.revision, &b"2"[..]).await.unwrap_err();
    assert!(matches!(&error, Error::Owned { owner, .. } if owner.node == *session.node()), "{error}");
    assert!(matches!(directory.delete(&id, owned.revision).await, Err(Error::Owned { .. })));
    directory.commit(&ownership, &b"3"[..]).await.unwrap();
    directory.release(ownership).await.unwrap();
    let released = get(&directory, "a").await;
    assert_eq!((&released.record[..], released.epoch, &released.owner), (&b"3"[..], Epoch(1), &None));
    directory.update_unowned(&id, released.revision, &b"4"[..]).await.unwrap();
    assert_eq!(get(&directory, "a").await.epoch, Epoch(1), "the epoch outlives the admin's write");
}

pub async fn bans_are_written_with_the_record_and_go_with_the_room(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let (id, other) = (room("a"), room("ab"));
    let part = |number, value: &'static [u8]| BanPart { number, value: value.into() };
    let mut ownerships = Vec::new();
    let session = here.register(node("n"), TTL).await.unwrap();
    for id in [&id, &other] {
        here.create(id, &b"1"[..]).await.unwrap();
        ownerships.push(here.claim(&session, id, Epoch(0), None, Slot(0)).await.unwrap());
    }
    here.commit_with_bans(&ownerships[0], &b"1"[..], vec![part(0, b"x"), part(63, b"y")]).await.unwrap();
    here.commit_with_bans(&ownerships[1], &b"1"[..], vec![part(5, b"z")]).await.unwrap();
    assert_eq!(there.bans(&id).await.unwrap(), [part(0, b"x"), part(63, b"y")]);
    let changes = vec![part(0, b""), part(1, b""), part(63, b"yy")];
    let last = here.commit_with_bans(&ownerships[0], &b"2"[..], changes).await.unwrap();
    assert_eq!(there.bans(&id).await.unwrap(), [part(63, b"yy")]);

    // What is too long for one transaction is written all the same, and only by the owner.
    let long: Vec<_> = (0..64).map(|number| BanPart { number, value: vec![b'x'; 30_000].into() }).collect();
    let long_last = here.commit_with_bans(&ownerships[0], vec![b'r'; 500_000], long.clone()).await.unwrap();
    assert!(long_last > last);
    assert_eq!(there.bans(&id).await.unwrap(), long);
    let released = ownerships.remove(0);
    here.release(released.clone()).await.unwrap();
    let late = here.commit_with_bans(&released, &b"3"[..], vec![part(0, b"late")]).await;
    assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    assert_eq!(there.bans(&id).await.unwrap(), long);

    there.delete(&id, long_last).await.unwrap();
    assert_eq!(there.bans(&id).await.unwrap(), []);
    assert_eq!(there.bans(&other).await.unwrap(), [part(5, b"z")]);
}

pub async fn hundreds_of_rooms_are_listed_and_the_longest_record_is_kept(backend: &impl Backend) {
    let directory = backend.directory().await;
    let names: Vec<_> = (0..300).map(|number| room(&format!("room-{number:03}"))).collect();
    for id in &names {
        directory.create(id, id.as_str().to_owned()).await.unwrap();
    }
    let longest = vec![b'x'; MAX_RECORD_BYTES];
    directory.create(&room("z"), longest.clone()).await.unwrap();
    let error = directory.create(&room("zz"), [longest.clone(), vec![b'x']].concat()).await.unwrap_err();
    assert_eq!(Fault::from(error).code, Code::InvalidArgument);
    let listed = directory.list().await.unwrap();
    assert_eq!(listed.len(), 301);
    assert!(listed.iter().zip(&names).all(|(room, id)| room.id == *id && room.record == id.as_str()));
    assert!(listed[300].record == longest);
}

pub async fn a_room_is_put_back_at_its_epoch_unless_it_is_there(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let id = room("a");
    let revision = here.create(&id, &b"1"[..]).await.unwrap();
    let lost = Room { epoch: Epoch(7), ..get(&here, "a").await };
    assert!(!there.put_back(&lost).await.unwrap());
    here.delete(&id, revision).await.unwrap();
    let (first, second) = tokio::join!(here.put_back(&lost), there.put_back(&lost));
    assert_ne!(first.unwrap(), second.unwrap(), "one of many does it");
    let read = get(&there, "a").await;
    assert_eq!((&read.record[..], read.epoch), (&b"1"[..], Epoch(7)));
    there.update_unowned(&id, read.revision, &b"2"[..]).await.unwrap();
    assert!(!here.put_back(&lost).await.unwrap());
    assert_eq!(get(&here, "a").await.record, "2", "never over something newer");
}
