//! The rooms that run on this node: how a link or a call finds one without asking anybody.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use ractor::ActorRef;
use stentor_ids::RoomId;
use stentor_telemetry::Gauge;
use tokio::sync::watch;

use crate::{hosted::Hosted, message::Message};

/// A room that runs here, and who runs it.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) actor: ActorRef<Message>,
}

/// Every room that runs here. How many is bounded by who adds them.
pub(crate) struct Registry {
    running: RwLock<BTreeMap<RoomId, Running>>,
    count: watch::Sender<usize>,
    gauge: Gauge,
}

impl Registry {
    pub(crate) fn new(gauge: Gauge) -> Self {
        Self { running: RwLock::default(), count: watch::Sender::new(0), gauge }
    }

    /// A room runs, or has a new actor.
    pub(crate) fn insert(&self, running: Running) {
        let mut rooms = self.running.write();
        rooms.insert(running.hosted.id.clone(), running);
        self.told(rooms.len());
    }

    /// A room runs here no more. Nothing happens if it was claimed again since.
    pub(crate) fn remove(&self, hosted: &Arc<Hosted>) {
        let mut rooms = self.running.write();
        if rooms.get(&hosted.id).is_some_and(|running| Arc::ptr_eq(&running.hosted, hosted)) {
            rooms.remove(&hosted.id);
            self.told(rooms.len());
        }
    }

    pub(crate) fn get(&self, room: &RoomId) -> Option<Running> {
        self.running.read().get(room).cloned()
    }

    pub(crate) fn contains(&self, room: &RoomId) -> bool {
        self.running.read().contains_key(room)
    }

    pub(crate) fn all(&self) -> Vec<Running> {
        self.running.read().values().cloned().collect()
    }

    /// How many this node owns.
    pub(crate) fn owned(&self) -> usize {
        self.running.read().values().filter(|running| running.hosted.is_owned()).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.running.read().len()
    }

    /// Follows how many there are.
    pub(crate) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn told(&self, count: usize) {
        self.gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.count.send_replace(count);
    }
}
