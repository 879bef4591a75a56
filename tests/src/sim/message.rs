//! What nodes of the simulated cluster say to each other, and what is written down of what they do.

use std::hash::{Hash, Hasher};

use stentor_ids::{Epoch, Fault as Refusal, Lineage, ParticipantId, Slot};
use stentor_mix::LogEntry;
use stentor_ownership::{Errand, Successor};
use stentor_relay::{Count, Frame, Stuck, origin::State};
use stentor_room::CommitId;

use super::{
    directory::{Reply, Revision, RoomIx},
    fault::Fault,
    net::NodeIx,
    staged::Staged,
};

/// A process: a node, and which one of its processes. The address of a parent.
pub(super) type Process = (NodeIx, u32);

/// One life of a room at a node: what is answered to a former one is not for this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) room: RoomIx,
    pub(super) number: u64,
}

/// Who at a node asked for something, and is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The node's session, by the number of the question.
    Session(u64),
    /// The errand of a room's tenure.
    Errand(Run, Errand),
    /// The commit of a room's ledger.
    Commit(Run, CommitId),
    /// A candidacy for an office of a room, by its number.
    Candidacy(RoomIx, u64),
    /// Nobody waits for the answer.
    Nobody,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// By the directory.
    Directory(Reply),
    /// By an heir that was to mirror the room.
    Prepared(Result<(), Refusal>),
    /// By an heir that was to own it.
    Offered(Result<Successor, Refusal>),
    /// By nobody, for so long that the call is given up.
    Nothing,
}

/// What an owner asks of its heir.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    /// To mirror the room, in place of the mirror whose key is at the revision.
    Mirror { epoch: Epoch, preempt: Option<Revision> },
    /// To own it from the slot on, in place of the owner whose key is at the revision.
    TakeOver { epoch: Epoch, revision: Revision, from: Slot },
}

/// What a node hears.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// Something that was asked is answered.
    Answer {
        to: Ask,
        answer: Answer,
    },
    /// It wants to follow a room, as its other origin; or does no more.
    Follow {
        room: RoomIx,
        from: NodeIx,
    },
    Unfollow {
        room: RoomIx,
        from: NodeIx,
    },
    /// It is taken on, or cannot be.
    /// What messages say after it may come in another order, so the beginning comes at once.
    Opened {
        room: RoomIx,
        from: NodeIx,
        told: Vec<Message>,
    },
    Lost {
        room: RoomIx,
        from: NodeIx,
    },
    /// A stream lives.
    Beat {
        room: RoomIx,
        from: NodeIx,
    },
    /// Does it run this room, and when has it heard that owner of it? By the number of the question.
    Probe {
        room: RoomIx,
        from: NodeIx,
        owner: NodeIx,
        question: u64,
    },
    /// It says.
    Probed {
        question: u64,
        runs: bool,
        gone: bool,
        heard_ms_ago: Option<u64>,
    },
    /// Who was asked by a question has had its time.
    Unanswered {
        question: u64,
    },
    /// An owner asks its heir for something.
    Called {
        run: Run,
        from: NodeIx,
        errand: Errand,
        call: Call,
    },
    /// The last slot that an origin of this room was to emit is out.
    AudioDone {
        run: Run,
    },
    /// The process at the other end of a connection has ended.
    Gone {
        peer: Process,
    },
    /// The packets of these speakers of a room, of this number.
    Packets {
        room: RoomIx,
        seq: u64,
        from: Vec<ParticipantId>,
    },
    /// To the other origin: a slot that was mixed, and what it was made of.
    Mixed {
        room: RoomIx,
        from: NodeIx,
        frame: Frame,
        entry: LogEntry,
    },
    /// To the other origin: who may speak, by the owner's word.
    Stage {
        room: RoomIx,
        from: NodeIx,
        told: Staged,
    },
    /// To the other origin: the room has ended, by the owner's word.
    Ended {
        room: RoomIx,
        from: NodeIx,
    },
    /// To the other origin: how this one stands.
    State {
        room: RoomIx,
        from: NodeIx,
        state: State,
    },
    /// To the other origin: a claim.
    PeerFence {
        room: RoomIx,
        from: NodeIx,
        epoch: Epoch,
        slot: Slot,
    },
    /// A child wants a room from this slot on, and has seen this lineage.
    Subscribe {
        room: RoomIx,
        child: NodeIx,
        life: u32,
        next: Option<Slot>,
        lineage: Lineage,
    },
    /// The parent serves it, or does not.
    Subscribed {
        room: RoomIx,
        parent: Process,
        taken: bool,
    },
    /// The child wants no more.
    Unsubscribe {
        room: RoomIx,
        child: NodeIx,
    },
    /// A slot on its way down.
    Frame {
        room: RoomIx,
        parent: Process,
        frame: Frame,
    },
    /// Who may speak, on its way down.
    Staged {
        room: RoomIx,
        told: Staged,
    },
    /// A claim on its way down.
    Fence {
        room: RoomIx,
        epoch: Epoch,
        from: Slot,
    },
    /// How many listen below a child, and who is stuck there, on its way up.
    Count {
        room: RoomIx,
        child: NodeIx,
        count: Count,
        stuck: Option<Stuck>,
    },
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
    /// A node asks whether an owner lives.
    Asks { room: RoomIx, node: NodeIx },
    /// A node bids for a room whose owner is contested.
    Bids { room: RoomIx, node: NodeIx, epoch: Epoch, listeners: u64, children: u32 },
    /// A mirror claims from an owner whose key stands.
    Contested { room: RoomIx, node: NodeIx },
    /// The actor of a room fails.
    Fails { room: RoomIx, node: NodeIx },
    /// An owner gives its room away, or tries to.
    Transfers { room: RoomIx, node: NodeIx, goes: bool },
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
