//! One claim of one room: ask the former owner, claim it in the directory, run it. When a take-over names the slot and the
//! key, the same without asking.

use std::{sync::Arc, time::Duration};

use stentor_directory::{Error, Ownership, Revision, Room};
use stentor_ids::{Code, Epoch, Fault, NodeId, RoomId, Slot};
use stentor_proto::v1;
use stentor_room::Record;
use stentor_telemetry::Claim as Outcome;
use tokio::time::timeout;

use crate::{
    origin::{Origin, restarting},
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
/// How soon to claim again when the directory did not answer.
const TRY_AGAIN: Duration = Duration::from_millis(500);

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
    if target.vacant < PATIENCE
        && let Some((node, link_addr)) = &target.former
        && still_runs(origin, link_addr, &room.id).await
    {
        tracing::info!(room = %room.id, %node, "the room has lost its owner key, but its owner still runs it");
        return Claimed::NotYet(ASK_AGAIN);
    }
    let Ok(record) = Record::decode(&room.record) else { return Claimed::NotYet(PATIENCE) };
    let from_slot = record.lifecycle().resume_slot(wall(), None, AHEAD).unwrap_or_default();
    match own(origin, &room.id, Epoch(0), target.preempt, from_slot).await {
        Ok(_) => Claimed::Won,
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

/// Takes a room over from its owner, at the slot that it named.
///
/// # Errors
/// `Draining` or `Overloaded` if this node takes no rooms; else what the directory answers.
pub(crate) async fn take_over(
    origin: &Arc<Origin>,
    room: &RoomId,
    request: &v1::TakeOverRequest,
) -> Result<v1::TakeOverResponse, Fault> {
    let draining = origin.view.snapshot().nodes.get(&origin.me).is_some_and(|node| node.draining);
    if draining {
        return Err(Fault::new(Code::Draining, format!("{} is draining and takes no rooms", origin.me)));
    }
    if !origin.has_place() {
        let detail = format!("{} runs {} rooms and takes no more", origin.me, origin.rooms.len());
        return Err(Fault::new(Code::Overloaded, detail));
    }
    let revision = u64::try_from(request.owner_revision).map_err(|_| {
        Fault::new(Code::InvalidArgument, format!("owner_revision is {}", request.owner_revision))
    })?;
    // The view may show the new key before the room runs, and the watch must not take it for one that was left behind.
    let _claiming = origin.claiming(room).ok_or_else(|| restarting(room))?;
    let (seen, from_slot) = (Epoch(request.epoch), Slot(request.from_slot));
    let ownership = own(origin, room, seen, Some(Revision(revision)), from_slot).await?;
    Ok(v1::TakeOverResponse {
        node: origin.me.to_string(),
        epoch: ownership.epoch().0,
        from_slot: ownership.from_slot().0,
    })
}

/// Claims a room and runs it.
async fn own(
    origin: &Origin,
    room: &RoomId,
    seen: Epoch,
    preempt: Option<Revision>,
    from_slot: Slot,
) -> Result<Ownership, Failed> {
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
    let ownership = claimed.map_err(Failed::Claim)?;
    origin.metrics.epoch_changes().inc();
    let (epoch, from_slot) = (ownership.epoch(), ownership.from_slot());
    tracing::info!(%room, %epoch, %from_slot, "the room is claimed");
    match run(origin, ownership.clone()).await {
        Ok(()) => Ok(ownership),
        Err(fault) => {
            // If this fails too, the key names this node until the watch claims it over.
            drop(origin.directory.release(ownership).await);
            Err(Failed::Run(fault))
        }
    }
}

/// Runs a claimed room from its record, which nobody else writes any more.
async fn run(origin: &Origin, ownership: Ownership) -> Result<(), Fault> {
    let room = ownership.room().clone();
    let found = origin.directory.get(&room).await?;
    let found = found.ok_or_else(|| Fault::new(Code::UnknownRoom, format!("room {room} is gone")))?;
    let record = Record::decode(&found.record)
        .map_err(|error| Fault::new(Code::Internal, format!("room {room}: {error}")))?;
    origin.start(record, ownership).await.map(drop)
}

/// Whether the former owner answers that it runs the room.
async fn still_runs(origin: &Origin, link_addr: &str, room: &RoomId) -> bool {
    let answer = timeout(ASK, origin.control.probe(link_addr, Some(room))).await;
    matches!(answer, Ok(Ok(answer)) if answer.owns)
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
