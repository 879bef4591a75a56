//! An origin, an edge, and rooms in every state.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use stentor_admission::{Claims, ClusterKeys, KeyKind, NewKey, SigningKeys, key_line};
use stentor_clock::wall;
use stentor_directory::NodeRole;
use stentor_edge::{Config, EdgeHandle, Tls};
use stentor_ids::{Epoch, Lineage, ParticipantId, Role, RoomId, Slot};
use stentor_kit::{Cluster, Node, Plan, Puppet, until};
use stentor_link::{Closed, FeedWriter, Services};
use stentor_mix::{Encoder, EncoderConfig};
use stentor_pace::WallTime;
use stentor_proto::v1;
use stentor_relay::Frame;
use stentor_telemetry::NodeMetrics;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::origin::{Face, Origin};

/// An edge and the origin behind it, both gone with it.
pub struct Stage {
    pub addr: SocketAddr,
    pub edge: EdgeHandle,
    pub origin: Arc<Origin>,
    pub metrics: NodeMetrics,
    nodes: Cluster,
    keys: Keys,
    _edge: Node,
    _origin: Puppet,
}

/// Another edge of the same cluster.
pub struct Other {
    pub addr: SocketAddr,
    pub edge: EdgeHandle,
    pub metrics: NodeMetrics,
    node: Node,
}

/// What tickets are signed with, and what an edge is given to check them: public keys of tickets, and a key of the cluster.
struct Keys {
    signing: SigningKeys,
    jwks: String,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(&Config::default()).await
    }

    /// With HTTPS at its first edge.
    pub async fn over(tls: &Tls) -> Self {
        let folder = TempDir::new().unwrap();
        let file = |name: &str, pem: &str| -> Option<PathBuf> {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).unwrap();
            Some(path)
        };
        let (cert, key) = (file("cert", &tls.cert_pem), file("key", &tls.key_pem));
        Self::with(&Config { cert, key, ..Config::default() }).await
    }

    pub async fn with(config: &Config) -> Self {
        let (nodes, origin) = (Cluster::new(), Arc::new(Origin::default()));
        let face = Arc::new(Face(origin.clone()));
        let services = Services {
            own: Some(face.clone()),
            ingest: Some(face),
            control: Some(Arc::new(origin.answers())),
            ..Services::default()
        };
        let puppet = nodes.puppet("origin-1", NodeRole::Origin, services).await;
        *origin.addr.lock().unwrap() = puppet.addr.to_string();
        let NewKey { private, jwks } = NewKey::new("main", KeyKind::Es256, &[7; 32]).unwrap();
        let keys = Keys { signing: SigningKeys::parse(&private).unwrap(), jwks: jwks.unwrap() };
        let Other { addr, edge, metrics, node } = edge("edge-1", config, &keys, &nodes).await;
        Self { addr, edge, origin, metrics, nodes, keys, _edge: node, _origin: puppet }
    }

    /// Another edge.
    pub async fn other(&self, id: &str) -> Other {
        edge(id, &Config::default(), &self.keys, &self.nodes).await
    }

    /// A ticket for the room `demo`.
    pub fn ticket(&self, participant: &str, role: Role, lasts: Duration) -> String {
        // Tickets end on whole seconds; none of these ends sooner than asked for.
        self.sign(&claims(participant, role, wall() + lasts + Duration::from_secs(1)))
    }

    /// A ticket that says just this.
    pub fn sign(&self, claims: &Claims) -> String {
        self.keys.signing.sign(claims, None).unwrap()
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

fn cluster_key() -> String {
    key_line("cluster", &[8; 32]).unwrap()
}

/// The keys of the cluster that every edge of a stage holds.
pub fn cluster_keys() -> ClusterKeys {
    ClusterKeys::parse(&cluster_key()).unwrap()
}

async fn edge(id: &str, config: &Config, keys: &Keys, nodes: &Cluster) -> Other {
    let plan = Plan::of(&["edge"]).section("edge", config);
    let plan = plan.set("auth", "ticket_jwks", keys.jwks.clone()).set("auth", "cluster_keys", cluster_key());
    let node = nodes.start(id, plan).await;
    let (addr, edge, metrics) = (node.public_addr(), node.edge().clone(), nodes.metrics.for_node(&node.id));
    Other { addr, edge, metrics, node }
}

/// A room on the air.
pub struct Air {
    pub feed: Arc<FeedWriter>,
    origin: Arc<Origin>,
    emitting: JoinHandle<()>,
}

impl Air {
    /// No more slots come.
    pub async fn stop(&self) {
        self.emitting.abort();
        until("no more slots come", || self.emitting.is_finished()).await;
    }

    /// The room ends, behind the slots that came.
    pub async fn end(&self) {
        self.stop().await;
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
        self.emitting.abort();
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
