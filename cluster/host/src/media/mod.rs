//! The audio of one room at one of its two origins: every slot is mixed here, or passed on as the other origin mixed it. It
//! runs outside the room actor's mailbox, as a task that the actor starts, steers and restarts.
//!
//! | module | is |
//! |---|---|
//! | `run` | the loop: what wakes it, and what `relay::Origin` says to do |
//! | `start` | what it starts from, and how it is steered |
//! | `told` | what the other origin says |
//! | `studio` | the mixer while this origin leads, the history from which it can begin to |
//!
//! Invariants: slots only rise, and none at or above the end that the actor set is emitted; a change of the stage holds
//! from the next slot on (`RoleGate`); what another origin mixed is passed on byte for byte.

mod run;
mod start;
mod studio;
mod told;

use std::sync::Arc;

pub(crate) use stentor_relay::{Begin, Term};

use stentor_ids::Slot;
use stentor_link::Mirror;
use stentor_ownership::Event;
use tokio::{sync::watch, task::AbortHandle};

use self::start::Steer;
use crate::{message::Message, status::Staged};

pub(crate) use self::start::{Recorded, Start};

/// A running media loop. Dropping it stops the audio.
pub(crate) struct Media {
    steer: watch::Sender<Steer>,
    task: AbortHandle,
}

impl Media {
    /// Starts the loop; the actor is told when it ends by itself.
    pub(crate) fn start(start: Start) -> Self {
        let Start { stage, term, begin, peer, .. } = &start;
        let (stage, peer) = (stage.clone(), peer.clone());
        let steer = Steer { stage, recorded: None, term: *term, begin: *begin, end: None, peer };
        let (steer, steered) = watch::channel(steer);
        let actor = start.actor.clone();
        let task = tokio::spawn(run::Loop::new(start, steered).run());
        let abort = task.abort_handle();
        tokio::spawn(async move {
            let ended = match task.await {
                Ok(Ok(())) => Event::AudioDone,
                Ok(Err(error)) => Event::AudioFailed(error.to_string()),
                Err(error) if error.is_panic() => Event::AudioFailed(text(&*error.into_panic())),
                // The actor has dropped it.
                Err(_) => return,
            };
            // The actor is gone: then nobody waits for it.
            drop(actor.cast(Message::Told(ended)));
        });
        Self { steer, task: abort }
    }

    /// Whoever may speak from the next slot on.
    pub(crate) fn set_stage(&self, stage: Staged) {
        self.steer.send_modify(|steer| steer.stage = stage);
    }

    /// The directory shows this of a room that another node decides.
    pub(crate) fn recorded(&self, recorded: Recorded) {
        self.steer.send_modify(|steer| steer.recorded = Some(Arc::new(recorded)));
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

/// What a panic said.
fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
