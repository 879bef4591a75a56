//! A room's other origin, as the media loop hears it: what the actor tells of it, and what decides whether control is to be
//! taken over.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use stentor_ids::NodeId;
use stentor_link::Mirror;
use stentor_pace::Time;
use stentor_relay::origin::State;

/// How old the other's word on itself may be. It is said twice a second.
const FRESH: Duration = Duration::from_millis(1500);

/// What is known of the other origin.
pub(crate) struct Peer {
    /// When anything came from it, in microseconds.
    heard: AtomicU64,
    known: Mutex<Known>,
}

/// What changes seldom.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Known {
    /// Which node it is.
    pub(crate) origin: Option<Mirror>,
    /// Whether its stream stands.
    pub(crate) connected: bool,
    /// Its last word on itself.
    pub(crate) state: Option<State>,
}

impl Known {
    fn is(&self, node: Option<&NodeId>) -> bool {
        node.is_some() && self.origin.as_ref().map(|origin| &origin.node) == node
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self { heard: AtomicU64::new(0), known: Mutex::default() }
    }
}

impl Peer {
    /// Something came from it.
    pub(crate) fn heard(&self, now: Time) {
        self.heard.store(now.as_micros(), Relaxed);
    }

    /// When something came from it last.
    fn last_heard(&self) -> Time {
        Time::from_micros(self.heard.load(Relaxed))
    }

    /// Whether its stream stands.
    pub(crate) fn is_connected(&self) -> bool {
        self.known.lock().connected
    }

    /// Changes what is known.
    pub(crate) fn learn(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock());
    }

    /// When something came from this node last, as the other origin; long ago if nothing did.
    pub(crate) fn last_heard_of(&self, node: Option<&NodeId>) -> Time {
        let known = self.known.lock();
        if known.is(node) { self.last_heard() } else { Time::default() }
    }

    /// Another node is the other origin now; nothing is known of that yet.
    pub(crate) fn become_another(&self, origin: Option<Mirror>) {
        self.learn(|known| {
            *known = Known { origin, ..Known::default() };
            self.heard(Time::default());
        });
    }

    /// Whether this node is it, and could go on with the room at once.
    pub(crate) fn is_ready(&self, node: Option<&NodeId>, now: Time) -> bool {
        let known = self.known.lock();
        let fresh = now.since(self.last_heard()) <= FRESH;
        let able = known.state.as_ref().is_some_and(|state| state.ready || state.leads);
        known.is(node) && known.connected && fresh && able
    }

    /// Whether this node is it, and mixes.
    pub(crate) fn leads(&self, node: Option<&NodeId>) -> bool {
        let known = self.known.lock();
        known.is(node) && known.state.as_ref().is_some_and(|state| state.leads)
    }
}
