//! What nodes of the simulated cluster say to each other, and what is written down of what they do.

use std::hash::{Hash, Hasher};

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_mix::{LogEntry, Stage};
use stentor_relay::{Count, Frame};

use super::{
    directory::{Reply, Revision, RoomIx},
    fault::Fault,
    net::NodeIx,
};

/// A process: a node, and which one of its processes. The address of a parent.
pub(super) type Process = (NodeIx, u32);

/// What a node hears.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// The directory answers a question.
    Reply { room: RoomIx, serial: u64, reply: Reply },
    /// The owner's stream to its mirror lives.
    Beat { room: RoomIx, from: NodeIx },
    /// What came of asking around about a room's owner; it is found out when this arrives.
    Answered { room: RoomIx, serial: u64 },
    /// Take the room over at this slot.
    TakeOver { room: RoomIx, revision: Revision, from: Slot },
    /// The process at the other end of a connection has ended.
    Gone { peer: Process },
    /// The packets of all speakers of a room, of this number.
    Packets { room: RoomIx, seq: u64 },
    /// To the other origin: a slot that was mixed, and what it was made of.
    Mixed { room: RoomIx, from: NodeIx, frame: Frame, entry: LogEntry },
    /// To the other origin: who may speak.
    Stage { room: RoomIx, stage: Stage },
    /// A child wants a room from this slot on, and has seen this lineage.
    Subscribe { room: RoomIx, child: NodeIx, life: u32, next: Option<Slot>, lineage: Lineage },
    /// The parent serves it, or does not.
    Subscribed { room: RoomIx, parent: Process, taken: bool },
    /// The child wants no more.
    Unsubscribe { room: RoomIx, child: NodeIx },
    /// A slot on its way down.
    Frame { room: RoomIx, parent: Process, frame: Frame },
    /// A claim on its way down.
    Fence { room: RoomIx, epoch: Epoch, from: Slot },
    /// How many listen below a child, on its way up.
    Count { room: RoomIx, child: NodeIx, count: Count },
}

/// What is written down.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Note {
    /// Something goes wrong.
    Strike(Fault),
    /// A node goes on, or another process in its place.
    Resume(NodeIx),
    /// A node owns a room.
    Owns { room: RoomIx, node: NodeIx, epoch: Epoch, from: Slot },
    /// A node put its owner key back.
    Reasserted { room: RoomIx, node: NodeIx, epoch: Epoch },
    /// A node owns a room no more.
    StepsDown { room: RoomIx, node: NodeIx },
    /// A node mirrors a room, or does no more.
    Mirrors { room: RoomIx, node: NodeIx, does: bool },
    /// A mirror asks whether its owner lives.
    Asks { room: RoomIx, node: NodeIx },
    /// An origin mixes from this slot on.
    Leads { room: RoomIx, node: NodeIx, slot: Slot, ready: bool },
    /// An origin mixes no more.
    Keeps { room: RoomIx, node: NodeIx },
    /// An edge goes over to a lineage.
    Hears { room: RoomIx, edge: NodeIx, slot: Slot, lineage: Lineage },
    /// An edge misses slots.
    Gap { room: RoomIx, edge: NodeIx, slot: Slot, count: u64 },
    /// A node takes or drops a parent.
    Parent { room: RoomIx, node: NodeIx, parent: Process, takes: bool },
    /// Somebody was muted, or is heard again.
    Mutes { room: RoomIx, version: u64 },
}

impl Note {
    /// Folds it into a hash.
    pub(super) fn fold(&self, hash: &mut impl Hasher) {
        self.hash(hash);
    }
}
