//! What a media loop starts from, and what the actor steers it by.

use std::sync::Arc;

use ractor::ActorRef;
use stentor_ids::Slot;
use stentor_link::Mirror;
use stentor_mix::ReplayError;
use stentor_proto::v1;
use stentor_relay::{Begin, Term};

use crate::{hosted::Hosted, message::Message, origin::Origin, status::Staged};

/// What a media loop starts from.
pub(crate) struct Start {
    pub(crate) origin: Arc<Origin>,
    pub(crate) hosted: Arc<Hosted>,
    /// Who runs the room, and is told what the loop learns.
    pub(crate) actor: ActorRef<Message>,
    pub(crate) stage: Staged,
    pub(crate) term: Term,
    pub(crate) begin: Option<Begin>,
    /// The other origin.
    pub(crate) peer: Option<Mirror>,
}

/// What the actor has said last.
#[derive(Clone)]
pub(super) struct Steer {
    pub(super) stage: Staged,
    /// The owner's record, of a room that is not this node's to decide.
    pub(super) recorded: Option<Arc<Recorded>>,
    pub(super) term: Term,
    pub(super) begin: Option<Begin>,
    /// The first slot that is not emitted any more.
    pub(super) end: Option<Slot>,
    pub(super) peer: Option<Mirror>,
}

/// The room as the owner has committed it.
pub(crate) struct Recorded {
    pub(crate) stage: Staged,
    pub(crate) status: Arc<v1::RoomStatus>,
}

/// Why a loop cannot go on.
pub(super) type Failure = ReplayError;
