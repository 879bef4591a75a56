//! What the owner of a room asks of this node about it: to mirror the room, and to own it.

use std::{sync::Arc, time::Duration};

use stentor_directory::{Revision, View};
use stentor_ids::{Code, Epoch, Fault, RoomId, Slot};
use stentor_ownership::{Event, refusal};
use stentor_proto::v1;
use stentor_relay::can_be_epoch;
use tokio::time::timeout;

use crate::{
    claim::{Office, Target, stand},
    message::Message,
    rooms::Rooms,
};

/// How long the view may take to show the claim of an owner that asks for a mirror.
const VIEW: Duration = Duration::from_secs(1);
/// When to ask again who still gives way: about what is left of the second that it goes on.
const GIVES_WAY: Duration = Duration::from_millis(500);

/// Takes over from its owner, at the slot that it named, a room that this node mirrors. The claim is carried to its end also if
/// whoever asked gives up.
///
/// # Errors
/// `Draining` or `Overloaded` if this node takes no rooms, `WrongState` if it does not mirror the room; else what the
/// directory answers.
pub(crate) async fn take_over(
    rooms: &Arc<Rooms>,
    room: &RoomId,
    request: &v1::TakeOverRequest,
) -> Result<v1::TakeOverResponse, Fault> {
    check_place(rooms)?;
    let running = rooms.registry.get(room).filter(|running| !running.hosted.is_owned());
    let running = running.ok_or_else(|| refusal::not_mirrored(room, &rooms.origin.me))?;
    let owner = revision("owner_revision", request.owner_revision)?;
    let (epoch, from_slot) = (Epoch(request.epoch), Slot(request.from_slot));
    let known = running.hosted.epoch();
    if !can_be_epoch(known, epoch) {
        rooms.origin.metrics.reports_refused().inc();
        let detail = format!("room {room} cannot be at epoch {epoch}; it is at {known} here");
        return Err(Fault::new(Code::InvalidArgument, detail));
    }
    let message = |asker| Message::Told(Event::TakeOver { epoch, owner, from_slot, asker });
    match running.actor.call(message, None).await {
        Ok(ractor::rpc::CallResult::Success(answer)) => answer,
        _ => Err(refusal::restarting(room)),
    }
}

/// Mirrors a room, in place of the node whose key is at `request.mirror_revision`.
///
/// # Errors
/// `Draining` or `Overloaded` if this node takes no rooms, `NodeUnavailable` while it gives way to whoever asks, `WrongState` if
/// it owns the room; else what the directory answers.
pub(crate) async fn mirror_for(
    rooms: &Arc<Rooms>,
    room: &RoomId,
    request: &v1::MirrorRequest,
) -> Result<v1::MirrorResponse, Fault> {
    check_place(rooms)?;
    let answer = v1::MirrorResponse {};
    match rooms.registry.get(room) {
        // It is still giving way to whoever asks, and mirrors the room for it as soon as it has.
        Some(running) if running.hosted.is_owned() && running.hosted.epoch() < Epoch(request.epoch) => {
            let detail = format!("{} gives room {room} up and can mirror it in a moment", rooms.origin.me);
            return Err(Fault::new(Code::NodeUnavailable, detail).retry_after(GIVES_WAY));
        }
        Some(running) if running.hosted.is_owned() => {
            let detail = format!("{} owns room {room} and cannot mirror it too", rooms.origin.me);
            return Err(Fault::new(Code::WrongState, detail));
        }
        Some(_) => return Ok(answer),
        None => {}
    }
    let restarting = || refusal::restarting(room);
    // Held to the end, so that the watch does not claim an office of this room beside it.
    let _claiming = rooms.claiming(room).ok_or_else(restarting)?;
    let epoch = Epoch(request.epoch);
    // An owner that has just claimed the room may ask before this node has read of the claim.
    let mut view = rooms.origin.view.clone();
    let owned = |view: &View| view.owner(room).is_some_and(|owner| owner.epoch >= epoch);
    let shown = timeout(VIEW, view.wait_for(owned)).await.map_err(|_| restarting())?;
    let known = shown.rooms.get(room).cloned().ok_or_else(restarting)?;
    let preempt = revision("mirror_revision", request.mirror_revision)?;
    let target = Target { room: known, preempt, office: Office::Mirror };
    // At once: the owner has chosen, so that no turn is waited for.
    stand(rooms, target).await.map_err(|not_won| not_won.fault)?;
    Ok(answer)
}

/// Whether this node takes one more room.
fn check_place(rooms: &Rooms) -> Result<(), Fault> {
    let origin = &rooms.origin;
    if origin.is_draining() {
        return Err(Fault::new(Code::Draining, format!("{} is draining and takes no rooms", origin.me)));
    }
    if origin.is_barred() {
        let detail = format!("the clock of {} is too far from the cluster's; it takes no rooms", origin.me);
        return Err(Fault::new(Code::NodeUnavailable, detail));
    }
    if !rooms.has_place() {
        let detail = format!("{} runs {} rooms and takes no more", origin.me, rooms.registry.owned());
        return Err(Fault::new(Code::Overloaded, detail));
    }
    Ok(())
}

/// The revision of a key that a request names; 0 for none.
fn revision(field: &str, value: i64) -> Result<Option<Revision>, Fault> {
    let revision =
        u64::try_from(value).map_err(|_| Fault::new(Code::InvalidArgument, format!("{field} is {value}")))?;
    Ok((revision > 0).then_some(Revision(revision)))
}
