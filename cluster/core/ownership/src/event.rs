//! What a [`Tenure`](crate::Tenure) is told, and what it asks for.

use stentor_ids::{Epoch, Fault, NodeId, Revision, Slot};
use stentor_pace::Time;

use crate::{Answer, MirrorKey, Moment, OwnerKey, Reach, Shown, Successor};

/// What a driver hands in and gets back without a look inside.
pub trait Driver {
    /// The right to commit as the owner, that came with an owner key.
    type Right: Clone;
    /// What gives a mirror key up again, that came with it.
    type Place: Clone;
    /// A room's record.
    type Record;
    /// Who waits for an answer about a transfer.
    type Asker;
}

/// A key that this node wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<K, R> {
    /// The key.
    pub key: K,
    /// When it was written.
    pub written: Moment,
    /// What came with it.
    pub right: R,
}

/// This node's owner key of a room.
pub type OwnerHeld<D> = Held<OwnerKey, <D as Driver>::Right>;
/// This node's mirror key of a room.
pub type MirrorHeld<D> = Held<MirrorKey, <D as Driver>::Place>;

/// What this node is to a room, as links and calls may know it and as a restarted room begins.
pub enum Standing<D: Driver> {
    /// It owns the room. One that gives way to a successor still does.
    Owner(OwnerHeld<D>),
    /// It mirrors the room.
    Mirror {
        /// By this key.
        held: MirrorHeld<D>,
        /// Of this owner.
        owner: OwnerKey,
    },
}

impl<D: Driver> Clone for Standing<D> {
    fn clone(&self) -> Self {
        match self {
            Self::Owner(held) => Self::Owner(held.clone()),
            Self::Mirror { held, owner } => Self::Mirror { held: held.clone(), owner: owner.clone() },
        }
    }
}

impl<D: Driver> Standing<D> {
    /// The owner key under which this node works for the room: its own, or that of the owner that it mirrors.
    #[must_use]
    pub const fn owner(&self) -> &OwnerKey {
        match self {
            Self::Owner(held) => &held.key,
            Self::Mirror { owner, .. } => owner,
        }
    }

    /// Whether this node owns the room.
    #[must_use]
    pub const fn is_owner(&self) -> bool {
        matches!(self, Self::Owner(_))
    }
}

/// How the room stands at this node at the moment of an event, as those know who carry it out.
#[derive(Debug, Clone, Default)]
pub struct Here {
    /// The moment.
    pub now: Time,
    /// When the room's other origin was last heard.
    pub heard: Time,
    /// Whether its stream stands.
    pub connected: bool,
    /// The other origin, if it could go on with the audio at once. By its name: what the event says may make the mirror another.
    pub ready: Option<NodeId>,
    /// The highest epoch that a frame or a child has shown.
    pub epoch: Epoch,
    /// The highest slot that was emitted or passed on here.
    pub newest: Option<Slot>,
    /// The slot that comes next on the room's grid, as the slots that were here tell.
    pub next: Option<Slot>,
    /// The slot that is under way by the wall clock; `None` where the room is not on the air.
    pub clock: Option<Slot>,
    /// Whether the room is on the air, by the record that this node goes by.
    pub live: bool,
    /// Whether the audio is mixed here.
    pub leads: bool,
    /// Whether the directory has all that this owner has decided.
    pub books: Books,
    /// What this node reaches of the room.
    pub reach: Reach,
    /// From when this node may bid for the room, as its `Preemptions` say.
    pub preempt_from: Time,
}

/// Whether the directory has all that the owner has decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Books {
    /// It has.
    #[default]
    Settled,
    /// A commit is under way.
    Busy,
    /// Commits fail, for this reason.
    Away(Fault),
}

/// Names one errand, so that an end that comes twice, or late, is not taken for that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errand(pub(crate) u64);

/// What a room's tenure is told.
pub enum Event<D: Driver> {
    /// A current view of the directory shows this.
    Shown(Shown),
    /// The node has a new lease: every key on the one before is gone.
    NewLease,
    /// Another node owns the room, as the other origin or the directory says.
    Claimed(Successor),
    /// The state of the owner's books may be another.
    Books,
    /// The other origin leads, keeps or is ready, other than before.
    PeerChanged,
    /// The stream of the other origin came to stand, or broke.
    PeerStream,
    /// The owner says that the room has ended, to its mirror.
    OwnerEnded,
    /// The room has ended, as its owner decided.
    Ended,
    /// The room is to go to another node.
    Transfer {
        /// To this one; by preference to the mirror if it is `None`.
        to: Option<NodeId>,
        /// The other origins that could take it, the best first.
        ranked: Vec<NodeId>,
        /// Who is answered by [`Effect::Transferred`].
        asker: D::Asker,
    },
    /// The owner asks this mirror to own the room.
    TakeOver {
        /// The owner's epoch.
        epoch: Epoch,
        /// Its key, to replace.
        owner: Option<Revision>,
        /// From this slot on.
        from_slot: Slot,
        /// Who is answered by [`Effect::TookOver`].
        asker: D::Asker,
    },
    /// The mirror is to step aside. Who waits for it is answered by [`Effect::Aside`].
    StepAside,
    /// The audio has come to the end that was set.
    AudioDone,
    /// The audio has failed, with what it said.
    AudioFailed(String),
    /// The node stops.
    Stop,
    /// An errand has ended.
    Done(Errand, End<D>),
    /// A deadline has come.
    Wake,
}

/// How an errand ended.
pub enum End<D: Driver> {
    /// Of [`Effect::Ask`].
    Answered(Answer),
    /// Of [`Effect::Claim`], with the record as it was after it.
    Claimed(Result<Claimed<D>, Fault>),
    /// Of [`Effect::PutBackOwner`].
    OwnerBack(Result<OwnerHeld<D>, NotBack<OwnerKey>>),
    /// Of [`Effect::PutBackMirror`].
    MirrorBack(Result<MirrorHeld<D>, NotBack<MirrorKey>>),
    /// Of [`Effect::Prepare`].
    Prepared(Result<(), Fault>),
    /// Of [`Effect::Offer`].
    Offered(Result<Successor, Fault>),
    /// Of [`Effect::LookUp`]: the owner key as the directory has it, if it could say.
    LookedUp(Option<OwnerKey>),
    /// Of [`Effect::Release`], however it went.
    Released,
    /// Of [`Effect::Bid`]: when it was written; `None` if it may not have been.
    Bid(Option<Revision>),
    /// It ended without an answer: it panicked.
    Failed,
}

/// A room that this mirror has claimed.
pub struct Claimed<D: Driver> {
    /// The owner key.
    pub held: OwnerHeld<D>,
    /// The record, which nobody else writes any more.
    pub record: D::Record,
    /// Whether the room has ended by it.
    pub ended: bool,
}

/// Why a key is not back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotBack<K> {
    /// The directory does not answer, or the node has no lease, or the room is not there yet.
    NotYet,
    /// This one is there.
    Other(K),
    /// The key must not be put back, and none is there: the room was claimed and let go since, or was deleted.
    Superseded,
    /// This node is the room's owner by the directory, and cannot be its mirror too.
    OwnsIt,
}

/// What the driver is to do, in the order of the list.
pub enum Effect<D: Driver> {
    /// Publish what this node is to the room: it has changed.
    Publish,
    /// Tell what a view shows of the room now.
    Look,

    /// Ask the owner whether it runs the room, and relays whether they hear it.
    Ask(Errand, OwnerKey),
    /// Claim the room in the directory and read its record; give the key up again if that cannot be read.
    Claim(Errand, Claim),
    /// Put the owner key back, with the record as the owner has it.
    PutBackOwner(Errand, D::Right),
    /// Put the mirror key back, in place of this node's own on a former lease.
    PutBackMirror(Errand, Option<Revision>),
    /// Ask the node to mirror the room, in place of the mirror whose key is at the revision.
    Prepare(Errand, NodeId, Option<Revision>),
    /// Ask the node to own the room from the slot on.
    Offer(Errand, NodeId, Slot),
    /// Read the owner key in the directory.
    LookUp(Errand),
    /// Write this node's bid in the directory, on its lease: the epoch of the owner that is contested, and what it reaches.
    Bid(Errand, Epoch, Reach),
    /// Withdraw this node's bid, if there is one.
    WithdrawBid,
    /// This node claims the room though the owner's key stands, as it was not outbid: to be remembered in its `Preemptions`.
    Preempts,
    /// Give the key up by which this node owned or mirrored the room.
    Release(Errand, Standing<D>),

    /// Answer who asked for a transfer.
    Transferred(D::Asker, Result<Successor, Fault>),
    /// Answer who asked this mirror to own the room.
    TookOver(D::Asker, Result<Successor, Fault>),
    /// Answer whoever waits until this mirror has stepped aside, or is none any more.
    Aside,

    /// Take no more commands; what is under way goes on.
    CloseBooks(Fault),
    /// Take commands again.
    ReopenBooks,
    /// Commit nothing more, and answer all who wait.
    AbandonBooks(Fault),
    /// Commit the whole record again.
    SaveAgain,

    /// Begin to pass on what the owner mixes.
    Keep(OwnerKey),
    /// Begin to decide what the room is by this record, or as the room was last told; and go on the air if it is live.
    Decide(Option<D::Record>),
    /// Follow another node as the room's other origin.
    Follow(Option<NodeId>),
    /// The term of the owner key has another number, first slot or owner: fence what is older, and emit by it.
    Term(OwnerKey),
    /// Emit nothing from this slot on.
    EndAt(Slot),
    /// Take no frames of older epochs from the successor's first slot on.
    Fence(Successor),

    /// Send the edges' speakers to this node.
    Redirect(NodeId, Epoch),
    /// Send them away, where nobody knows to whom.
    Dismiss,
    /// Tell who watches that the room goes to another node.
    TellSuccessor(Successor),
    /// Tell edges and all who follow the room which node mirrors it.
    TellMirror(Option<NodeId>),
    /// Tell who watches how the mirror stands.
    TellPeer,
    /// Tell edges and who watches that this node owns it now.
    TellOwner(Took),
    /// Tell all who follow the room how it is, and who is banned.
    TellRoom,
    /// Tell edges that the room has ended.
    TellEnded,

    /// Let everyone go who takes the room from here, and take it off this node's list.
    Leave(Left),
    /// Nothing more is to come: end the actor.
    Stop,
    /// End it as failed; it begins again from what was published.
    Fail(String),
}

/// A claim to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The highest epoch that this node knows of.
    pub seen: Epoch,
    /// The owner key to replace.
    pub preempt: Option<Revision>,
    /// From which slot it holds.
    pub from_slot: Slot,
}

/// How a mirror came to own its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Took {
    /// Who owned it before.
    pub former: NodeId,
    /// The new owner key.
    pub key: OwnerKey,
    /// When the first sign of the former owner's failure was; `None` if it asked for it.
    pub since: Option<Time>,
}

/// Why a room leaves a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It goes on elsewhere.
    Moved,
    /// It has ended.
    Ended,
}
