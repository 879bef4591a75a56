//! The identifiers and numbers that every part of Stentor shares, and the closed table of error codes.
//!
//! A value of one of these types has been checked once, at the door; inside, nobody checks it again. The crate
//! knows no wire format and no runtime, so that the pure cores can see it.

mod code;
mod name;
mod number;
mod role;

pub use code::{Code, Fault};
pub use name::{InvalidName, NodeId, ParticipantId, RoomId};
pub use number::{Epoch, Lineage, Revision, SLOT_DURATION, SLOT_SAMPLES, SLOTS_PER_SECOND, Slot};
pub use role::{InvalidRole, Role};
