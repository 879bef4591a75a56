//! What the simulated directory holds, what it is asked and what it answers.

use std::{collections::BTreeMap, rc::Rc};

use stentor_ids::{Epoch, Slot};
use stentor_ownership::Reach;
use stentor_room::{Lifecycle, Record};

use crate::sim::net::NodeIx;

/// A room by its number.
pub(in crate::sim) type RoomIx = usize;
/// A moment in the directory's history. It never goes back, also where the data does.
pub(in crate::sim) type Revision = u64;
/// A lease.
pub(in crate::sim) type Lease = u64;
/// A record as it is stored; of rooms whose audio is not simulated there is none.
pub(in crate::sim) type Book = Option<Rc<[u8]>>;

/// How long a lease lasts, in milliseconds.
pub(in crate::sim) const LEASE_MS: u64 = 5_000;

/// A node that is there.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Member {
    pub(in crate::sim) life: u32,
    pub(in crate::sim) draining: bool,
    pub(super) lease: Lease,
}

/// The owner key of a room.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Owner {
    pub(in crate::sim) node: NodeIx,
    pub(in crate::sim) epoch: Epoch,
    pub(in crate::sim) from: Slot,
    pub(in crate::sim) revision: Revision,
    pub(super) lease: Lease,
}

/// The mirror key of a room.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Mirror {
    pub(in crate::sim) node: NodeIx,
    pub(in crate::sim) revision: Revision,
    pub(super) lease: Lease,
}

/// The record of a room; what it says is told for those rooms only whose audio is simulated.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Stored {
    pub(in crate::sim) epoch: Epoch,
    pub(in crate::sim) record: Book,
    pub(in crate::sim) ended: bool,
}

impl Stored {
    pub(super) fn new(epoch: Epoch, record: Book) -> Self {
        Self { epoch, ended: has_ended(&record), record }
    }
}

/// Whether a room has ended, by its record.
pub(in crate::sim) fn has_ended(record: &Book) -> bool {
    let record = record.as_ref().and_then(|book| Record::decode(book).ok());
    record.is_some_and(|record| matches!(record.lifecycle(), Lifecycle::Ended { .. }))
}

/// A node's bid for a room.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Bid {
    pub(in crate::sim) epoch: Epoch,
    pub(in crate::sim) reach: Reach,
    pub(in crate::sim) revision: Revision,
    pub(super) lease: Lease,
}

/// The keys of one room.
#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct Keys {
    pub(in crate::sim) record: Option<Stored>,
    pub(in crate::sim) owner: Option<Owner>,
    pub(in crate::sim) mirror: Option<Mirror>,
    /// By node.
    pub(in crate::sim) bids: BTreeMap<NodeIx, Bid>,
}

/// What is asked of the directory, on the lease of who asks.
#[derive(Debug, Clone)]
pub(in crate::sim) enum Op {
    Register {
        life: u32,
        draining: bool,
    },
    Renew,
    Claim {
        room: RoomIx,
        seen: Epoch,
        preempt: Option<Revision>,
        from: Slot,
    },
    Mirror {
        room: RoomIx,
        preempt: Option<Revision>,
    },
    Commit {
        room: RoomIx,
        epoch: Epoch,
        revision: Revision,
        record: Book,
    },
    Reassert {
        room: RoomIx,
        epoch: Epoch,
        /// The highest epoch that its view shows, or that a frame or a child has shown.
        seen: Epoch,
        from: Slot,
        record: Book,
    },
    /// Gives up whichever key was written at this revision.
    Release {
        room: RoomIx,
        revision: Revision,
    },
    LookUp {
        room: RoomIx,
    },
    Bid {
        room: RoomIx,
        epoch: Epoch,
        reach: Reach,
    },
    WithdrawBid {
        room: RoomIx,
    },
}

/// What it answers.
#[derive(Debug, Clone)]
pub(in crate::sim) enum Reply {
    Registered(Lease),
    Renewed(bool),
    Claimed(Result<(Owner, Book), Refused>),
    Mirrored(Result<Mirror, Refused>),
    Committed(Result<(), Refused>),
    Reasserted(Result<Owner, Refused>),
    Released,
    LookedUp(Option<Owner>),
    Bid(Result<Revision, Refused>),
    Withdrawn,
}

/// Why it did not.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) enum Refused {
    /// The lease of who asked is gone.
    NoLease,
    /// There is no such room.
    Unknown,
    /// The owner key is this one, or the room was claimed since and let go.
    Owned(Option<Owner>),
    /// The mirror key is this one.
    Mirrored(Mirror),
    /// Who asked owns the room, and cannot mirror it too.
    OwnMirror,
}

/// What changed.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) enum Changed {
    Room(RoomIx),
    Node,
}
