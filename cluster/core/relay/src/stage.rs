//! Which stage of a room is the newest, of those that come by several ways: by the stream of the room's other origin, by the
//! record that the owner committed, down the tree. It does not know who is on it.
//!
//! A stage is one epoch's, and has a version there. The two decide, never when it came: a way that is slow brings an old one
//! after a new one.

use stentor_ids::Epoch;

/// Which stage of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId {
    /// The epoch of the owner who decided it; 0 if a build said it that tells none.
    pub epoch: Epoch,
    /// Grows with each change of the stage under that owner.
    pub version: u64,
}

/// How a stage comes to an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// By who decides here.
    Own,
    /// By the stream of the other origin.
    Stream,
    /// By the record that the directory shows.
    Record,
}

/// What to do with a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heed {
    /// Mix under it from now on.
    Take,
    /// It is not the newest, or not by the way that counts now.
    Leave,
    /// It says what cannot be.
    Refuse,
}
