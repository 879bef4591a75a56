//! A player whose thread others hold up for longer than its seam buffer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use stentor_admission::{ClusterKeys, KeyKind, NewKey, SigningKeys, key_line};
use stentor_ids::{Epoch, Lineage, NodeId, RoomId, Slot};
use stentor_link::{Carrier, FeedWriter, Journal, Locator, Owner, Peer, Pool, Security, Topology};
use stentor_pace::WallTime;
use stentor_proto::v1;
use stentor_relay::{Frame, Output};
use stentor_telemetry::{Metrics, Tier};
use tokio::{
    sync::{broadcast::Receiver, watch},
    task::yield_now,
};

use super::{Heard, OnAir, Part, Parts, Rooms, player::Player};
use crate::{
    auth::{Auth, Keys},
    fanout::Fanout,
};

/// Nobody else is there.
struct Alone(watch::Sender<u64>);

impl Topology for Alone {
    fn peers(&self) -> Arc<Vec<Peer>> {
        Arc::default()
    }
    fn owner(&self, _: &RoomId) -> Option<Owner> {
        None
    }
    fn status(&self, _: &RoomId) -> Option<v1::RoomStatus> {
        None
    }
    fn changed(&self, _: &RoomId) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// Rooms with a seam buffer of this length, which does not grow.
fn rooms(buffer: Duration) -> Rooms {
    let me = NodeId::new("edge-1").unwrap();
    let metrics = Metrics::new().for_node(&me);
    let pool = Pool::new(Security::Insecure, None, &metrics).unwrap();
    let topology: Arc<dyn Topology> = Arc::new(Alone(watch::Sender::new(0)));
    let config = stentor_link::Config { me: me.clone(), tier: Tier::Edge };
    let private = NewKey::new("main", KeyKind::EdDsa, &[7; 32]).unwrap().private;
    let keys = Keys {
        tickets: SigningKeys::parse(&private).unwrap().verifying(),
        cluster: ClusterKeys::parse(&key_line("main", &[8; 32]).unwrap()).unwrap(),
    };
    let (_, leaving) = watch::channel(None);
    Rooms::new(Parts {
        auth: Arc::new(Auth::new(keys, leaving)),
        carrier: Carrier::new(
            config,
            pool.clone(),
            topology.clone(),
            metrics.clone(),
            Journal::new(me.clone()),
        ),
        locator: Locator::new(me, pool, topology),
        fanout: Fanout::start(1, Duration::from_secs(10), &metrics).unwrap(),
        buffer,
        buffer_max: buffer,
        metrics,
    })
}

fn push(feed: &FeedWriter, slots: std::ops::Range<u64>) {
    for slot in slots {
        feed.push(Frame {
            epoch: Epoch(1),
            lineage: Lineage(2),
            slot: Slot(slot),
            opus: Bytes::from_static(&[0x78; 40]),
            captured: WallTime::default(),
        });
    }
}

/// What is given out up to a slot.
async fn given(heard: &mut Receiver<Heard>, last: u64) -> Vec<Output> {
    let mut given = Vec::new();
    loop {
        let Heard::Output(output) = heard.recv().await.unwrap() else { continue };
        let (Output::Play(Frame { slot, .. }) | Output::Gap { slot, .. }) = output;
        given.push(output);
        if slot >= Slot(last) {
            return given;
        }
    }
}

#[tokio::test]
async fn a_player_that_was_held_up_plays_what_came_meanwhile() {
    let rooms = rooms(Duration::from_millis(300));
    let feed = FeedWriter::new(RoomId::new("demo").unwrap());
    let on_air = Arc::new(OnAir::new(feed.reader()));
    let _audience = on_air.admit(None, Part::Listener);
    let mut heard = on_air.follow();
    let player = tokio::spawn(Player::new(rooms, on_air).run());
    push(&feed, 0..10);
    // It has taken them all, and gives them out within the next 300 ms.
    for _ in 0..100 {
        yield_now().await;
    }
    // The only thread of this runtime is held up for longer than what follows may take.
    std::thread::sleep(Duration::from_millis(700));
    push(&feed, 10..20);
    let given = given(&mut heard, 19).await;
    let gaps: Vec<_> = given.iter().filter(|output| matches!(output, Output::Gap { .. })).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
    assert_eq!(given.len(), 20);
    player.abort();
}
