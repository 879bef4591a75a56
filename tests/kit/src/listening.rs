//! Who listens to a room, and what came.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use stentor_directory::NodeRole;
use stentor_host::Topology;
use stentor_ids::{Epoch, Lineage, NodeId, RoomId, Slot};
use stentor_link::{Carrier, Carry, Item, Journal, Pool, Security};
use stentor_relay::Frame;
use stentor_telemetry::Tier;
use tokio_util::task::AbortOnDropHandle;

use crate::{cluster::Cluster, waiting::until};

/// What a listener heard so far.
pub struct Heard {
    frames: Arc<Mutex<Vec<Frame>>>,
    _task: AbortOnDropHandle<()>,
}

impl Cluster {
    /// Listens to a room as an edge does: from two relays, where there are two.
    ///
    /// # Panics
    /// It cannot be heard.
    pub async fn listen(&self, name: &str, room: &RoomId) -> Heard {
        let id = NodeId::new(name).unwrap();
        let metrics = self.metrics.for_node(&id);
        let pool = Pool::new(Security::Insecure, None, &metrics).unwrap();
        let topology = Arc::new(Topology::new(self.directory.view(), NodeRole::Edge.into()));
        let config = stentor_link::Config { me: id.clone(), tier: Tier::Edge };
        let carrier = Carrier::new(config, pool, topology, metrics, Journal::new(id));
        let mut cursor = carrier.feed(room).await.unwrap().subscribe(None);
        let frames = Arc::new(Mutex::new(Vec::new()));
        let heard = frames.clone();
        let task = tokio::spawn(async move {
            let _carrier = carrier;
            loop {
                match cursor.next().await {
                    Item::Frame(frame) => heard.lock().push(frame),
                    Item::Closed(_) => return,
                    _ => {}
                }
            }
        });
        Heard { frames, _task: AbortOnDropHandle::new(task) }
    }
}

impl Heard {
    /// All frames, in the order in which they came.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        self.frames.lock().clone()
    }

    /// Waits until frames of at least this epoch have come for so many slots.
    ///
    /// # Panics
    /// They do not in time.
    pub async fn heard_of(&self, epoch: u64, slots: usize) {
        let count = || self.frames.lock().iter().filter(|f| f.epoch >= Epoch(epoch)).count();
        until(&format!("{slots} slots of epoch {epoch} are heard"), || count() >= slots).await;
    }

    /// How the audio went.
    ///
    /// # Panics
    /// A slot came twice in a lineage.
    #[must_use]
    pub fn audio(&self) -> Audio {
        let frames = self.frames();
        let mut copies: BTreeMap<Slot, Vec<Lineage>> = BTreeMap::new();
        for frame in &frames {
            let lineages = copies.entry(frame.slot).or_default();
            assert!(
                !lineages.contains(&frame.lineage),
                "slot {} of {} came twice",
                frame.slot,
                frame.lineage
            );
            lineages.push(frame.lineage);
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
