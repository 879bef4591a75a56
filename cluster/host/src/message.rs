//! What the actor of a room and the supervisor of all can be told. Messages are bounded by who may send them: commands by the room's permits, everything
//! else by being one at a time.

use std::sync::Arc;

use ractor::RpcReplyPort;
use stentor_ids::{Fault, NodeId};
use stentor_ownership::{Event, Shown};
use stentor_proto::v1;
use stentor_room::{Actor, CommitId, Lifecycle, Settled};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use crate::{command::Request, driver::RoomDriver, hosted::Hosted, published::Publisher};

/// Whom to answer.
pub(crate) struct Reply {
    pub(crate) by: Actor,
    pub(crate) port: RpcReplyPort<Result<v1::CommandReply, Fault>>,
    /// Whose trace this is.
    pub(crate) span: Span,
    /// One of the room's permits, given back with the answer.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What a room's actor can be told.
pub(crate) enum Message {
    /// Somebody asks something.
    Request { by: Actor, request: Request, reply: Reply },
    /// Hands are raised (true) and lowered, as an edge has gathered them.
    Hands {
        changes: Vec<(Actor, bool)>,
        reply: RpcReplyPort<Result<v1::HandsReply, Fault>>,
        /// Given back with the answer.
        permit: OwnedSemaphorePermit,
    },
    /// A commit ended.
    Settled(CommitId, Settled),
    /// A second has passed.
    Tick,
    /// A speaker came or went.
    Refresh,
    /// The room is told again now, if it has changed.
    TimeToTell,
    /// A current view shows this, and by its record the room stands so.
    Shown(Shown, Option<Lifecycle>),
    /// Something else that is the tenure's to decide about.
    Told(Event<RoomDriver>),
    /// Hand the room to another node.
    HandOff { to: Option<NodeId>, reply: RpcReplyPort<Result<v1::TakeOverResponse, Fault>> },
    /// Stop to mirror the room, and say when that is done.
    StepAside(RpcReplyPort<()>),
    /// A deadline of the tenure's has come.
    Wake,
}

/// What the supervisor can be told: to run a room.
pub(crate) struct Start {
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) publisher: Publisher,
    pub(crate) reply: RpcReplyPort<Result<(), Fault>>,
}
