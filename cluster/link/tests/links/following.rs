//! One origin of a room follows the other, whatever happens to the link between them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use stentor_ids::{Code, Epoch, Fault, NodeId, RoomId};
use stentor_link::{Carry, Feed, FollowStream, Followed, Follower, Mirror};
use stentor_proto::v1::{self, follow_response::Message};
use stentor_telemetry::Tier;
use tokio::{
    sync::broadcast,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::BroadcastStream;

use super::cluster::{Cluster, Extra, Node, SOON, id, room, until};

/// An origin that tells what the test says, and how it stands ten times a second while it is not `quiet`.
struct Origin {
    told: broadcast::Sender<v1::FollowResponse>,
    asked: Mutex<Vec<(NodeId, Epoch)>>,
    epoch: AtomicU64,
}

impl Origin {
    fn new() -> Arc<Self> {
        let (told, asked) = (broadcast::Sender::new(1024), Mutex::default());
        Arc::new(Self { told, asked, epoch: AtomicU64::new(1) })
    }

    async fn join(self: &Arc<Self>, cluster: &Cluster, name: &str) -> Node {
        let own: Option<Arc<dyn Carry>> = Some(self.clone());
        cluster.node(name, Tier::Origin, Extra { own, ..Default::default() }).await
    }

    fn tell(&self, slot: u64) {
        let origin = v1::OriginState { lineage: slot, ..Default::default() };
        let _ = self.told.send(v1::FollowResponse { message: Some(Message::Origin(origin)) });
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Tells how it stands until the test is over.
    fn beat(self: &Arc<Self>) {
        let origin = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            for slot in 0.. {
                tick.tick().await;
                origin.tell(slot);
            }
        });
    }
}

#[async_trait]
impl Carry for Origin {
    async fn feed(&self, room: &RoomId) -> Result<Feed, Fault> {
        Err(Fault::new(Code::NotOwner, room.to_string()))
    }
    async fn follow(&self, room: &RoomId, by: NodeId, epoch: Epoch) -> Result<FollowStream, Fault> {
        self.asked.lock().unwrap().push((by, epoch));
        if epoch > Epoch(self.epoch.load(Ordering::Relaxed)) {
            return Err(Fault::new(Code::NotOwner, format!("{room} has another owner")));
        }
        Ok(Box::pin(BroadcastStream::new(self.told.subscribe()).filter_map(async |told| told.ok())))
    }
}

fn peer(node: &Node) -> Option<Mirror> {
    Some(Mirror { node: node.id.clone(), link_addr: node.link_addr() })
}

async fn next(follower: &mut Follower) -> Followed {
    timeout(SOON, follower.next()).await.expect("something comes soon")
}

fn slot(followed: &Followed) -> u64 {
    let Followed::Told(Message::Origin(state)) = followed else { panic!("{followed:?}") };
    state.lineage
}

#[tokio::test]
async fn a_follower_is_told_all_in_order_even_if_its_waits_are_given_up() {
    let cluster = Cluster::new();
    let origin = Origin::new();
    let node = origin.join(&cluster, "origin-1").await;
    let mut follower = Follower::new(id("origin-2"), cluster.pool.clone(), room());
    assert!(timeout(Duration::from_millis(50), follower.next()).await.is_err(), "there is nobody to follow");
    follower.follow(peer(&node), Epoch(1));
    assert_eq!(next(&mut follower).await, Followed::Opened);
    assert_eq!(*origin.asked.lock().unwrap(), [(id("origin-2"), Epoch(1))]);
    let telling = async {
        for slot in 0..200 {
            origin.tell(slot);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let hearing = async {
        let mut slots = Vec::new();
        while slots.len() < 200 {
            if let Ok(followed) = timeout(Duration::from_millis(1), follower.next()).await {
                slots.push(slot(&followed));
            }
            // To follow the same again disturbs nothing.
            follower.follow(peer(&node), Epoch(1));
        }
        slots
    };
    let ((), slots) = timeout(SOON, futures::future::join(telling, hearing)).await.unwrap();
    assert_eq!(slots, (0..200).collect::<Vec<_>>());
    follower.follow(None, Epoch(1));
    assert!(timeout(Duration::from_millis(50), follower.next()).await.is_err());
    until("the stream is let go", || origin.told.receiver_count() == 0).await;
}

#[tokio::test]
async fn a_black_hole_is_noticed_in_time_and_left_for_a_new_connection() {
    let cluster = Cluster::new();
    let origin = Origin::new();
    let node = origin.join(&cluster, "origin-1").await;
    let mut follower = Follower::new(id("origin-2"), cluster.pool.clone(), room());
    follower.follow(peer(&node), Epoch(1));
    assert_eq!(next(&mut follower).await, Followed::Opened);
    origin.beat();
    slot(&next(&mut follower).await);
    node.proxy.freeze();
    let begun = Instant::now();
    let mut faults = 0;
    let noticed = loop {
        match next(&mut follower).await {
            Followed::Told(_) => {}
            Followed::Lost(fault) => {
                assert_eq!(fault.code, Code::NodeUnavailable);
                break begun.elapsed();
            }
            Followed::Opened => panic!("nothing can open"),
        }
    };
    // Twice as long if this machine paused us just then.
    assert!((1400..3400).contains(&noticed.as_millis()), "{noticed:?}");
    let restoring = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        node.proxy.restore();
        Instant::now()
    };
    let reopening = async {
        loop {
            match next(&mut follower).await {
                Followed::Opened => return Instant::now(),
                Followed::Lost(_) => faults += 1,
                Followed::Told(_) => panic!("it has to open first"),
            }
        }
    };
    let (restored, opened) = futures::future::join(restoring, reopening).await;
    let took = opened.saturating_duration_since(restored);
    assert!(took < Duration::from_secs(2), "{took:?} after {faults} more tries");
    slot(&next(&mut follower).await);
}

#[tokio::test]
async fn an_origin_that_ends_or_refuses_is_tried_again_not_too_often_and_another_one_at_once() {
    let cluster = Cluster::new();
    let (first, second) = (Origin::new(), Origin::new());
    let nodes = [first.join(&cluster, "origin-1").await, second.join(&cluster, "origin-2").await];
    let mut follower = Follower::new(id("origin-3"), cluster.pool.clone(), room());
    follower.follow(peer(&nodes[0]), Epoch(2));
    let Followed::Lost(fault) = next(&mut follower).await else { panic!("it is refused") };
    assert_eq!(fault.code, Code::NotOwner);
    let trying = async {
        loop {
            assert!(matches!(next(&mut follower).await, Followed::Lost(_)));
        }
    };
    assert!(timeout(Duration::from_secs(1), trying).await.is_err());
    assert!((3..20).contains(&first.asked()), "{}", first.asked());
    first.epoch.store(2, Ordering::Relaxed);
    while next(&mut follower).await != Followed::Opened {}

    follower.follow(peer(&nodes[1]), Epoch(1));
    assert_eq!(timeout(Duration::from_millis(200), follower.next()).await, Ok(Followed::Opened));
    until("the first one is left", || first.told.receiver_count() == 0).await;
    nodes[1].proxy.cut();
    assert!(matches!(next(&mut follower).await, Followed::Lost(_)));
    nodes[1].proxy.restore();
    while next(&mut follower).await != Followed::Opened {}
    second.tell(9);
    assert_eq!(slot(&next(&mut follower).await), 9);
}
