//! What a media loop starts from, and what the actor steers it by.

use std::sync::Arc;

use ractor::ActorRef;
use stentor_ids::Slot;
use stentor_link::Mirror;
use stentor_mix::{ReplayError, Stage};
use stentor_relay::{Begin, Term};

use crate::{hosted::Hosted, message::Message, origin::Origin};

/// What a media loop starts from.
pub(crate) struct Start {
    pub(crate) origin: Arc<Origin>,
    pub(crate) hosted: Arc<Hosted>,
    /// Who runs the room, and is told what the loop learns.
    pub(crate) actor: ActorRef<Message>,
    pub(crate) stage: Arc<Stage>,
    pub(crate) term: Term,
    pub(crate) begin: Option<Begin>,
    /// The other origin.
    pub(crate) peer: Option<Mirror>,
}

/// What the actor has said last.
#[derive(Clone)]
pub(super) struct Steer {
    pub(super) stage: Arc<Stage>,
    pub(super) term: Term,
    pub(super) begin: Option<Begin>,
    /// The first slot that is not emitted any more.
    pub(super) end: Option<Slot>,
    pub(super) peer: Option<Mirror>,
}

/// Why a loop cannot go on.
pub(super) type Failure = ReplayError;
