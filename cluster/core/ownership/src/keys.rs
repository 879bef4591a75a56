//! A room's keys in the directory, as far as who owns it goes by them.

use stentor_ids::{Epoch, NodeId, Revision, Slot};

/// A moment of the directory as this process sees it. Moments of one directory are in order, also over the loss of its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Which of the histories that this process has seen: a directory that lost its data, or went back, begins another.
    pub history: u64,
    /// Where in it.
    pub revision: Revision,
}

/// An owner key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerKey {
    /// Whose it is.
    pub node: NodeId,
    /// The epoch that its claim began.
    pub epoch: Epoch,
    /// The first slot that is this owner's.
    pub from_slot: Slot,
    /// When it was written last.
    pub revision: Revision,
}

/// A mirror key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorKey {
    /// Whose it is.
    pub node: NodeId,
    /// When it was written last.
    pub revision: Revision,
}

/// What a node reaches of a room, by the reports of its children that are new. The larger of two reaches more listeners, or as
/// many by more children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reach {
    /// Listeners below its children, and its own.
    pub listeners: u64,
    /// Children that have reported.
    pub children: u32,
}

/// What a node bids for a room whose owner is contested: a mirror that means to claim, or the owner in answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bid {
    /// Whose it is.
    pub node: NodeId,
    /// The epoch of the owner that is contested.
    pub epoch: Epoch,
    /// What that node reaches.
    pub reach: Reach,
    /// When it was written last.
    pub revision: Revision,
}

/// Who owns a room after this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The node.
    pub node: NodeId,
    /// The epoch that its claim began.
    pub epoch: Epoch,
    /// The first slot that is its own.
    pub from_slot: Slot,
}

impl From<&OwnerKey> for Successor {
    fn from(key: &OwnerKey) -> Self {
        Self { node: key.node.clone(), epoch: key.epoch, from_slot: key.from_slot }
    }
}

/// What a view of the directory that is current shows of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Of which moment it is.
    pub at: Moment,
    /// The room's keys; `None` if the room is not there.
    pub keys: Option<Keys>,
}

/// The keys of a room that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The owner key.
    pub owner: Option<OwnerKey>,
    /// The mirror key.
    pub mirror: Option<MirrorKey>,
    /// Where the mirror is reached, if it is a member of the cluster.
    pub mirror_at: Option<String>,
    /// Whom the room is to have.
    pub wants: Wants,
    /// What nodes bid for it, under this epoch or a former one.
    pub bids: Vec<Bid>,
}

/// Whom a room is to have, as its record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// An owner and a mirror.
    Origins,
    /// Nobody: it is not open yet, or has ended.
    Nobody,
    /// Who can read the record, which this node cannot.
    Others,
}

impl Shown {
    /// The owner key, if there is one.
    #[must_use]
    pub fn owner(&self) -> Option<&OwnerKey> {
        self.keys.as_ref()?.owner.as_ref()
    }

    /// The mirror key, if there is one.
    #[must_use]
    pub fn mirror(&self) -> Option<&MirrorKey> {
        self.keys.as_ref()?.mirror.as_ref()
    }

    /// What nodes bid for the room.
    pub fn bids(&self) -> impl Iterator<Item = &Bid> {
        self.keys.iter().flat_map(|keys| &keys.bids)
    }

    /// Whether it is from after a key was written, so that its absence means that it is gone. A view from before a claim
    /// shows no key either.
    #[must_use]
    pub fn is_after(&self, written: Moment) -> bool {
        self.at >= written
    }
}
