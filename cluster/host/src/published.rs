//! What a room's actor says of the room to those who do not ask it: links, calls, and the actor that comes after it if it fails.
//!
//! Invariant: the actor of the room alone writes it; whoever else has a hand on it reads.

use std::sync::Arc;

use parking_lot::Mutex;
use stentor_pace::WallTime;
use stentor_room::Record;

use crate::driver::Standing;

/// What is published of a room.
#[derive(Clone)]
pub(crate) struct Published {
    /// What this node is to it, or was last.
    pub(crate) standing: Standing,
    /// The room as it was last told.
    pub(crate) record: Record,
    /// When this node took the room over from a failed owner.
    pub(crate) taken_over: Option<WallTime>,
}

/// Reads what is published.
pub(crate) struct Reader(Arc<Mutex<Published>>);

/// Publishes. The supervisor keeps one for the room's next actor.
#[derive(Clone)]
pub(crate) struct Publisher(Arc<Mutex<Published>>);

/// A room's published value, and the two ends of it.
pub(crate) fn published(first: Published) -> (Publisher, Reader) {
    let value = Arc::new(Mutex::new(first));
    (Publisher(value.clone()), Reader(value))
}

impl Reader {
    pub(crate) fn read<T>(&self, of: impl FnOnce(&Published) -> T) -> T {
        of(&self.0.lock())
    }
}

impl Publisher {
    pub(crate) fn change(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.0.lock());
    }
}
