//! What was seen of rooms, also in histories of the directory that are gone: the highest epoch, and who owned the room then.
//!
//! A directory that came back empty or with an older state does not know of all claims; this process does of those it saw,
//! so that no claim of its own goes below them, and it knows whom to ask before it claims.
//!
//! Invariant: an epoch never falls until its room is forgotten. Bound: the rooms that each history ever held at once.

use stentor_ids::{Epoch, RoomId};

use crate::{Map, Owner};

#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Map<RoomId, Highest>);

#[derive(Debug, Clone, Default)]
struct Highest {
    epoch: Epoch,
    owner: Option<Owner>,
}

impl Seen {
    /// The highest epoch of the room's record or of an owner; 0 if none was seen.
    pub(crate) fn epoch(&self, room: &RoomId) -> Epoch {
        self.0.get(room).map_or(Epoch(0), |highest| highest.epoch)
    }

    /// The owner of the highest epoch.
    pub(crate) fn owner(&self, room: &RoomId) -> Option<&Owner> {
        self.0.get(room)?.owner.as_ref()
    }

    pub(crate) fn record(&mut self, room: &RoomId, epoch: Epoch) {
        let highest = self.0.get(room).cloned().unwrap_or_default();
        self.0.insert(room.clone(), Highest { epoch: highest.epoch.max(epoch), ..highest });
    }

    pub(crate) fn owned(&mut self, room: &RoomId, owner: &Owner) {
        if self.epoch(room) <= owner.epoch {
            self.0.insert(room.clone(), Highest { epoch: owner.epoch, owner: Some(owner.clone()) });
        }
    }

    pub(crate) fn forget(&mut self, room: &RoomId) {
        self.0.remove(room);
    }

    pub(crate) fn keep(&mut self, mut still: impl FnMut(&RoomId) -> bool) {
        self.0.retain(|room, _| still(room));
    }
}
