//! Nodes come, stay as long as they renew, and go.

use std::{sync::Arc, time::Duration};

use stentor_directory::{Error, Labels, NodeRecord, SessionState};
use stentor_telemetry::{Call, Lease, Metrics};
use tokio::time::{Instant, sleep};

use crate::{
    Backend,
    support::{TTL, node, room, soon, until},
};

pub async fn a_registered_node_is_seen_and_a_closed_one_is_gone(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let record = node("a");
    let session = here.register(record.clone(), TTL).await.unwrap();
    until(&there, "the node", |view| view.nodes.get(&record.id).is_some_and(|seen| **seen == record)).await;
    let closing = Instant::now();
    session.close().await.unwrap();
    until(&there, "the node to go", |view| view.nodes.is_empty()).await;
    assert!(closing.elapsed() < TTL, "it went with its lease, not with the time");
}

pub async fn a_node_that_is_closed_goes_although_its_session_is_held_elsewhere(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    // Of the longest time: nobody waits for its end.
    let session = Arc::new(here.register(node("a"), Duration::from_secs(3600)).await.unwrap());
    let held = session.clone();
    until(&there, "the node", |view| view.nodes.len() == 1).await;
    session.close().await.unwrap();
    drop(session);
    until(&there, "the node to go", |view| view.nodes.is_empty()).await;
    assert_eq!(*held.state().borrow(), SessionState::Lost);
    assert!(matches!(held.lease(), Err(Error::LeaseGone)));
    assert!(matches!(held.update(node("a")).await, Err(Error::LeaseGone)));
    held.close().await.unwrap();
    // Its name is free, and nobody puts the former one back.
    let reborn = soon("the name to be free", there.register(node("a"), TTL)).await.unwrap();
    reborn.close().await.unwrap();
}

pub async fn a_node_stays_past_its_ttl_and_goes_after_its_process_does(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let session = here.register(node("a"), TTL).await.unwrap();
    let lease = session.lease().unwrap();
    until(&there, "the node", |view| view.nodes.len() == 1).await;
    sleep(2 * TTL).await;
    assert_eq!(*session.state().borrow(), SessionState::Held(lease));
    assert_eq!(there.view().snapshot().nodes.len(), 1);
    drop(session);
    until(&there, "the lease to end", |view| view.nodes.is_empty()).await;
}

pub async fn a_second_node_with_the_same_id_is_refused_by_name(backend: &impl Backend) {
    let (here, there) = (backend.directory().await, backend.directory().await);
    let first = node("twin");
    let session = here.register(first.clone(), TTL).await.unwrap();
    let error = soon("the refusal", there.register(node("twin"), TTL)).await.unwrap_err();
    assert!(matches!(&error, Error::NodeExists { node, .. } if *node == first.id), "{error}");
    assert!(error.to_string().contains(&first.link_addr), "{error}");
    assert!(session.lease().is_ok(), "the first is not disturbed");
    until(&there, "the first", |view| {
        view.nodes.get(&first.id).is_some_and(|seen| seen.instance == first.instance)
    })
    .await;
}

pub async fn a_restarted_node_waits_for_the_lease_of_its_former_process(backend: &impl Backend) {
    let directory = backend.directory().await;
    drop(directory.register(node("a"), TTL).await.unwrap());
    let reborn = node("a");
    let session = soon("the former lease to end", directory.register(reborn.clone(), TTL)).await.unwrap();
    until(&directory, "the new process", |view| {
        view.nodes.get(&reborn.id).is_some_and(|seen| seen.instance == reborn.instance)
    })
    .await;
    session.close().await.unwrap();
}

pub async fn an_update_changes_the_record_and_keeps_the_lease(backend: &impl Backend) {
    let directory = backend.directory().await;
    let record = node("a");
    let session = directory.register(record.clone(), TTL).await.unwrap();
    let lease = session.lease().unwrap();
    let draining =
        NodeRecord { labels: Labels { draining: true, ..Labels::default() }, instance: 0, ..record.clone() };
    session.update(draining).await.unwrap();
    until(&directory, "the node to drain", |view| {
        view.nodes.get(&record.id).is_some_and(|seen| seen.labels.draining)
    })
    .await;
    sleep(TTL + Duration::from_millis(500)).await;
    let seen = directory.view().snapshot().nodes[&record.id].clone();
    assert_eq!((seen.labels.draining, seen.instance), (true, record.instance));
    assert_eq!(session.lease().unwrap(), lease);
}

pub async fn what_a_node_does_is_counted_as_its_own(backend: &impl Backend) {
    let (record, metrics) = (node("a"), Metrics::new());
    let counted = metrics.for_node(&record.id);
    let directory = backend.directory().await;
    let metered = directory.metered(counted.clone());
    let session = metered.register(record, TTL).await.unwrap();
    assert_eq!(counted.lease_held().get(), 1);
    metered.create(&room("a"), &b"x"[..]).await.unwrap();
    let calls = counted.directory_calls(Call::Ok).get();
    assert!(calls > 0);
    directory.create(&room("b"), &b"x"[..]).await.unwrap();
    assert_eq!(counted.directory_calls(Call::Ok).get(), calls, "another's calls are not its own");
    sleep(TTL).await;
    assert!(counted.lease_events(Lease::Renewed).get() > 0);
    session.close().await.unwrap();
    assert_eq!(counted.lease_held().get(), 0);
}
