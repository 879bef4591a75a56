//! Many rooms whose owner is gone: what one of them has to do before it can go on holds up no other.

use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex},
};

use stentor_host::{Engine, EngineFactory};
use stentor_mix::Mixer;

use crate::{
    cluster::{Cluster, SOON, speak, until},
    speech::{talk, voice},
};

const TALKING: [&str; 4] = ["talks-1", "talks-2", "talks-3", "talks-4"];

/// Replays that wait to be let go, and which rooms have begun one.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    begun: Mutex<BTreeSet<String>>,
}

impl Gate {
    fn pass(&self, room: &str) {
        self.begun.lock().unwrap().insert(room.to_owned());
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_timeout_while(open, 2 * SOON, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn begun(&self) -> BTreeSet<String> {
        self.begun.lock().unwrap().clone()
    }
}

/// Mixers whose replays stop at the gate.
fn gated(gate: &Arc<Gate>) -> EngineFactory {
    let gate = gate.clone();
    Arc::new(move |room, config, replay| {
        let mixer = match replay {
            Some(replay) => {
                if !replay.history.rests() {
                    gate.pass(room.as_str());
                }
                Mixer::replay(config, replay.history, replay.at, replay.slots)?
            }
            None => Mixer::new(config)?,
        };
        Ok(Box::new(mixer) as Box<dyn Engine>)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_replay_hold_up_no_other_and_a_room_at_rest_waits_for_none() {
    let (cluster, gate) = (Cluster::new(), Arc::new(Gate::default()));
    let owner = cluster.origin("origin-1").await;
    let mut rooms = Vec::new();
    for name in TALKING.iter().copied().chain(["rests"]) {
        let room = cluster.create(name, true).await;
        cluster.owner(&room, 1).await;
        rooms.push((room.clone(), cluster.listen(&format!("relay-{name}"), &room).await));
    }
    let edge = cluster.edge("edge-1");
    // A stretch without a pause.
    let words = voice("voice-a.ogg")[1100..1250].to_vec();
    let mut talking = Vec::new();
    for (room, _) in &rooms[..TALKING.len()] {
        talking.push(talk(speak(&edge, room, "ann", false).await, words.clone()));
    }
    let mirror = cluster.origin_with("origin-2", Some(gated(&gate))).await;
    for (room, heard) in &rooms {
        until("it is mirrored", || mirror.handle.mirrors(room)).await;
        heard.heard_of(1, 50).await;
        while !owner.status(room).await.mirror_ready {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
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
    let begun: Vec<_> = gate.begun().into_iter().collect();
    assert_eq!(begun, TALKING);
}
