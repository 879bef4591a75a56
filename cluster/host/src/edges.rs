//! The edges that bring a room's speakers: who is told where the room is.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use stentor_ids::{Epoch, NodeId};
use stentor_link::uplink::ToEdge;

/// The way back to an edge, by one of its streams.
#[derive(Clone)]
pub(crate) struct Edge {
    key: u64,
    way: ToEdge,
}

impl Edge {
    /// Whether both are the same stream.
    pub(crate) const fn is(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl std::ops::Deref for Edge {
    type Target = ToEdge;
    fn deref(&self) -> &ToEdge {
        &self.way
    }
}

/// The edges that bring speakers, one for each of their streams.
#[derive(Default)]
pub(crate) struct Edges(Mutex<Streams>);

#[derive(Default)]
struct Streams {
    next: u64,
    edges: BTreeMap<u64, ToEdge>,
}

impl Edges {
    /// An edge's stream began.
    pub(crate) fn add(&self, way: ToEdge) -> Edge {
        let mut streams = self.0.lock();
        let key = streams.next;
        streams.next += 1;
        streams.edges.insert(key, way.clone());
        Edge { key, way }
    }

    pub(crate) fn remove(&self, edge: &Edge) {
        self.0.lock().edges.remove(&edge.key);
    }

    /// Sends every edge to the node where the room is now.
    pub(crate) fn redirect(&self, node: &NodeId, epoch: Epoch) {
        self.each(|edge| edge.moved(node, epoch));
    }

    /// Sends every edge away, where nobody knows yet where the room will be: an edge that is sent to this node again is
    /// refused there, and looks for the owner until there is one.
    pub(crate) fn dismiss(&self, me: &NodeId, epoch: Epoch) {
        self.redirect(me, epoch);
    }

    /// Tells every edge which node mirrors the room.
    pub(crate) fn mirror_changed(&self, mirror: &Option<NodeId>) {
        self.each(|edge| edge.mirror_changed(mirror));
    }

    /// Tells every edge that the room has ended.
    pub(crate) fn ended(&self) {
        self.each(ToEdge::ended);
    }

    /// Forgets every stream: nothing more is told by them.
    pub(crate) fn clear(&self) {
        self.0.lock().edges.clear();
    }

    fn each(&self, tell: impl Fn(&ToEdge) -> bool) {
        for edge in self.0.lock().edges.values() {
            // An edge that does not take it has a full queue or is gone; its stream ends soon, and it asks anew.
            tell(edge);
        }
    }
}
