//! Who listens to a room, and what came.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use stentor_directory::NodeRole;
use stentor_host::Topology;
use stentor_ids::{Epoch, Lineage, NodeId, RoomId, Slot};
use stentor_link::{Carrier, Carry, Item, Journal};
use stentor_proto::v1::ParticipantEvent;
use stentor_relay::Frame;
use stentor_telemetry::Tier;
use tokio_util::task::AbortOnDropHandle;

use crate::{cluster::Cluster, waiting::until};

/// What a listener heard so far.
pub struct Heard {
    heard: Arc<Mutex<Hearing>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Hearing {
    frames: Vec<Frame>,
    events: Vec<ParticipantEvent>,
    closed: bool,
}

impl Cluster {
    /// Listens to a room as a relay does: over its owner and its mirror.
    ///
    /// # Panics
    /// It cannot be heard.
    pub async fn listen(&self, name: &str, room: &RoomId) -> Heard {
        self.listen_as(NodeRole::Relay, Tier::Relay, name, room).await
    }

    /// Listens to a room as an edge does: over two relays, where there are two.
    ///
    /// # Panics
    /// It cannot be heard.
    pub async fn listen_as_edge(&self, name: &str, room: &RoomId) -> Heard {
        self.listen_as(NodeRole::Edge, Tier::Edge, name, room).await
    }

    async fn listen_as(&self, role: NodeRole, tier: Tier, name: &str, room: &RoomId) -> Heard {
        let me = NodeId::new(name).unwrap();
        let (metrics, journal) = (self.metrics.for_node(&me), Journal::new(me.clone()));
        let topology = Arc::new(Topology::new(self.directory.view(), role.into()));
        let config = stentor_link::Config { me, tier };
        let carrier = Carrier::new(config, self.pool(name), topology, metrics, journal);
        let mut cursor = carrier.feed(room).await.unwrap().subscribe(None);
        let hearing = Arc::new(Mutex::new(Hearing::default()));
        let heard = hearing.clone();
        let task = tokio::spawn(async move {
            let _carrier = carrier;
            loop {
                let item = cursor.next().await;
                let mut hearing = hearing.lock();
                match item {
                    Item::Frame(frame) => hearing.frames.push(frame),
                    Item::Event(event) => hearing.events.push(event),
                    Item::Closed(_) => {
                        hearing.closed = true;
                        return;
                    }
                    _ => {}
                }
            }
        });
        Heard { heard, _task: AbortOnDropHandle::new(task) }
    }
}

impl Heard {
    /// All frames, in the order in which they came.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        self.heard.lock().frames.clone()
    }

    /// What was told of participants.
    #[must_use]
    pub fn events(&self) -> Vec<ParticipantEvent> {
        self.heard.lock().events.clone()
    }

    /// The highest slot.
    #[must_use]
    pub fn highest(&self) -> Slot {
        self.heard.lock().frames.iter().map(|frame| frame.slot).max().unwrap_or_default()
    }

    /// Whether it was told that nothing more comes.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.heard.lock().closed
    }

    /// Waits until frames of at least this epoch have come for so many slots.
    ///
    /// # Panics
    /// They do not in time.
    pub async fn heard_of(&self, epoch: u64, slots: usize) {
        let count = || self.heard.lock().frames.iter().filter(|f| f.epoch >= Epoch(epoch)).count();
        until(&format!("{slots} slots of epoch {epoch} are heard"), || count() >= slots).await;
    }

    /// How the audio went.
    ///
    /// # Panics
    /// A slot came twice in a lineage.
    #[must_use]
    pub fn audio(&self) -> Audio {
        let mut copies: BTreeMap<Slot, Vec<Lineage>> = BTreeMap::new();
        for Frame { slot, lineage, .. } in self.frames() {
            let lineages = copies.entry(slot).or_default();
            assert!(!lineages.contains(&lineage), "slot {slot} of {lineage} came twice");
            lineages.push(lineage);
        }
        let (first, last) = (copies.keys().next().copied(), copies.keys().last().copied());
        let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
        let missing = (first.0..=last.0).filter(|slot| !copies.contains_key(&Slot(*slot))).collect();
        let twice = copies.values().filter(|lineages| lineages.len() > 1).count();
        Audio { missing, twice }
    }
}

/// How it went.
#[derive(Debug)]
pub struct Audio {
    /// Slots between the first and the last that nobody sent.
    pub missing: Vec<u64>,
    /// Slots in two lineages.
    pub twice: usize,
}
