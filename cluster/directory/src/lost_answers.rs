//! Tests with a directory that loses what it is asked, or what it answers: each write is found out about and done once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use stentor_ids::{Epoch, NodeId, RoomId, Slot};

use crate::{
    BanPart, Directory, Error, LeaseId, NodeRecord, NodeRole, Revision, Room,
    embedded::Embedded,
    keys::{Range, Scope},
    store::{Check, Interrupted, Op, Outcome, Resume, Snapshot, Store, Watch},
};

#[derive(Clone, Copy)]
enum Loses {
    Nothing,
    /// The first try of each write does not arrive.
    Requests,
    /// The first try of each write takes effect and is not answered.
    Answers,
}

/// An embedded directory behind a connection that loses every other transaction.
struct Lossy {
    store: Embedded,
    loses: Loses,
    lose_next: AtomicBool,
}

#[async_trait]
impl Store for Lossy {
    async fn read(&self, range: &Range) -> Result<Snapshot, Error> {
        // Whoever reads looks whether the lost write has happened; if it has, there is no second try.
        if matches!(self.loses, Loses::Answers) {
            self.lose_next.store(true, Ordering::Relaxed);
        }
        self.store.read(range).await
    }

    async fn transact(&self, checks: Vec<Check>, then: Vec<Op>) -> Result<Outcome, Error> {
        let lost = || Error::Unavailable { directory: "test".to_owned(), reason: "lost".to_owned() };
        let lose = self.lose_next.fetch_xor(true, Ordering::Relaxed);
        match self.loses {
            Loses::Requests if lose => Err(lost()),
            Loses::Answers if lose => self.store.transact(checks, then).await.and(Err(lost())),
            _ => self.store.transact(checks, then).await,
        }
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Error> {
        self.store.grant(ttl).await
    }

    async fn renew(&self, lease: LeaseId) -> Result<(), Error> {
        self.store.renew(lease).await
    }

    async fn remaining(&self, lease: LeaseId) -> Result<Option<Duration>, Error> {
        self.store.remaining(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), Error> {
        self.store.revoke(lease).await
    }

    async fn watch(&self, range: &Range, from: Resume) -> Result<Box<dyn Watch>, Interrupted> {
        self.store.watch(range, from).await
    }
}

/// Does everything once and gives all revisions and the last state that could be seen on the way.
async fn life_of_a_room(loses: Loses) -> (Vec<Revision>, Room) {
    let directory =
        Directory::over(Lossy { store: Embedded::in_memory(), loses, lose_next: AtomicBool::new(true) });
    let (id, other) = (RoomId::new("a").unwrap(), RoomId::new("b").unwrap());
    let node = NodeRecord { instance: 7, ..NodeRecord::new(NodeId::new("n").unwrap(), NodeRole::Origin) };
    let session = directory.register(node, Duration::from_secs(60)).await.unwrap();

    let created = directory.create(&id, "1").await.unwrap();
    let updated = directory.update_unowned(&id, created, "2").await.unwrap();
    let first = directory.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    let committed = directory.commit(&first, "3").await.unwrap();
    let again = directory.commit(&first, "and more").await.unwrap();
    let preempt = Some(first.owner().revision);
    let second = directory.claim(&session, &id, Epoch(0), preempt, Slot(5)).await.unwrap();
    let third = directory.reassert(&session, &second, "4").await.unwrap();

    let mirror = NodeRecord { instance: 8, ..NodeRecord::new(NodeId::new("m").unwrap(), NodeRole::Origin) };
    let mirror = directory.register(mirror, Duration::from_secs(60)).await.unwrap();
    let office = directory.mirror(&mirror, &id, None).await.unwrap();
    directory.release_mirror(office.clone()).await.unwrap();
    let next = directory.mirror(&mirror, &id, None).await.unwrap();
    let over = directory.mirror(&mirror, &id, Some(next.mirror().revision)).await.unwrap();
    let preempt = Some(third.owner().revision);
    let fourth = directory.claim(&mirror, &id, Epoch(0), preempt, Slot(9)).await.unwrap();
    let last = directory.get(&id).await.unwrap().unwrap();
    let doomed = directory.create(&other, "x").await.unwrap();
    directory.delete(&other, doomed).await.unwrap();
    directory.release(fourth.clone()).await.unwrap();
    let end = directory.read(&Scope::Rooms.range()).await.unwrap().revision;
    let mut revisions = vec![created, updated, committed, again, doomed, end];
    revisions.extend([first, second, third, fourth].map(|ownership| ownership.owner().revision));
    revisions.extend([office, next, over].map(|office| office.mirror().revision));
    (revisions, last)
}

#[tokio::test]
async fn a_lost_request_is_sent_again_and_a_lost_answer_is_not_a_second_write() {
    let undisturbed = life_of_a_room(Loses::Nothing).await;
    assert_eq!((undisturbed.1.epoch, &undisturbed.1.mirror), (Epoch(3), &None));
    assert_eq!(life_of_a_room(Loses::Requests).await, undisturbed);
    assert_eq!(life_of_a_room(Loses::Answers).await, undisturbed);
}

#[tokio::test]
async fn bans_beside_a_record_that_does_not_change_are_written_though_the_first_request_is_lost() {
    let (loses, lose_next) = (Loses::Requests, AtomicBool::new(true));
    let directory = Directory::over(Lossy { store: Embedded::in_memory(), loses, lose_next });
    let (id, node) = (RoomId::new("a").unwrap(), NodeId::new("n").unwrap());
    let node = NodeRecord { instance: 7, ..NodeRecord::new(node, NodeRole::Origin) };
    let session = directory.register(node, Duration::from_secs(60)).await.unwrap();
    directory.create(&id, "1").await.unwrap();
    let ownership = directory.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    for value in ["x", "y", ""] {
        let part = BanPart { number: 3, value: value.into() };
        directory.commit_with_bans(&ownership, "1", vec![part.clone()]).await.unwrap();
        assert_eq!(directory.bans(&id).await.unwrap(), Vec::from_iter((!value.is_empty()).then_some(part)));
    }
}
