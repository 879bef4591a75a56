//! Rooms that panic.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use stentor_ids::RoomId;
use stentor_kit::{Cluster, Meddler, Node, Plan, meddled, until};

/// What breaks the room `fragile`: once, or each time.
#[derive(Default)]
struct Breaks {
    now: AtomicBool,
    always: AtomicBool,
}

impl Meddler for Breaks {
    fn ticks(&self, room: &RoomId) {
        if room.as_str() == "fragile" && (self.now.swap(false, Relaxed) || self.always.load(Relaxed)) {
            // A panic without its message: printing a backtrace would stall the whole runtime of this test.
            std::panic::resume_unwind(Box::new("told to break"));
        }
    }
}

async fn fragile(cluster: &Cluster) -> (Arc<Breaks>, Node) {
    let breaks = Arc::new(Breaks::default());
    let plan = Plan::of(&["origin"]).mixed_by(meddled(breaks.clone()));
    (breaks, cluster.start("origin-1", plan).await)
}

#[tokio::test(start_paused = true)]
async fn a_panic_restarts_its_room_at_a_higher_slot_and_touches_no_other() {
    let cluster = Cluster::in_memory();
    let (breaks, origin) = fragile(&cluster).await;
    let rooms = [cluster.create("fragile", true).await, cluster.create("sturdy", true).await];
    for room in &rooms {
        cluster.owner_from(room, 1).await;
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
    assert_eq!(cluster.owner_from(&rooms[0], 1).await.epoch.0, 1, "it has the same owner all along");
    let sturdy = heard[1].audio();
    assert_eq!((sturdy.missing, sturdy.twice), (vec![], 0));
    assert!(heard[1].frames().iter().all(|frame| frame.lineage.0 == 1 << 16));
}

#[tokio::test(start_paused = true)]
async fn a_room_that_keeps_panicking_is_given_up_to_another_origin() {
    let cluster = Cluster::in_memory();
    let (breaks, first) = fragile(&cluster).await;
    let room = cluster.create("fragile", true).await;
    cluster.owner_from(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 20).await;
    let second = cluster.origin("origin-2").await;
    breaks.always.store(true, Relaxed);
    let owner = cluster.owner_from(&room, 2).await;
    assert_eq!(owner.node, second.id);
    heard.heard_of(owner.epoch.0, 50).await;
    assert_eq!(cluster.metrics.for_node(&first.id).room_restarts().get(), 5);
    assert_eq!(first.host().rooms(), 0);
}
