//! Origins that take speakers in, as the test says, and an edge's uplinks to them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use stentor_ids::{Code, Epoch, Fault, ParticipantId, Role};
use stentor_link::uplink::{
    Attached, Ingest, IngestSession, Opened, Opening, Packet, Speaker, SpeakerEvent, SpeakerSession, ToEdge,
    Uplinks,
};
use stentor_pace::WallTime;
use stentor_telemetry::Tier;
use tokio::time::timeout;

use super::{
    cluster::{Cluster, Extra, Node, SOON, id, live, room},
    control::locating,
};

/// What an origin's room takes in.
pub struct Ears {
    name: &'static str,
    pub epoch: AtomicU64,
    pub owns: AtomicBool,
    /// Whether it takes speakers that have a stream already.
    pub knows_speakers: AtomicBool,
    /// Who mirrors the room, as a welcome tells it.
    pub mirror: Mutex<String>,
    streams: AtomicU64,
    pub heard: Mutex<Vec<Packet>>,
    pub detached: Mutex<Vec<u64>>,
    /// The way back to the edge that came last, by whether it came to a mirror.
    edges: Mutex<[Option<ToEdge>; 2]>,
}

impl Ears {
    pub fn new(name: &'static str, epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            name,
            epoch: AtomicU64::new(epoch),
            owns: AtomicBool::new(true),
            knows_speakers: AtomicBool::new(true),
            mirror: Mutex::default(),
            streams: AtomicU64::new(100 * epoch),
            heard: Mutex::default(),
            detached: Mutex::default(),
            edges: Mutex::default(),
        })
    }

    /// The ears of a mirror.
    pub fn mirror(name: &'static str, epoch: u64) -> Arc<Self> {
        let ears = Self::new(name, epoch);
        ears.owns.store(false, Ordering::Relaxed);
        ears
    }

    /// A node with these ears.
    pub async fn join(self: &Arc<Self>, cluster: &Cluster) -> Node {
        let ingest: Option<Arc<dyn Ingest>> = Some(Arc::new(Room { ears: self.clone(), mirror: false }));
        cluster.node(self.name, Tier::Origin, Extra { ingest, ..Default::default() }).await
    }

    /// The mirror owns the room from now on.
    pub fn own(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.owns.store(true, Ordering::Relaxed);
    }

    /// Streams and numbers of the packets, as they came.
    pub fn heard(&self) -> Vec<(u64, u64)> {
        self.heard.lock().unwrap().iter().map(|packet| (packet.stream, packet.seq)).collect()
    }

    pub fn last(&self) -> Option<(u64, u64)> {
        self.heard().last().copied()
    }

    /// The way back to the edge as an owner has it.
    pub fn edge(&self) -> ToEdge {
        self.edges.lock().unwrap()[0].clone().unwrap()
    }

    /// The way back to the edge as a mirror has it.
    pub fn mirrored_edge(&self) -> Option<ToEdge> {
        self.edges.lock().unwrap()[1].clone()
    }
}

struct Room {
    ears: Arc<Ears>,
    mirror: bool,
}

#[async_trait]
impl Ingest for Room {
    async fn open(&self, opening: Opening) -> Result<Opened, Fault> {
        let ears = self.ears.clone();
        let epoch = Epoch(ears.epoch.load(Ordering::Relaxed));
        let owner = ears.owns.load(Ordering::Relaxed) && opening.epoch <= epoch;
        if !owner && !opening.mirror {
            return Err(Fault::new(Code::NotOwner, format!("{} does not own {}", ears.name, opening.room)));
        }
        ears.edges.lock().unwrap()[usize::from(opening.mirror)] = Some(opening.edge_side);
        let mut status = live(if owner { ears.name } else { "" }, epoch.0);
        status.mirror.clone_from(&ears.mirror.lock().unwrap());
        let session = Arc::new(Self { ears, mirror: opening.mirror });
        Ok(Opened { session, epoch, status: Arc::new(status) })
    }
}

#[async_trait]
impl IngestSession for Room {
    async fn attach(&self, speaker: Speaker, stream: u64) -> Result<Attached, Fault> {
        if speaker.role == Role::Listener {
            return Err(Fault::new(Code::RoleForbids, "a listener does not speak"));
        }
        if (self.mirror && stream == 0) || (stream > 0 && !self.ears.knows_speakers.load(Ordering::Relaxed)) {
            return Err(Fault::new(Code::RoleForbids, "no such speaker"));
        }
        let stream = if stream > 0 { stream } else { self.ears.streams.fetch_add(1, Ordering::Relaxed) };
        Ok(Attached { stream, role: speaker.role, muted: false })
    }
    fn packet(&self, packet: Packet) {
        self.ears.heard.lock().unwrap().push(packet);
    }
    fn detach(&self, _: &ParticipantId, stream: u64) {
        self.ears.detached.lock().unwrap().push(stream);
    }
}

pub async fn locating_relays(cluster: &Cluster) -> [Node; 2] {
    [locating(cluster, "relay-1").await, locating(cluster, "relay-2").await]
}

/// The uplinks of an edge.
pub fn uplinks(cluster: &Cluster) -> Uplinks {
    let (locator, view) = (cluster.locator("edge-1"), cluster.edge_view());
    let metrics = cluster.metrics.for_node(&id("edge-1"));
    Uplinks::new(id("edge-1"), cluster.pool.clone(), locator, view, metrics)
}

pub fn speaker(name: &str, role: Role) -> Speaker {
    Speaker { participant: ParticipantId::new(name).unwrap(), name: name.into(), role, monitor: true }
}

pub async fn attach(uplinks: &Uplinks, name: &str) -> SpeakerSession {
    resume(uplinks, name, None).await
}

pub async fn resume(uplinks: &Uplinks, name: &str, stream: Option<u64>) -> SpeakerSession {
    let room = room();
    let attached = uplinks.attach(&room, speaker(name, Role::Speaker), stream);
    timeout(SOON, attached).await.unwrap().unwrap()
}

pub fn say(session: &SpeakerSession, seq: u64) {
    session.send(seq, Bytes::from_static(&[0xfc; 60]), WallTime::from_micros(seq));
}

pub async fn event(session: &mut SpeakerSession) -> SpeakerEvent {
    timeout(SOON, session.events().recv()).await.unwrap().unwrap()
}
