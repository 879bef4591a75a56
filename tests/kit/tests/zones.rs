//! Two origins that are cut from each other, and a directory that both see: the one that reaches more has the room, at once or
//! after a while, and it changes its owner once at most.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{net::Ipv4Addr, time::Duration};

use stentor_directory::View;
use stentor_ids::RoomId;
use stentor_kit::{Cluster, Node, Wire, until};

const OWNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 21);
const MIRROR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 22);
/// Whoever listens.
const LISTENER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// How long nothing may change: some contests, and several times as long as a mirror takes that contests nothing.
const NOTHING_CHANGES: Duration = Duration::from_secs(8);

struct Zones {
    cluster: Cluster,
    wires: [Wire; 2],
    room: RoomId,
    owner: Node,
    mirror: Node,
}

/// A room with its owner and its mirror.
async fn zones() -> Zones {
    let (cluster, wires) = (Cluster::new(), [Wire::new().await, Wire::new().await]);
    let owner = cluster.origin_over("origin-1", OWNER, &wires[0]).await;
    let room = cluster.create("talk", true).await;
    assert_eq!(cluster.owner_from(&room, 1).await.node, owner.id);
    let mirror = cluster.origin_over("origin-2", MIRROR, &wires[1]).await;
    until("it is mirrored", || mirror.host().mirrors(&room)).await;
    Zones { cluster, wires, room, owner, mirror }
}

impl Zones {
    /// Asserts that the owner's epoch stays this one.
    async fn stays(&self, epoch: u64) {
        let mut view = self.cluster.directory.view();
        let changes = |view: &View| view.owner(&self.room).is_none_or(|now| now.epoch.0 != epoch);
        let changed = tokio::time::timeout(NOTHING_CHANGES, view.wait_for(changes)).await;
        assert!(changed.is_err(), "its owner is {:?}", self.cluster.owner(&self.room));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_reaches_as_much_as_its_mirror_keeps_the_room() {
    let zones = zones().await;
    let heard = zones.cluster.listen_as_edge("edge-1", &zones.room).await;
    heard.heard_of(1, 50).await;
    zones.wires[0].cut(MIRROR);
    zones.wires[1].cut(OWNER);
    zones.stays(1).await;
    assert_eq!(zones.owner.status(&zones.room).await.owner, zones.owner.id.as_str());
    assert_eq!(heard.audio().missing, [0; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_reaches_more_than_its_owner_has_the_room_and_keeps_it() {
    let zones = zones().await;
    let heard = zones.cluster.listen_as_edge("edge-1", &zones.room).await;
    heard.heard_of(1, 50).await;
    zones.wires[0].cut(MIRROR);
    zones.wires[0].cut(LISTENER);
    zones.wires[1].cut(OWNER);
    let claim = zones.cluster.owner_from(&zones.room, 2).await;
    assert_eq!((claim.node, claim.epoch.0), (zones.mirror.id.clone(), 2));
    heard.heard_of(2, 50).await;
    zones.stays(2).await;
    assert_eq!(heard.audio().missing, [0; 0], "the mirror has led on");
}
