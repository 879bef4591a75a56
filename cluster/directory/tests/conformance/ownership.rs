//! Claims, commits, and what a stale owner may not do.

use stentor_directory::{Error, SessionState};
use stentor_ids::{Code, Epoch, Fault, Slot};

use crate::{
    Backend,
    support::{TTL, get, node, room, soon, until},
};

pub async fn of_racing_claimants_exactly_one_wins_and_epochs_strictly_rise(backend: &impl Backend) {
    let id = room("a");
    let directories = [backend.directory().await, backend.directory().await, backend.directory().await];
    directories[0].create(&id, &b"x"[..]).await.unwrap();
    let mut sessions = Vec::new();
    for (directory, name) in directories.iter().zip(["a", "b", "c"]) {
        sessions.push(directory.register(node(name), TTL).await.unwrap());
    }
    for round in 1..=10 {
        let claims =
            [0, 1, 2].map(|who| directories[who].claim(&sessions[who], &id, Epoch(0), None, Slot(0)));
        let [a, b, c] = claims;
        let (a, b, c) = tokio::join!(a, b, c);
        let (won, lost): (Vec<_>, Vec<_>) = [a, b, c].into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 2), "{lost:?}");
        let ownership = won.into_iter().next().unwrap().unwrap();
        assert_eq!(ownership.epoch(), Epoch(round));
        for error in lost.into_iter().map(Result::unwrap_err) {
            assert!(matches!(&error, Error::Lost { owner, .. } if owner == ownership.owner()), "{error}");
        }
        directories[0].release(ownership).await.unwrap();
    }
}

pub async fn a_claim_rises_above_every_epoch_that_was_seen(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"x"[..]).await.unwrap();
    let session = directory.register(node("n"), TTL).await.unwrap();
    for (seen, epoch) in [(0, 1), (41, 42), (3, 43)] {
        let ownership = directory.claim(&session, &id, Epoch(seen), None, Slot(0)).await.unwrap();
        assert_eq!(ownership.epoch(), Epoch(epoch));
        assert_eq!(get(&directory, "a").await.epoch, Epoch(epoch), "the record knows it too");
        directory.release(ownership).await.unwrap();
    }
    let error = directory.claim(&session, &room("b"), Epoch(0), None, Slot(0)).await.unwrap_err();
    assert!(matches!(error, Error::UnknownRoom { .. }), "{error}");
}

pub async fn a_pre_empted_owner_cannot_commit(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let id = room("a");
    here.create(&id, &b"created"[..]).await.unwrap();
    let (old, new) =
        (here.register(node("old"), TTL).await.unwrap(), there.register(node("new"), TTL).await.unwrap());
    let stale = here.claim(&old, &id, Epoch(0), None, Slot(0)).await.unwrap();
    here.commit(&stale, &b"by the old one"[..]).await.unwrap();

    let preempt = Some(stale.owner().revision);
    let fresh = there.claim(&new, &id, Epoch(0), preempt, Slot(500)).await.unwrap();
    assert_eq!((fresh.epoch(), fresh.from_slot()), (Epoch(2), Slot(500)));
    assert_eq!(get(&there, "a").await.record, "by the old one", "a claim leaves the record as it is");

    let error = here.commit(&stale, &b"too late"[..]).await.unwrap_err();
    assert!(
        matches!(&error, Error::Fenced { epoch: Epoch(1), owner: Some(owner), .. } if owner == fresh.owner())
    );
    assert_eq!(Fault::from(error).code, Code::NotOwner);
    there.commit(&fresh, &b"by the new one"[..]).await.unwrap();
    assert!(matches!(here.commit(&stale, &b"too late"[..]).await, Err(Error::Fenced { .. })));
    here.release(stale).await.unwrap();
    let read = get(&here, "a").await;
    assert_eq!((&read.record[..], read.owner.as_ref()), (&b"by the new one"[..], Some(fresh.owner())));
}

pub async fn a_claim_that_means_to_pre_empt_another_owner_than_there_is_loses(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"x"[..]).await.unwrap();
    let [a, b] = ["a", "b"].map(|name| directory.register(node(name), TTL));
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    let first = directory.claim(&a, &id, Epoch(0), None, Slot(0)).await.unwrap();
    let second = directory.claim(&b, &id, Epoch(0), Some(first.owner().revision), Slot(0)).await.unwrap();
    for preempt in [None, Some(first.owner().revision)] {
        let error = directory.claim(&a, &id, Epoch(0), preempt, Slot(0)).await.unwrap_err();
        assert!(matches!(&error, Error::Lost { owner, .. } if owner == second.owner()), "{error}");
    }
    directory.commit(&second, &b"undisturbed"[..]).await.unwrap();
}

pub async fn an_owner_whose_lease_has_ended_cannot_commit(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"x"[..]).await.unwrap();
    let session = directory.register(node("n"), TTL).await.unwrap();
    let ownership = directory.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    until(&directory, "the owner", |view| view.owner(&id).is_some()).await;
    drop(session);
    until(&directory, "the lease to end", |view| view.nodes.is_empty() && view.owner(&id).is_none()).await;
    let error = directory.commit(&ownership, &b"too late"[..]).await.unwrap_err();
    assert!(matches!(error, Error::Fenced { owner: None, .. }), "{error}");
    assert_eq!(get(&directory, "a").await.record, "x");
}

pub async fn an_owner_reasserts_at_its_own_epoch_until_another_has_claimed(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"x"[..]).await.unwrap();
    let record = node("owner");
    let before = directory.register(record.clone(), TTL).await.unwrap();
    let lost = directory.claim(&before, &id, Epoch(0), None, Slot(9)).await.unwrap();
    before.close().await.unwrap();
    let session = directory.register(record, TTL).await.unwrap();

    let regained = directory.reassert(&session, &lost, &b"as the owner has it"[..]).await.unwrap();
    assert_eq!((regained.epoch(), regained.from_slot()), (lost.epoch(), Slot(9)));
    assert!(matches!(directory.commit(&lost, &b"y"[..]).await, Err(Error::Fenced { .. })));
    directory.commit(&regained, &b"committed"[..]).await.unwrap();

    let other = directory.register(node("other"), TTL).await.unwrap();
    let preempt = Some(regained.owner().revision);
    let newer = directory.claim(&other, &id, Epoch(0), preempt, Slot(20)).await.unwrap();
    let error = directory.reassert(&session, &regained, &b"too late"[..]).await.unwrap_err();
    assert!(matches!(&error, Error::Fenced { owner: Some(owner), .. } if owner == newer.owner()), "{error}");
    directory.release(newer).await.unwrap();
    let error = directory.reassert(&session, &regained, &b"too late"[..]).await.unwrap_err();
    assert!(matches!(&error, Error::Fenced { owner: None, .. }), "the record remembers the epoch: {error}");
    assert_eq!(get(&directory, "a").await.record, "committed");
}

pub async fn commits_take_effect_in_the_order_in_which_they_were_asked_for(backend: &impl Backend) {
    let directory = backend.directory().await;
    let id = room("a");
    directory.create(&id, &b"x"[..]).await.unwrap();
    let session = directory.register(node("n"), TTL).await.unwrap();
    let ownership = directory.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    let mut commits = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (directory, ownership) = (directory.clone(), ownership.clone());
        commits
            .spawn(async move { (number, directory.commit(&ownership, number.to_string()).await.unwrap()) });
    }
    let mut done = soon("the commits", commits.join_all()).await;
    done.sort_by_key(|(_, revision)| *revision);
    let (last, revision) = done.last().unwrap();
    let read = get(&directory, "a").await;
    assert_eq!((read.record, read.revision), (last.to_string().into(), *revision));
    assert!(done.windows(2).all(|pair| pair[0].1 < pair[1].1), "each took effect once");
    assert!(matches!(*session.state().borrow(), SessionState::Held(_)));
}
