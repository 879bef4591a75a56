//! One claim of one office of one room. Of a room that nobody owns: ask the former owner, claim it in the directory,
//! run it. Of a room that this node mirrors, when its owner names the slot or has failed: claim it, and leave the rest
//! to the actor. Of a mirror's office: claim it, and run the room as its mirror.

use std::{sync::Arc, time::Duration};

use stentor_directory::{Error, Ownership, Revision, Room, View};
use stentor_ids::{Code, Epoch, Fault, NodeId, RoomId, Slot};
use stentor_proto::v1;
use stentor_relay::can_be_epoch;
use stentor_room::{Bans, InvalidRecord, Record};
use stentor_telemetry::Claim as Outcome;
use tokio::time::timeout;

use crate::{
    actor::Message,
    hosted::Seat,
    origin::{Origin, restarting},
    standby::Promotion,
    timebase::wall,
};

/// Slots by which a claim's first slot lies ahead: 100 ms for the claim itself and for clocks of two nodes that differ.
const AHEAD: u64 = 5;
/// How long the former owner has to answer whether it still runs the room. A process that is gone answers at once, by its
/// closed port.
const ASK: Duration = Duration::from_millis(300);
/// How long a former owner that still runs the room is left to put its key back. Then the room is claimed all the same, so
/// that it can be moderated again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon to ask it again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long the view may take to show the claim of an owner that asks for a mirror.
const VIEW: Duration = Duration::from_secs(1);
/// How soon to claim again when the directory did not answer.
pub(crate) const TRY_AGAIN: Duration = Duration::from_millis(500);

/// A room to claim.
pub(crate) struct Target {
    pub(crate) room: Arc<Room>,
    /// The owner key to replace.
    pub(crate) preempt: Option<Revision>,
    /// How long it has been without an owner.
    pub(crate) vacant: Duration,
    /// Its former owner and where its links were.
    pub(crate) former: Option<(NodeId, String)>,
}

/// How a claim ended.
pub(crate) enum Claimed {
    /// This node runs the room.
    Won,
    /// Another node was faster.
    Lost,
    /// Not now; to be looked at again after this time.
    NotYet(Duration),
}

/// Claims a room that nobody runs.
pub(crate) async fn claim(origin: &Origin, target: Target) -> Claimed {
    let room = &target.room;
    let Ok(record) = Record::decode(&room.record) else { return Claimed::NotYet(PATIENCE) };
    if target.vacant < PATIENCE
        && let Some((node, link_addr)) = &target.former
        && still_runs(origin, node, link_addr, &room.id).await
    {
        tracing::info!(room = %room.id, %node, "the room has lost its owner key, but its owner still runs it");
        return Claimed::NotYet(ASK_AGAIN);
    }
    let from_slot = record.lifecycle().resume_slot(wall(), None, AHEAD).unwrap_or_default();
    match own_and_run(origin, &target, from_slot).await {
        Ok(()) => Claimed::Won,
        Err(Failed::Claim(Error::Lost { owner, .. })) => {
            tracing::info!(room = %room.id, node = %owner.node, epoch = %owner.epoch, "another node was faster");
            Claimed::Lost
        }
        Err(failed) => {
            tracing::warn!(room = %room.id, error = %Fault::from(failed), "the room could not be claimed");
            Claimed::NotYet(TRY_AGAIN)
        }
    }
}

/// Takes over from its owner, at the slot that it named, a room that this node mirrors.
///
/// # Errors
/// `Draining` or `Overloaded` if this node takes no rooms, `WrongState` if it does not mirror the room; else what the
/// directory answers.
pub(crate) async fn take_over(
    origin: &Arc<Origin>,
    room: &RoomId,
    request: &v1::TakeOverRequest,
) -> Result<v1::TakeOverResponse, Fault> {
    check_place(origin)?;
    let running = origin.rooms.get(room).filter(|running| !running.hosted.is_owned()).ok_or_else(|| {
        Fault::new(Code::WrongState, format!("{} does not mirror room {room}; ask it to first", origin.me))
    })?;
    let revision = revision("owner_revision", request.owner_revision)?;
    let (seen, from_slot) = (Epoch(request.epoch), Slot(request.from_slot));
    let known = running.hosted.epoch();
    if !can_be_epoch(known, seen) {
        origin.metrics.reports_refused().inc();
        let detail = format!("room {room} cannot be at epoch {seen}; it is at {known} here");
        return Err(Fault::new(Code::InvalidArgument, detail));
    }
    let (origin, id) = (origin.clone(), room.clone());
    // Whoever asked may give up; the claim is carried to its end all the same.
    let promoting = tokio::spawn(async move {
        let (ownership, record) = promote(&origin, &id, seen, revision, from_slot).await?;
        let answer = v1::TakeOverResponse {
            node: origin.me.to_string(),
            epoch: ownership.epoch().0,
            from_slot: ownership.from_slot().0,
        };
        // The actor is gone: then the key is left to the watch.
        drop(running.actor.cast(Message::Promoted(Promotion { ownership, record, took: None })));
        Ok(answer)
    });
    promoting.await.map_err(|_| restarting(room))?
}

/// Mirrors a room, in place of the node whose key is at `request.mirror_revision`.
///
/// # Errors
/// `Draining` or `Overloaded` if this node takes no rooms, `WrongState` if it owns the room; else what the directory
/// answers.
pub(crate) async fn mirror_for(
    origin: &Arc<Origin>,
    room: &RoomId,
    request: &v1::MirrorRequest,
) -> Result<v1::MirrorResponse, Fault> {
    check_place(origin)?;
    let answer = v1::MirrorResponse {};
    match origin.rooms.get(room) {
        Some(running) if running.hosted.is_owned() => {
            let detail = format!("{} owns room {room} and cannot mirror it too", origin.me);
            return Err(Fault::new(Code::WrongState, detail));
        }
        Some(_) => return Ok(answer),
        None => {}
    }
    let _claiming = origin.claiming(room).ok_or_else(|| restarting(room))?;
    let epoch = Epoch(request.epoch);
    let mut view = origin.view.clone();
    let owned = |view: &View| view.owner(room).is_some_and(|owner| owner.epoch >= epoch);
    let shown = timeout(VIEW, view.wait_for(owned)).await.map_err(|_| restarting(room))?;
    let known = shown.rooms.get(room).cloned().ok_or_else(|| restarting(room))?;
    mirror(origin, &known, revision("mirror_revision", request.mirror_revision)?).await?;
    Ok(answer)
}

/// Claims the mirror's office and runs the room as its mirror.
pub(crate) async fn mirror(origin: &Origin, room: &Room, preempt: Option<Revision>) -> Result<(), Fault> {
    let owner = room.owner.clone().ok_or_else(|| restarting(&room.id))?;
    let record = with_bans(origin, &room.id, read(&room.id, &room.record)?).await?;
    let session = origin.session()?;
    let key = origin.directory.mirror(&session, &room.id, preempt).await?;
    let started = origin.start(&room.id, record, Seat::Mirror { key: key.clone(), owner }).await;
    if let Err(fault) = started {
        // If this fails too, the key names this node until the watch claims it over.
        drop(origin.directory.release_mirror(key).await);
        return Err(fault);
    }
    Ok(())
}

/// Claims a room and reads its record, which nobody else writes any more.
pub(crate) async fn promote(
    origin: &Origin,
    room: &RoomId,
    seen: Epoch,
    preempt: Option<Revision>,
    from_slot: Slot,
) -> Result<(Ownership, Record), Error> {
    // Not after the claim: a node that cannot run the room would only take it from its owner and let it go again.
    if let Some(known) = origin.view.snapshot().rooms.get(room) {
        read(room, &known.record)?;
    }
    let ownership = own(origin, room, seen, preempt, from_slot).await?;
    match recorded(origin, room).await {
        Ok(record) => Ok((ownership, record)),
        Err(error) => {
            // If this fails too, the key names this node until the watch claims it over.
            drop(origin.directory.release(ownership).await);
            Err(error)
        }
    }
}

/// Claims a room and runs it.
async fn own_and_run(origin: &Origin, target: &Target, from_slot: Slot) -> Result<(), Failed> {
    let room = &target.room.id;
    let claimed = promote(origin, room, Epoch(0), target.preempt, from_slot).await;
    let (ownership, record) = claimed.map_err(Failed::Claim)?;
    if let Err(fault) = origin.start(room, record, Seat::Owner(ownership.clone())).await {
        // If this fails too, the key names this node until the watch claims it over.
        drop(origin.directory.release(ownership).await);
        return Err(Failed::Run(fault));
    }
    Ok(())
}

/// Claims a room in the directory.
async fn own(
    origin: &Origin,
    room: &RoomId,
    seen: Epoch,
    preempt: Option<Revision>,
    from_slot: Slot,
) -> Result<Ownership, Error> {
    let claimed = match origin.session() {
        Ok(session) => origin.directory.claim(&session, room, seen, preempt, from_slot).await,
        Err(error) => Err(error),
    };
    let outcome = match &claimed {
        Ok(_) => Outcome::Won,
        Err(Error::Lost { .. }) => Outcome::Lost,
        Err(_) => Outcome::Failed,
    };
    origin.metrics.claims(outcome).inc();
    let ownership = claimed?;
    origin.metrics.epoch_changes().inc();
    let (epoch, from_slot) = (ownership.epoch(), ownership.from_slot());
    tracing::info!(%room, %epoch, %from_slot, "the room is claimed");
    Ok(ownership)
}

/// The room's record as the directory has it now.
async fn recorded(origin: &Origin, room: &RoomId) -> Result<Record, Error> {
    let found = origin.directory.get(room).await?;
    let found = found.ok_or_else(|| Error::UnknownRoom { room: room.clone() })?;
    with_bans(origin, room, read(room, &found.record)?).await
}

/// A record with the bans that the directory has beside it.
async fn with_bans(origin: &Origin, room: &RoomId, record: Record) -> Result<Record, Error> {
    let parts = origin.directory.bans(room).await?;
    let bans = Bans::decode(parts.iter().map(|part| (part.number, &part.value)));
    Ok(record.with_bans(bans.map_err(|error| unreadable(room, &error))?))
}

fn read(room: &RoomId, record: &[u8]) -> Result<Record, Error> {
    Record::decode(record).map_err(|error| unreadable(room, &error))
}

fn unreadable(room: &RoomId, error: &InvalidRecord) -> Error {
    Error::Unreadable { key: room.to_string(), reason: error.to_string() }
}

/// Whether this node takes one more room.
fn check_place(origin: &Origin) -> Result<(), Fault> {
    if origin.is_draining() {
        return Err(Fault::new(Code::Draining, format!("{} is draining and takes no rooms", origin.me)));
    }
    if origin.is_barred() {
        let detail = format!("the clock of {} is too far from the cluster's; it takes no rooms", origin.me);
        return Err(Fault::new(Code::NodeUnavailable, detail));
    }
    if !origin.has_place() {
        let detail = format!("{} runs {} rooms and takes no more", origin.me, origin.rooms.owned());
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

/// Whether the former owner answers, and not another node at its address, that it runs the room.
pub(crate) async fn still_runs(origin: &Origin, node: &NodeId, link_addr: &str, room: &RoomId) -> bool {
    let answer = timeout(ASK, origin.control.probe(link_addr, Some(room))).await;
    matches!(answer, Ok(Ok(answer)) if answer.owns && answer.node == node.as_str())
}

/// Why a claim came to nothing.
enum Failed {
    Claim(Error),
    Run(Fault),
}

impl From<Failed> for Fault {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Claim(error) => error.into(),
            Failed::Run(fault) => fault,
        }
    }
}
