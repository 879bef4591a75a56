//! An origin, an edge, and rooms in every state.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use stentor_admission::{Claims, ClusterKeys, KeyKind, NewKey, SigningKeys, TicketKeys, key_line};
use stentor_edge::{Config, Edge, EdgeHandle, Keys, Tls, Ways};
use stentor_ids::{Epoch, Lineage, NodeId, ParticipantId, Role, RoomId, Slot};
use stentor_link::{
    Carrier, Closed, FeedWriter, Journal, Labels, LinkServer, Locator, Owner, Peer, Pool, Security, Services,
    Topology, control, uplink::Uplinks,
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
    view: Arc<View>,
    all: Metrics,
    signing: SigningKeys,
    keys: Keys,
    stop: CancellationToken,
    _stop: DropGuard,
}

/// Another edge of the same cluster.
pub struct Other {
    pub addr: SocketAddr,
    pub edge: EdgeHandle,
    pub metrics: NodeMetrics,
}

/// The edges' view: one origin, all edges, and no rooms.
struct View(Mutex<Arc<Vec<Peer>>>, watch::Sender<u64>);

impl Topology for View {
    fn peers(&self) -> Arc<Vec<Peer>> {
        self.0.lock().unwrap().clone()
    }
    fn owner(&self, _: &RoomId) -> Option<Owner> {
        None
    }
    fn status(&self, _: &RoomId) -> Option<v1::RoomStatus> {
        None
    }
    fn changed(&self, _: &RoomId) -> watch::Receiver<u64> {
        self.1.subscribe()
    }
}

impl View {
    fn add(&self, peer: Peer) {
        let mut peers = self.0.lock().unwrap();
        *peers = Arc::new(peers.iter().cloned().chain([peer]).collect());
        self.1.send_modify(|version| *version += 1);
    }
}

fn peer(id: &NodeId) -> Peer {
    Peer {
        id: id.clone(),
        origin: false,
        relay: false,
        edge: false,
        admin: false,
        link_addr: String::new(),
        public_addr: String::new(),
        labels: Labels::default(),
        rooms: 0,
    }
}

impl Stage {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self::started(config, None)
    }

    /// With HTTPS at its first edge.
    pub fn over(tls: &Tls) -> Self {
        Self::started(Config::default(), Some(tls))
    }

    fn started(config: Config, tls: Option<&Tls>) -> Self {
        let (all, stop) = (Metrics::new(), CancellationToken::new());
        let id = NodeId::new("origin-1").unwrap();
        let origin = Arc::new(Origin::default());
        let server = LinkServer::bind(free(), &Security::Insecure).unwrap();
        let link_addr = server.local_addr().to_string();
        origin.addr.lock().unwrap().clone_from(&link_addr);
        let face = Arc::new(Face(origin.clone()));
        let services = Services {
            own: Some(face.clone()),
            carrier: None,
            ingest: Some(face.clone()),
            control: Some(face),
            journal: None,
        };
        let view = Arc::new(View(Mutex::default(), watch::Sender::new(0)));
        view.add(Peer { origin: true, link_addr, ..peer(&id) });
        tokio::spawn(server.run(id.clone(), services, all.for_node(&id), stop.clone()));

        let NewKey { private, jwks } = NewKey::new("main", KeyKind::Es256, &[7; 32]).unwrap();
        let signing = SigningKeys::parse(&private).unwrap();
        // What an edge of a cluster is given: public keys of tickets, and a key of the cluster.
        let keys = Keys { tickets: TicketKeys::jwks(&jwks.unwrap()).unwrap(), cluster: cluster_keys() };
        let Other { addr, edge, metrics } = edge("edge-1", (config, tls), &keys, &view, &all, &stop);
        let _stop = stop.clone().drop_guard();
        Self { addr, edge, origin, metrics, view, all, signing, keys, stop, _stop }
    }

    /// Another edge.
    pub fn other(&self, id: &str) -> Other {
        edge(id, (Config::default(), None), &self.keys, &self.view, &self.all, &self.stop)
    }

    /// A ticket for the room `demo`.
    pub fn ticket(&self, participant: &str, role: Role, lasts: Duration) -> String {
        // Tickets end on whole seconds; none of these ends sooner than asked for.
        self.sign(&claims(participant, role, wall() + lasts + Duration::from_secs(1)))
    }

    /// A ticket that says just this.
    pub fn sign(&self, claims: &Claims) -> String {
        self.signing.sign(claims, None).unwrap()
    }

    pub fn listener(&self, participant: &str) -> String {
        self.ticket(participant, Role::Listener, Duration::from_secs(60))
    }

    /// The room `demo` on the air, with a tone in every slot from now on.
    pub fn on_air(&self, visibility: v1::Visibility) -> Air {
        let feed = Arc::new(self.origin.keep(status("demo", v1::Lifecycle::Live, visibility)));
        let emitting = tokio::spawn(emit(feed.clone()));
        Air { feed, origin: self.origin.clone(), emitting }
    }
}

/// What a ticket for the room `demo` says.
pub fn claims(participant: &str, role: Role, expires_at: WallTime) -> Claims {
    Claims {
        room: RoomId::new("demo").unwrap(),
        participant: ParticipantId::new(participant).unwrap(),
        name: participant.to_uppercase(),
        role,
        expires_at,
        not_before: None,
        issued_at: None,
    }
}

/// The keys of the cluster that every edge of a stage holds.
pub fn cluster_keys() -> ClusterKeys {
    ClusterKeys::parse(&key_line("cluster", &[8; 32]).unwrap()).unwrap()
}

fn edge(
    id: &str,
    (config, tls): (Config, Option<&Tls>),
    keys: &Keys,
    view: &Arc<View>,
    all: &Metrics,
    stop: &CancellationToken,
) -> Other {
    let me = NodeId::new(id).unwrap();
    let (metrics, topology) = (all.for_node(&me), view.clone());
    let pool = Pool::new(Security::Insecure, None, &metrics).unwrap();
    let locator = Locator::new(me.clone(), pool.clone(), view.clone());
    let carrying = stentor_link::Config { me: me.clone(), tier: Tier::Edge };
    let journal = Journal::new(me.clone());
    let carrier = Carrier::new(carrying, pool.clone(), view.clone(), metrics.clone(), journal);
    let uplinks = Uplinks::new(me.clone(), pool.clone(), locator.clone(), view.clone(), metrics.clone());
    let owners = control::Client::new(pool);
    let ways = Ways { me: me.clone(), topology, carrier, locator, uplinks, owners };
    let config = Config { listen: free(), ..config };
    let made = Edge::new(&config, tls, keys.clone(), ways, metrics.clone()).unwrap();
    let (addr, edge) = (made.local_addr(), made.handle());
    view.add(Peer { edge: true, public_addr: format!("http://{addr}"), ..peer(&me) });
    let running = stop.clone();
    tokio::spawn(async move { made.run(running).await.unwrap() });
    Other { addr, edge, metrics }
}

/// A room on the air.
pub struct Air {
    pub feed: Arc<FeedWriter>,
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
        let banned = matches!(what, v1::participant_event::What::Banned(_));
        let event = v1::ParticipantEvent { participant: participant.into(), what: Some(what), serial: 0 };
        self.feed.event(event);
        if banned {
            self.feed.set_banned(ParticipantId::new(participant).unwrap(), true);
        }
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
        owner: if owned { "origin-1".into() } else { String::new() },
        epoch: 1,
        spec: Some(v1::RoomSpec {
            title: "A talk".into(),
            visibility: visibility.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub use stentor_clock::wall;

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

async fn emit(feed: Arc<FeedWriter>) {
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

/// Waits for a condition that has to be asked for.
pub async fn until_async(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {SOON:?}: {what}");
}
