//! Many rooms whose owner is gone: what one of them has to do before it can go on holds up no other.

use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex},
};

use stentor_host::Replay;
use stentor_ids::RoomId;
use stentor_kit::{Cluster, Meddler, Plan, SOON, meddled, speak, talk, until, until_async, voice};

const TALKING: [&str; 4] = ["talks-1", "talks-2", "talks-3", "talks-4"];

/// Replays that wait to be let go, and which rooms have begun one.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    begun: Mutex<BTreeSet<String>>,
}

impl Meddler for Gate {
    fn replays(&self, room: &RoomId, replay: &Replay<'_>) {
        if !replay.history.rests() {
            self.begun.lock().unwrap().insert(room.to_string());
            let open = self.open.lock().unwrap();
            drop(self.opened.wait_timeout_while(open, 2 * SOON, |open| !*open).unwrap());
        }
    }
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn begun(&self) -> BTreeSet<String> {
        self.begun.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_replay_hold_up_no_other_and_a_room_at_rest_waits_for_none() {
    let (cluster, gate) = (Cluster::new(), Arc::new(Gate::default()));
    let owner = cluster.origin("origin-1").await;
    let mut rooms = Vec::new();
    for name in TALKING.iter().copied().chain(["rests"]) {
        let room = cluster.create(name, true).await;
        cluster.owner_from(&room, 1).await;
        rooms.push((room.clone(), cluster.listen(&format!("relay-{name}"), &room).await));
    }
    let edge = cluster.uplinks("edge-1");
    // A stretch without a pause.
    let words = voice("voice-a.ogg")[1100..1250].to_vec();
    let mut talking = Vec::new();
    for (room, _) in &rooms[..TALKING.len()] {
        talking.push(talk(speak(&edge, room, "ann", false).await, words.clone()));
    }
    let mirror = cluster.start("origin-2", Plan::of(&["origin"]).mixed_by(meddled(gate.clone()))).await;
    for (room, heard) in &rooms {
        until("it is mirrored", || mirror.host().mirrors(room)).await;
        heard.heard_of(1, 50).await;
        until_async("its mirror is ready", async || owner.status(room).await.mirror_ready).await;
    }

    owner.kill().await;
    let (_, rests) = rooms.last().unwrap();
    until("a room replays", || !gate.begun().is_empty()).await;
    let at = rests.highest();
    until("the room at rest is heard", || rests.highest() > at.plus(100)).await;
    assert!(!gate.begun().contains("rests"));
    gate.open();
    for (room, heard) in &rooms {
        let at = heard.highest();
        until(&format!("{room} is heard"), || heard.highest() > at.plus(50)).await;
    }
    // One whose last packet went with its owner has nothing that it could replay.
    let begun = gate.begun();
    assert!(begun.iter().all(|room| TALKING.contains(&room.as_str())), "{begun:?}");
}
