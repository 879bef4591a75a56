//! Looking again for whoever answers for a room, which may change hands between the look and the call. Knows when it is
//! worth it and for how long, and not what is asked.
//!
//! Invariant: a search ends, by time and by count, however often the room changes hands.

use std::time::Duration;

use stentor_directory::{Revision, View, ViewHandle};
use stentor_ids::{Code, Fault, RoomId};
use tokio::time::{Instant, timeout_at};

/// How long a search goes on: longer than a lease and the claim after it, so that a call outlives the death of an owner.
const WITHIN: Duration = Duration::from_secs(8);
/// How long to wait for news of the room before it is tried again without: an owner that said no may be about to start.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Most tries, for a room of which there is news without end.
const TRIES: u32 = 40;

/// What a room's place depends on: its record, its owner key, and whether the owner is a member of the cluster.
pub(crate) type Version = Option<(Revision, Option<(Revision, bool)>)>;

pub(crate) fn version(view: &View, room: &RoomId) -> Version {
    let room = view.rooms.get(room)?;
    let owner = room.owner.as_ref().map(|owner| (owner.revision, view.nodes.contains_key(&owner.node)));
    Some((room.revision, owner))
}

pub(crate) struct Search<'a> {
    room: &'a RoomId,
    view: ViewHandle,
    /// As it was before the last try.
    known: Version,
    began: Instant,
    tries: u32,
}

impl<'a> Search<'a> {
    pub(crate) fn new(room: &'a RoomId, view: ViewHandle) -> Self {
        let known = version(&view.snapshot(), room);
        Self { room, view, known, began: Instant::now(), tries: 0 }
    }

    /// How long it has been going on.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until it may be worth another try after this fault.
    ///
    /// # Errors
    /// The fault, when it is final or the search is over.
    pub(crate) async fn again(&mut self, fault: Fault) -> Result<(), Fault> {
        self.tries += 1;
        let over = self.tries >= TRIES || self.age() >= WITHIN;
        if over || !may_be_answered_elsewhere(fault.code) {
            return Err(fault);
        }
        let (room, known) = (self.room, self.known);
        let until = Instant::now() + LOOK_AGAIN;
        let _ = timeout_at(until, self.view.wait_for(|view| version(view, room) != known)).await;
        self.known = version(&self.view.snapshot(), room);
        Ok(())
    }
}

const fn may_be_answered_elsewhere(code: Code) -> bool {
    matches!(code, Code::NotOwner | Code::NoOwner | Code::NodeUnavailable | Code::Draining)
}

#[cfg(test)]
mod tests {
    use stentor_directory::Directory;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_search_ends_and_gives_the_last_refusal() {
        let room = RoomId::new("talk").unwrap();
        let mut search = Search::new(&room, Directory::embedded().view());
        let began = Instant::now();
        let mut fault = Ok(());
        while fault.is_ok() {
            fault = search.again(Fault::new(Code::NoOwner, "nobody")).await;
        }
        assert_eq!(fault.unwrap_err().code, Code::NoOwner);
        assert!((7..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn what_is_final_is_not_tried_again() {
        let room = RoomId::new("talk").unwrap();
        let mut search = Search::new(&room, Directory::embedded().view());
        let fault = Fault::new(Code::WrongState, "the room is live already");
        assert_eq!(search.again(fault.clone()).await, Err(fault));
    }
}
