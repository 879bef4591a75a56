//! What a node asks of the directory and of other nodes about who owns a room. What follows from the answers is decided in
//! `stentor-ownership`.

use std::time::Duration;

use futures::future::join_all;
use stentor_directory::{Error, Ownership, Revision};
use stentor_ids::{Epoch, NodeId, RoomId, Slot};
use stentor_ownership::{
    Answer, Claim, MirrorHeld, NotBack, OwnerHeld, OwnerKey, Reach,
    timing::{ASK, RELAYS_ASKED},
};
use stentor_placement::carriers;
use stentor_room::{Bans, InvalidRecord, Record};
use stentor_telemetry::Claim as Outcome;
use tokio::time::timeout;

use crate::{
    driver::{self, RoomDriver, Standing, mirror_key, owner_key},
    origin::Origin,
    topology::relays,
};

/// How often a key is tried to be given up; after that it lasts as long as the lease.
const RELEASE_TRIES: usize = 3;

/// What came of asking a node whether it runs a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// It does.
    Runs,
    /// It does not, or has ended: another one is at its address, or nobody.
    Gone,
    /// Nothing, which may be the link's fault.
    Nothing,
}

/// Asks a node whether it runs a room.
pub(crate) async fn runs(origin: &Origin, node: &NodeId, link_addr: &str, room: &RoomId) -> Says {
    let asked = timeout(ASK, origin.control.probe(link_addr, Some(room)));
    // A connection that was there before tells only that it broke; a new one is refused by the machine itself.
    let (answer, refused) = tokio::join!(asked, timeout(ASK, origin.pool.refuses(link_addr)));
    match answer {
        Ok(Ok(answer)) if answer.owns && answer.node == node.as_str() => Says::Runs,
        Ok(Ok(_)) => Says::Gone,
        _ if refused == Ok(true) => Says::Gone,
        _ => Says::Nothing,
    }
}

/// Asks the owner whether it runs the room, and relays whether they hear it.
pub(crate) async fn ask(origin: &Origin, room: &RoomId, owner: &NodeId) -> Answer {
    let peers = origin.topology.peers();
    let edges = peers.iter().filter(|peer| peer.edge).count();
    let asked: Vec<_> = carriers(room, &relays(&peers), edges).into_iter().take(RELAYS_ASKED).collect();
    let at = |node: &NodeId| origin.place_of(node).map(|place| place.link_addr);
    let says = async {
        match at(owner) {
            Some(link_addr) => runs(origin, owner, &link_addr, room).await,
            None => Says::Nothing,
        }
    };
    let heard = join_all(asked.iter().filter_map(at).map(|relay| heard(origin, relay, room, owner)));
    let (says, heard) = tokio::join!(says, heard);
    let (runs, gone) = (says == Says::Runs, says == Says::Gone);
    let answer = Answer { runs, gone, heard: heard.into_iter().flatten().min() };
    tracing::info!(%room, %owner, ?answer, "the room's owner is not heard; others were asked");
    answer
}

/// How long ago a relay got a slot from the owner itself.
async fn heard(origin: &Origin, relay: String, room: &RoomId, owner: &NodeId) -> Option<Duration> {
    let answer = timeout(ASK, origin.control.heard(&relay, Some(room), Some(owner))).await;
    let ago = answer.ok()?.ok()?.heard_ms_ago?;
    Some(Duration::from_millis(ago.into()))
}

/// Claims a room and reads its record, which nobody else writes any more.
pub(crate) async fn claim(
    origin: &Origin,
    room: &RoomId,
    claim: Claim,
) -> Result<(Ownership, Record), Error> {
    // Not after the claim: a node that cannot run the room would only take it from its owner and let it go again.
    if let Some(known) = origin.view.snapshot().rooms.get(room) {
        read(room, &known.record)?;
    }
    let Claim { seen, preempt, from_slot } = claim;
    let ownership = own(origin, room, seen, preempt, from_slot).await?;
    match recorded(origin, room).await {
        Ok(record) => Ok((ownership, record)),
        Err(error) => {
            // Nobody claims it over: this node cannot read the record, and others see an owner.
            release(origin, room, Standing::Owner(driver::owned(ownership))).await;
            Err(error)
        }
    }
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

/// Writes this node's bid for a room whose owner of this epoch is contested.
pub(crate) async fn bid(origin: &Origin, room: &RoomId, epoch: Epoch, reach: Reach) -> Option<Revision> {
    let Reach { listeners, children } = reach;
    let made = match origin.session() {
        Ok(session) => origin.directory.bid(&session, room, epoch, (listeners, children)).await,
        Err(error) => Err(error),
    };
    match &made {
        Ok(_) => {
            tracing::info!(%room, %epoch, listeners, children, "the room's owner is contested; this node has bid")
        }
        Err(error) => {
            tracing::warn!(%room, %epoch, %error, "the room's owner is contested; this node could not bid")
        }
    }
    made.ok()
}

/// Withdraws this node's bid for a room. One that stays goes with the lease, and with a new bid.
pub(crate) async fn withdraw_bid(origin: &Origin, room: &RoomId) {
    for _ in 0..RELEASE_TRIES {
        match origin.directory.withdraw_bid(room, &origin.me).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%room, %error, "the bid could not be withdrawn yet"),
        }
    }
}

/// The room's record as the directory has it now.
async fn recorded(origin: &Origin, room: &RoomId) -> Result<Record, Error> {
    let found = origin.directory.get(room).await?;
    let found = found.ok_or_else(|| Error::UnknownRoom { room: room.clone() })?;
    with_bans(origin, room, read(room, &found.record)?).await
}

/// A record with the bans that the directory has beside it.
pub(crate) async fn with_bans(origin: &Origin, room: &RoomId, record: Record) -> Result<Record, Error> {
    let parts = origin.directory.bans(room).await?;
    let bans = Bans::decode(parts.iter().map(|part| (part.number, &part.value)));
    Ok(record.with_bans(bans.map_err(|error| unreadable(room, &error))?))
}

/// The owner key of a room as the directory has it; `None` also if it does not say.
pub(crate) async fn owner(origin: &Origin, room: &RoomId) -> Option<OwnerKey> {
    let found = origin.directory.get(room).await.ok()??;
    found.owner.as_ref().map(owner_key)
}

/// Puts an owner key back, and the record with it.
pub(crate) async fn put_owner_back(
    origin: &Origin,
    right: &Ownership,
    record: Vec<u8>,
) -> Result<OwnerHeld<RoomDriver>, NotBack<OwnerKey>> {
    let back = match origin.session() {
        Ok(session) => origin.directory.reassert(&session, right, record).await,
        Err(error) => Err(error),
    };
    match back {
        Ok(back) => {
            tracing::info!(room = %back.room(), epoch = %back.epoch(), "the owner key is back");
            Ok(driver::owned(back))
        }
        Err(Error::Fenced { owner: Some(owner), .. }) => Err(NotBack::Other(owner_key(&owner))),
        Err(Error::Fenced { owner: None, .. }) => Err(NotBack::Superseded),
        Err(error) => {
            tracing::warn!(room = %right.room(), %error, "the owner key is not back yet");
            Err(NotBack::NotYet)
        }
    }
}

/// Puts a mirror key back, in place of this node's own on a former lease.
pub(crate) async fn put_mirror_back(
    origin: &Origin,
    room: &RoomId,
    own: Option<Revision>,
) -> Result<MirrorHeld<RoomDriver>, NotBack<stentor_ownership::MirrorKey>> {
    let back = match origin.session() {
        Ok(session) => origin.directory.mirror(&session, room, own).await,
        Err(error) => Err(error),
    };
    match back {
        Ok(back) => Ok(driver::mirrored(back)),
        Err(Error::Mirrored { mirror, .. }) => Err(NotBack::Other(mirror_key(&mirror))),
        Err(Error::OwnMirror { .. }) => Err(NotBack::OwnsIt),
        // The owner puts the room itself back before.
        Err(error @ (Error::Unavailable { .. } | Error::LeaseGone | Error::UnknownRoom { .. })) => {
            tracing::info!(%room, %error, "the mirror key is not back yet");
            Err(NotBack::NotYet)
        }
        Err(error) => {
            tracing::warn!(%room, %error, "the mirror key cannot be put back");
            Err(NotBack::Superseded)
        }
    }
}

/// Gives up the key of this node's office.
pub(crate) async fn release(origin: &Origin, room: &RoomId, standing: Standing) {
    for _ in 0..RELEASE_TRIES {
        let released = match &standing {
            Standing::Owner(held) => origin.directory.release(held.right.clone()).await,
            Standing::Mirror { held, .. } => origin.directory.release_mirror(held.right.clone()).await,
        };
        match released {
            Err(error @ Error::Unavailable { .. }) => {
                tracing::warn!(%room, %error, "the room could not be released yet");
            }
            Err(error) => return tracing::warn!(%room, %error, "the room could not be released"),
            Ok(()) => return,
        }
    }
}

pub(crate) fn read(room: &RoomId, record: &[u8]) -> Result<Record, Error> {
    Record::decode(record).map_err(|error| unreadable(room, &error))
}

fn unreadable(room: &RoomId, error: &InvalidRecord) -> Error {
    Error::Unreadable { key: room.to_string(), reason: error.to_string() }
}
