//! The state of rooms that are not played here: asked for twice a second at most, however many want to know. What is told
//! and what is asked for [`Answers`] decides; this asks.

mod answers;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use stentor_ids::{Code, Fault, RoomId};
use stentor_link::Locator;
use stentor_pace::TokenBucket;
use tokio::sync::watch;
use tracing::Instrument as _;

use answers::{Answers, Found, Look, of_one};

/// An answer on its way.
type Coming = watch::Receiver<Option<Found>>;

/// What one connection may still ask about names that nobody has heard of. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Guesses(Arc<Mutex<TokenBucket>>);

/// Looks rooms up.
pub(super) struct Lookup(Arc<Inner>);

struct Inner {
    locator: Locator,
    state: Mutex<State>,
}

struct State {
    answers: Answers,
    /// What is asked for now.
    coming: HashMap<RoomId, Coming>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(of_one())))
    }
}

impl Lookup {
    pub(super) fn new(locator: Locator) -> Self {
        let state = State { answers: Answers::new(), coming: HashMap::new() };
        Self(Arc::new(Inner { locator, state: Mutex::new(state) }))
    }

    /// The room as it is, or was a second ago. Who is `vouched` for, by a ticket for the room, may ask where others guess.
    ///
    /// # Errors
    /// `UnknownRoom`; `NodeUnavailable` if nobody who would know answers; `TooFast` and `Overloaded` for a name that may
    /// be none.
    pub(super) async fn status(
        &self,
        room: &RoomId,
        guesses: &Guesses,
        vouched: impl FnOnce() -> bool,
    ) -> Found {
        let coming = match self.look(room, Some(guesses)) {
            Err(Err(fault)) if matches!(fault.code, Code::TooFast | Code::Overloaded) && vouched() => {
                self.look(room, None)
            }
            looked => looked,
        };
        match coming {
            Err(found) => found,
            Ok(mut coming) => {
                let found = coming.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
                found.unwrap_or_else(|| Err(Fault::new(Code::Internal, "the question was dropped")))
            }
        }
    }

    /// An answer on its way, unless there is one already.
    fn look(&self, room: &RoomId, guesses: Option<&Guesses>) -> Result<Coming, Found> {
        let mut state = self.0.state.lock();
        let looked = {
            let mut guesses = guesses.map(|guesses| guesses.0.lock());
            state.answers.look(stentor_clock::now(), room, guesses.as_deref_mut())
        };
        match looked {
            Look::Told(found) => Err(found),
            Look::Refresh(status) => {
                self.ask(&mut state, room, guesses);
                Err(Ok(status))
            }
            Look::Wait => {
                let coming = state.coming.get(room).cloned();
                Ok(coming.unwrap_or_else(|| self.ask(&mut state, room, guesses)))
            }
            Look::Ask => Ok(self.ask(&mut state, room, guesses)),
        }
    }

    /// Asks, in a task of its own, so that an asker who goes away takes nobody's answer along. It ends with the locator's
    /// patience, a second.
    fn ask(&self, state: &mut State, room: &RoomId, guesses: Option<&Guesses>) -> Coming {
        let (tell, coming) = watch::channel(None);
        state.coming.insert(room.clone(), coming.clone());
        let (inner, room, guesses) = (self.0.clone(), room.clone(), guesses.cloned());
        let ask = async move {
            let found = inner.locator.status(&room).await.and_then(|located| {
                let status = located.room.map(Arc::new);
                status.ok_or_else(|| Fault::new(Code::Internal, format!("{room} was found without a state")))
            });
            let mut state = inner.state.lock();
            state.coming.remove(&room);
            let mut guesses = guesses.as_ref().map(|guesses| guesses.0.lock());
            let found = state.answers.told(stentor_clock::now(), &room, found, guesses.as_deref_mut());
            tell.send_replace(Some(found));
        };
        tokio::spawn(ask.in_current_span());
        coming
    }
}
