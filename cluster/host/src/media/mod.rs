//! The audio of one room at one of its two origins: every slot is mixed here, or passed on as the other origin mixed it. It
//! runs outside the room actor's mailbox, as a task that the actor starts, steers and restarts.
//!
//! | module | is |
//! |---|---|
//! | `run` | the loop: what wakes it, and what `relay::Origin` says to do |
//! | `replays` | what many rooms that begin to mix at once do beside the runtime |
//! | `told` | what the other origin says |
//! | `studio` | the mixer while this origin leads, the history from which it can begin to |
//!
//! Invariants: slots only rise, and none at or above the end that the actor set is emitted; a change of the stage holds
//! from the next slot on (`RoleGate`); what another origin mixed is passed on byte for byte.

mod replays;
mod run;
mod studio;
mod told;

use std::sync::Arc;

pub(crate) use replays::Replays;
pub(crate) use stentor_relay::{Begin, Term};

use ractor::ActorRef;
use stentor_ids::Slot;
use stentor_link::Mirror;
use stentor_mix::{ReplayError, Stage};
use tokio::{sync::watch, task::AbortHandle};

use crate::{actor::Message, hosted::Hosted, origin::Origin};

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

/// A running media loop. Dropping it stops the audio.
pub(crate) struct Media {
    steer: watch::Sender<Steer>,
    task: AbortHandle,
}

#[derive(Clone)]
struct Steer {
    stage: Arc<Stage>,
    term: Term,
    begin: Option<Begin>,
    /// The first slot that is not emitted any more.
    end: Option<Slot>,
    peer: Option<Mirror>,
}

/// How a media loop ended by itself.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It came to its end slot.
    Done,
    /// It panicked, or the codec could not be had; with what it said.
    Failed(String),
}

impl Media {
    /// Starts the loop; the actor is told when it ends by itself.
    pub(crate) fn start(start: Start) -> Self {
        let Start { stage, term, begin, peer, .. } = &start;
        let steer = Steer { stage: stage.clone(), term: *term, begin: *begin, end: None, peer: peer.clone() };
        let (steer, steered) = watch::channel(steer);
        let actor = start.actor.clone();
        let task = tokio::spawn(run::Loop::new(start, steered).run());
        let abort = task.abort_handle();
        tokio::spawn(async move {
            let outcome = match task.await {
                Ok(Ok(())) => Outcome::Done,
                Ok(Err(error)) => Outcome::Failed(error.to_string()),
                Err(error) if error.is_panic() => Outcome::Failed(text(&*error.into_panic())),
                Err(_) => return,
            };
            // The actor is gone: then nobody waits for it.
            drop(actor.cast(Message::Media(outcome)));
        });
        Self { steer, task: abort }
    }

    /// Whoever may speak from the next slot on.
    pub(crate) fn set_stage(&self, stage: Arc<Stage>) {
        self.steer.send_modify(|steer| steer.stage = stage);
    }

    /// This origin leads from a slot on, whether it does already or keeps.
    pub(crate) fn begin(&self, begin: Begin) {
        self.steer.send_modify(|steer| (steer.begin, steer.end) = (Some(begin), None));
    }

    /// Slots from `term.from` on are emitted under this epoch.
    pub(crate) fn term(&self, term: Term) {
        self.steer.send_modify(|steer| steer.term = term);
    }

    /// The other origin is this one from now on.
    pub(crate) fn follow(&self, peer: Option<Mirror>) {
        self.steer.send_modify(|steer| steer.peer = peer);
    }

    /// Emits no slot from `end` on. Then the loop is done.
    pub(crate) fn end_at(&self, end: Slot) {
        self.steer.send_modify(|steer| steer.end = Some(end));
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a loop cannot go on.
type Failure = ReplayError;

/// What a panic said.
fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
