//! Rooms that panic.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use stentor_host::{Engine, EngineFactory};
use stentor_ids::{ParticipantId, Slot};
use stentor_mix::{CodecError, Mixer, Push, SlotOutput, SpeakerPacket, Stage};
use stentor_pace::Time;

use crate::cluster::{Cluster, until};

/// A mixer that panics when it is told to: once, or each time.
struct Fragile {
    mixer: Mixer,
    breaks: Option<Arc<Breaks>>,
}

#[derive(Default)]
struct Breaks {
    now: AtomicBool,
    always: AtomicBool,
}

impl Engine for Fragile {
    fn set_stage(&mut self, stage: Stage) {
        self.mixer.set_stage(stage);
    }
    fn push(&mut self, now: Time, who: &ParticipantId, packet: SpeakerPacket) -> Push {
        self.mixer.push(now, who, packet)
    }
    fn monitor(&mut self, who: &ParticipantId, on: bool) -> Result<(), CodecError> {
        self.mixer.monitor(who, on)
    }
    fn tick(&mut self, now: Time, slot: Slot) -> Result<SlotOutput, CodecError> {
        let breaks = |breaks: &Arc<Breaks>| breaks.now.swap(false, Relaxed) || breaks.always.load(Relaxed);
        if self.breaks.as_ref().is_some_and(breaks) {
            // A panic without its message: printing a backtrace would stall the whole runtime of this test.
            std::panic::resume_unwind(Box::new("told to break"));
        }
        self.mixer.tick(now, slot)
    }
}

/// Engines of which those of the room `fragile` break.
fn fragile() -> (Arc<Breaks>, EngineFactory) {
    let breaks = Arc::new(Breaks::default());
    let of = breaks.clone();
    let factory: EngineFactory = Arc::new(move |room, config, replay| {
        let breaks = (room.as_str() == "fragile").then(|| of.clone());
        let mixer = match replay {
            Some(replay) => Mixer::replay(config, replay.history, replay.at, replay.slots)?,
            None => Mixer::new(config)?,
        };
        Ok(Box::new(Fragile { mixer, breaks }))
    });
    (breaks, factory)
}

#[tokio::test(start_paused = true)]
async fn a_panic_restarts_its_room_at_a_higher_slot_and_touches_no_other() {
    let cluster = Cluster::in_memory();
    let (breaks, engines) = fragile();
    let origin = cluster.origin_with("origin-1", Some(engines)).await;
    let rooms = [cluster.create("fragile", true).await, cluster.create("sturdy", true).await];
    for room in &rooms {
        cluster.owner(room, 1).await;
    }
    let heard = [cluster.listen("relay-1", &rooms[0]).await, cluster.listen("relay-2", &rooms[1]).await];
    for heard in &heard {
        heard.heard_of(1, 20).await;
    }
    let metrics = cluster.metrics.for_node(&origin.id);
    for restart in 1..=3 {
        breaks.now.store(true, Relaxed);
        until("it was restarted", || metrics.room_restarts().get() == restart).await;
        let at = heard[0].highest();
        until("it goes on", || heard[0].highest() > at.plus(10)).await;
    }
    let frames = heard[0].frames();
    assert!(frames.windows(2).all(|pair| pair[0].slot < pair[1].slot && pair[0].lineage <= pair[1].lineage));
    assert_eq!(frames.last().unwrap().lineage.0, (1 << 16) + 6);
    assert_eq!(cluster.owner(&rooms[0], 1).await.epoch.0, 1, "it has the same owner all along");
    let sturdy = heard[1].audio();
    assert_eq!((sturdy.missing, sturdy.twice), (vec![], 0));
    assert!(heard[1].frames().iter().all(|frame| frame.lineage.0 == 1 << 16));
}

#[tokio::test(start_paused = true)]
async fn a_room_that_keeps_panicking_is_given_up_to_another_origin() {
    let cluster = Cluster::in_memory();
    let (breaks, engines) = fragile();
    let first = cluster.origin_with("origin-1", Some(engines)).await;
    let room = cluster.create("fragile", true).await;
    cluster.owner(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 20).await;
    let second = cluster.origin("origin-2").await;
    breaks.always.store(true, Relaxed);
    let owner = cluster.owner(&room, 2).await;
    assert_eq!(owner.node, second.id);
    heard.heard_of(owner.epoch.0, 50).await;
    assert_eq!(cluster.metrics.for_node(&first.id).room_restarts().get(), 5);
    assert_eq!(first.handle.rooms(), 0);
}
