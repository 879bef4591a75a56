//! What the uplinks of an edge share.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64},
};

use parking_lot::Mutex;
use stentor_ids::{NodeId, RoomId};
use stentor_telemetry::NodeMetrics;

use super::lane::Lane;
use crate::{Locator, Pool, Topology};

pub(super) struct Inner {
    pub(super) me: NodeId,
    pub(super) pool: Pool,
    pub(super) locator: Locator,
    pub(super) topology: Arc<dyn Topology>,
    pub(super) metrics: NodeMetrics,
    /// One for each room with speakers here, so bounded by the edge's bound on speakers.
    pub(super) rooms: Mutex<HashMap<RoomId, Arc<Lane>>>,
    /// Number of the next speaker.
    pub(super) speakers: AtomicU64,
}
