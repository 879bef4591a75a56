//! A watched room at a relay or an edge, as it stands. What is done with it is in `tree`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use stentor_ids::{Lineage, ParticipantId, Slot};
use stentor_pace::check::{EdgeFed, EpochFence, NoGap, SlotOnce};
use stentor_relay::{Counts, Parents, Playout, Ring};

use super::{message::Process, net::NodeIx, staged::Staged};

/// The seam buffer of an edge.
const SEAM: Duration = Duration::from_millis(60);
/// How often counts travel up, in milliseconds.
pub(super) const COUNT_MS: u64 = 1_000;
/// Listeners of each edge.
pub(super) const LISTENERS: u64 = 10;

/// A watched room at a relay or an edge.
#[derive(Debug)]
pub(super) struct Tap {
    pub(super) parents: Parents<Process>,
    /// Those that serve it.
    pub(super) open: BTreeSet<Process>,
    pub(super) ranked: Vec<Process>,
    pub(super) ring: Ring,
    pub(super) fence: EpochFence,
    pub(super) children: BTreeSet<NodeIx>,
    /// When an origin's frames last came.
    pub(super) heard: BTreeMap<NodeIx, u64>,
    /// The newest stage that came down.
    pub(super) staged: Option<Staged>,
    pub(super) counts: Counts,
    pub(super) count_at: u64,
    /// At an edge.
    pub(super) listener: Option<Listener>,
}

/// Those who listen to a watched room at one edge.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) playout: Playout,
    pub(super) once: SlotOnce,
    pub(super) no_gap: NoGap,
    pub(super) fed: EdgeFed,
    pub(super) lineage: Lineage,
    /// The last slot played, and when.
    pub(super) played: Option<(Slot, u64)>,
}

impl Tap {
    /// Takes a stage if it is newer than what is known, and says whether it is.
    pub(super) fn take_stage(&mut self, staged: &Staged) -> bool {
        let newer = self.staged.as_ref().is_none_or(|known| known.id() < staged.id());
        if newer {
            self.staged = Some(staged.clone());
        }
        newer
    }

    /// Whether the packets of a speaker go up from here: not of one that is known to be muted.
    pub(super) fn lets_up(&self, who: &ParticipantId) -> bool {
        self.staged.as_ref().is_none_or(|staged| !staged.mutes(who))
    }

    /// Of a relay.
    pub(super) fn relay() -> Self {
        let mut parents = Parents::default();
        parents.become_live(stentor_pace::Time::default(), true);
        Self {
            parents,
            open: BTreeSet::new(),
            ranked: Vec::new(),
            ring: Ring::new(),
            fence: EpochFence::default(),
            children: BTreeSet::new(),
            heard: BTreeMap::new(),
            staged: None,
            counts: Counts::default(),
            count_at: 0,
            listener: None,
        }
    }

    /// Of an edge, with listeners.
    pub(super) fn edge() -> Self {
        let listener = Listener {
            playout: Playout::new(SEAM),
            once: SlotOnce::default(),
            no_gap: NoGap::default(),
            fed: EdgeFed::default(),
            lineage: Lineage::default(),
            played: None,
        };
        let mut counts = Counts::default();
        counts.own(LISTENERS);
        Self { listener: Some(listener), counts, ..Self::relay() }
    }
}
