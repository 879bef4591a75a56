//! An origin, an edge, and rooms in every state.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use stentor_admission::{Claims, KeySet};
use stentor_edge::{Config, Edge, EdgeHandle};
use stentor_ids::{Epoch, Lineage, NodeId, ParticipantId, Role, RoomId, Slot};
use stentor_link::{
    Carrier, Closed, Feed, Journal, LinkServer, Locator, Owner, Peer, Pool, Security, Services, Topology,
    control, uplink::Uplinks,
};
use stentor_mix::{Encoder, EncoderConfig};
use stentor_pace::WallTime;
use stentor_proto::v1;
use stentor_relay::Frame;
use stentor_telemetry::{Metrics, NodeMetrics, Tier};
use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::origin::{Face, Origin};

/// How long anything may take that a test waits for.
pub const SOON: Duration = Duration::from_secs(10);

/// An edge and the origin behind it, both gone with it.
pub struct Stage {
    pub addr: SocketAddr,
    pub edge: EdgeHandle,
    pub origin: Arc<Origin>,
    pub metrics: NodeMetrics,
    keys: KeySet,
    _stop: DropGuard,
}

/// The edge's view: one origin, and no rooms.
struct View(Arc<Vec<Peer>>, watch::Sender<u64>);

impl Topology for View {
    fn peers(&self) -> Arc<Vec<Peer>> {
        self.0.clone()
    }
    fn owner(&self, _: &RoomId) -> Option<Owner> {
        None
    }
    fn status(&self, _: &RoomId) -> Option<v1::RoomStatus> {
        None
    }
    fn changed(&self) -> watch::Receiver<u64> {
        self.1.subscribe()
    }
}

impl Stage {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let (metrics, stop) = (Metrics::new(), CancellationToken::new());
        let [origin_id, edge_id] = ["origin-1", "edge-1"].map(|id| NodeId::new(id).unwrap());
        let origin = Arc::new(Origin::default());
        let server = LinkServer::bind(free(), &Security::Insecure).unwrap();
        *origin.addr.lock().unwrap() = server.local_addr().to_string();
        let face = Arc::new(Face(origin.clone()));
        let services = Services {
            own: Some(face.clone()),
            carrier: None,
            ingest: Some(face.clone()),
            control: Some(face),
            journal: None,
        };
        let peer = Peer {
            id: origin_id.clone(),
            origin: true,
            relay: false,
            edge: false,
            admin: false,
            zone: String::new(),
            link_addr: server.local_addr().to_string(),
            public_addr: String::new(),
            draining: false,
            capacity: 1,
            rooms: 0,
        };
        tokio::spawn(server.run(origin_id.clone(), services, metrics.for_node(&origin_id), stop.clone()));

        let metrics = metrics.for_node(&edge_id);
        let view = Arc::new(View(Arc::new(vec![peer]), watch::Sender::new(0)));
        let pool = Pool::new(Security::Insecure, None, &metrics).unwrap();
        let locator = Locator::new(edge_id.clone(), pool.clone(), view.clone());
        let carrying = stentor_link::Config { me: edge_id.clone(), tier: Tier::Edge };
        let journal = Journal::new(edge_id.clone());
        let carrier = Carrier::new(carrying, pool.clone(), view.clone(), metrics.clone(), journal);
        let uplinks = Uplinks::new(edge_id, pool.clone(), locator.clone(), view, metrics.clone());
        let keys = KeySet::new([("main", [7_u8; 32])]).unwrap();
        let owners = control::Client::new(pool);
        let config = Config { listen: free(), ..config };
        let edge =
            Edge::new(&config, keys.clone(), carrier, locator, uplinks, owners, metrics.clone()).unwrap();
        let (addr, handle) = (edge.local_addr(), edge.handle());
        let running = stop.clone();
        tokio::spawn(async move { edge.run(running).await.unwrap() });
        Self { addr, edge: handle, origin, metrics, keys, _stop: stop.drop_guard() }
    }

    /// A ticket for the room `demo`.
    pub fn ticket(&self, participant: &str, role: Role, lasts: Duration) -> String {
        let claims = Claims {
            room: RoomId::new("demo").unwrap(),
            participant: ParticipantId::new(participant).unwrap(),
            name: participant.to_uppercase(),
            role,
            // Tickets end on whole seconds; none of these ends sooner than asked for.
            expires_at: wall() + lasts + Duration::from_secs(1),
            not_before: None,
            issued_at: None,
        };
        self.keys.sign(&claims, None).unwrap()
    }

    pub fn listener(&self, participant: &str) -> String {
        self.ticket(participant, Role::Listener, Duration::from_secs(60))
    }

    /// The room `demo` on the air, with a tone in every slot from now on.
    pub fn on_air(&self, visibility: v1::Visibility) -> Air {
        let feed = self.origin.keep(status("demo", v1::Lifecycle::Live, visibility));
        let emitting = tokio::spawn(emit(feed.clone()));
        Air { feed, origin: self.origin.clone(), emitting }
    }
}

/// A room on the air.
pub struct Air {
    pub feed: Feed,
    origin: Arc<Origin>,
    emitting: JoinHandle<()>,
}

impl Air {
    /// No more slots come.
    pub fn stop(&self) {
        self.emitting.abort();
    }

    /// The room ends, behind the slots that came.
    pub fn end(&self) {
        self.stop();
        let ended = status("demo", v1::Lifecycle::Ended, v1::Visibility::Public);
        self.origin.keep(ended.clone());
        self.feed.set_status(Arc::new(ended));
        self.feed.close(Closed::Ended);
    }

    pub fn event(&self, participant: &str, what: v1::participant_event::What) {
        let event = v1::ParticipantEvent { participant: participant.into(), what: Some(what), serial: 0 };
        self.feed.event(event);
    }
}

impl Drop for Air {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A room as its owner tells it; only an open or a live one has an owner.
pub fn status(room: &str, lifecycle: v1::Lifecycle, visibility: v1::Visibility) -> v1::RoomStatus {
    let owned = matches!(lifecycle, v1::Lifecycle::Open | v1::Lifecycle::Live);
    v1::RoomStatus {
        room: room.into(),
        lifecycle: lifecycle.into(),
        primary: if owned { "origin-1".into() } else { String::new() },
        epoch: 1,
        spec: Some(v1::RoomSpec {
            title: "A talk".into(),
            visibility: visibility.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn wall() -> WallTime {
    WallTime::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A second of a tone, in slots. Any joined to any is sound Opus.
pub static TONE: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let mut encoder = Encoder::new(EncoderConfig::default()).unwrap();
    let sample = |n: usize| (n as f32 / 48_000.0 * 440.0 * std::f32::consts::TAU).sin() * 0.3;
    (0..50)
        .map(|slot| (slot * 960..(slot + 1) * 960).map(sample).collect::<Vec<_>>())
        .map(|pcm| encoder.encode(&pcm).unwrap())
        .collect()
});

pub fn frame(slot: u64) -> Frame {
    Frame {
        epoch: Epoch(1),
        lineage: Lineage(1),
        slot: Slot(slot),
        opus: TONE[slot as usize % TONE.len()].clone(),
        captured: wall(),
    }
}

async fn emit(feed: Feed) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for slot in 1000.. {
        tick.tick().await;
        feed.push(frame(slot));
    }
}

fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Waits for a condition.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {SOON:?}: {what}");
}
