//! What whoever asks something of a room is told that is going, or is not here.

use std::time::Duration;

use stentor_ids::{Code, Fault, NodeId, RoomId};

/// When to come back while a room is between two owners, or between two lives of its actor.
pub const SOON: Duration = Duration::from_millis(200);
/// When to come back to a room that nobody owns: the claim steps of a few origins.
const CLAIM_WAIT: Duration = Duration::from_secs(1);
/// When to come back while the directory is away, as its own refusals have it.
const AWAY: Duration = Duration::from_secs(2);

/// The room is between two lives of its actor, or nobody knows who is to own it.
#[must_use]
pub fn restarting(room: &RoomId) -> Fault {
    no_owner(room, SOON)
}

/// Nobody owns the room yet.
#[must_use]
pub fn unowned(room: &RoomId) -> Fault {
    no_owner(room, CLAIM_WAIT)
}

/// The room goes, or has gone, to another node.
#[must_use]
pub fn moved(room: &RoomId, to: &NodeId) -> Fault {
    Fault::new(Code::NotOwner, format!("room {room} is moving to {to}")).retry_after(SOON)
}

/// The room is only mirrored here.
#[must_use]
pub fn mirrored_only(room: &RoomId, owner: &NodeId) -> Fault {
    Fault::new(Code::NotOwner, format!("room {room} is run by {owner}, and only mirrored here"))
        .retry_after(SOON)
}

/// The node's own key of the room is gone with its lease.
pub(crate) fn key_gone() -> Fault {
    let detail = "the directory is not available now; the log of the node that was asked says why";
    Fault::new(Code::DirectoryUnavailable, detail).retry_after(AWAY)
}

pub(crate) fn going_already(room: &RoomId) -> Fault {
    Fault::new(Code::WrongState, format!("room {room} is being handed over already"))
}

pub(crate) fn nobody_takes(room: &RoomId) -> Fault {
    let detail = format!("no other origin can take room {room}; add one, or undrain one");
    Fault::new(Code::NodeUnavailable, detail)
}

pub(crate) fn does_not_take(to: &NodeId) -> Fault {
    let detail =
        format!("{to} is not another origin that takes this room; list the nodes to see which take rooms");
    Fault::new(Code::UnknownNode, detail)
}

pub(crate) fn not_ready(heir: &NodeId) -> Fault {
    Fault::new(Code::NodeUnavailable, format!("{heir} has not become the room's mirror in time"))
}

/// The room is not mirrored here.
#[must_use]
pub fn not_mirrored(room: &RoomId, me: &NodeId) -> Fault {
    Fault::new(Code::WrongState, format!("{me} does not mirror room {room}; ask it to first"))
}

fn no_owner(room: &RoomId, wait: Duration) -> Fault {
    let detail = format!("the owner of room {room} is being replaced; try again in {} ms", wait.as_millis());
    Fault::new(Code::NoOwner, detail).retry_after(wait)
}
