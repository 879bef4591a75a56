//! Who is in the cluster and who owns which room, as this node sees it. Views may differ for a moment between nodes;
//! nothing here depends on their being equal.

use std::sync::Arc;

use stentor_ids::{Epoch, NodeId, RoomId, Slot};
use stentor_placement::{Candidate, Labels};
use stentor_proto::v1;
use tokio::sync::watch;

/// A living node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// It runs rooms.
    pub origin: bool,
    /// It passes rooms on to edges.
    pub relay: bool,
    /// People connect to it.
    pub edge: bool,
    /// It answers operators.
    pub admin: bool,
    /// Where its links listen, `host:port`.
    pub link_addr: String,
    /// Where people reach it, `host:port` or a URL; empty if it is no edge.
    pub public_addr: String,
    /// What rooms are placed by.
    pub labels: Labels,
    /// Rooms that it owns, as far as this node knows; 0 at nodes that do not know rooms.
    pub rooms: u32,
}

impl Peer {
    /// The node as placement sees it.
    #[must_use]
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate::of(&self.id, &self.labels, self.rooms)
    }
}

/// Who owns a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// Where its links listen, `host:port`.
    pub link_addr: String,
    /// The claim's epoch.
    pub epoch: Epoch,
    /// The first slot of the claim.
    pub from_slot: Slot,
}

/// Who mirrors a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The node.
    pub node: NodeId,
    /// Where its links listen, `host:port`.
    pub link_addr: String,
}

/// A view of the cluster. Every answer is at hand: none of these calls waits.
pub trait Topology: Send + Sync + 'static {
    /// The living nodes, sorted by id.
    fn peers(&self) -> Arc<Vec<Peer>>;
    /// Who owns a room. Origins, relays and admins know; a node that is only an edge answers `None` always.
    fn owner(&self, room: &RoomId) -> Option<Owner>;
    /// Who mirrors a room. Known to whom owners are.
    fn mirror(&self, _room: &RoomId) -> Option<Mirror> {
        None
    }
    /// A room as its record tells it: for rooms nobody owns. `None` for a room that is not known here.
    fn status(&self, room: &RoomId) -> Option<v1::RoomStatus>;
    /// A number that grows at each change of what is said of this room, or of the nodes, but for how many rooms they own.
    fn changed(&self, room: &RoomId) -> watch::Receiver<u64>;
}
