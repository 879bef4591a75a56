//! Nodes of several builds in one cluster, and rooms whose records only some of them can read.

use std::time::Duration;

use stentor_ids::Code;
use stentor_kit::{Cluster, until};
use stentor_programs::Etcd;
use tokio::time::timeout;

/// How long nobody may take a room without an owner: who may do so does at once.
const NOBODY_TAKES: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_goes_to_nodes_that_read_its_record_and_to_no_others() {
    let cluster = Cluster::new();
    let older = cluster.origin("origin-1").await;
    older.set_schema(0).await;
    let newer = cluster.origin("origin-2").await;
    let mut rooms = Vec::new();
    for i in 0..10 {
        rooms.push(cluster.create(&format!("room-{i}"), false).await);
    }
    until("the newer node runs them all", || newer.host().rooms() == 10).await;
    for (to, code) in [(None, Code::NodeUnavailable), (Some(&older.id), Code::UnknownNode)] {
        let refused = newer.host().hand_off(&rooms[0], to).await.unwrap_err();
        assert_eq!(refused.code, code, "{refused}");
    }
    older.set_schema(1).await;
    until("it mirrors them as soon as it can read them", || older.host().mirrored() == 10).await;
    newer.host().hand_off(&rooms[0], None).await.expect("it can have the room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_cannot_read_what_a_newer_owner_wrote_steps_aside_and_does_not_take_the_room() {
    let etcd = Etcd::start().unwrap();
    let cluster = Cluster::on(&etcd).await;
    let owner = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let mirror = cluster.origin("origin-2").await;
    cluster.shows("it is mirrored", |view| view.rooms[&room].mirror.is_some()).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 20).await;

    // What a newer owner would write: the owner here does not read its record again. A key, its epoch, the record.
    let stored = etcd.control(&["get", "--prefix", "/stentor/"]).unwrap();
    let lines: Vec<_> = stored.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("{\"schema\":1,")).expect("a record");
    let newer = lines[at].replace("\"schema\":1,", "\"schema\":2,");
    etcd.control(&["put", lines[at - 2], &format!("{}\n{newer}", lines[at - 1])]).unwrap();
    until("it mirrors the room no more", || mirror.host().mirrored() == 0).await;
    cluster.shows("its office is free", |view| view.rooms[&room].mirror.is_none()).await;

    let at = heard.highest();
    until("the owner goes on", || heard.highest() > at.plus(50)).await;
    assert_eq!(heard.audio().missing, [0; 0]);
    owner.kill().await;
    // Nobody who could has come: the room waits for one, and is not taken by who would leave something out.
    cluster.shows("its owner is gone", |view| view.rooms[&room].owner.is_none()).await;
    let mut view = cluster.directory.view();
    let taken = view.wait_for(|view| view.rooms[&room].owner.is_some());
    assert!(timeout(NOBODY_TAKES, taken).await.is_err(), "{:?}", cluster.owner(&room));
    assert_eq!((mirror.host().rooms(), mirror.host().mirrored()), (0, 0));
}
