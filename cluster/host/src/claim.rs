//! One claim of one office of one room that does not run here, carried out: what follows from what is
//! `stentor-ownership`'s to say ([`Candidacy`]).

use std::{sync::Arc, time::Duration};

use stentor_directory::{Error, Revision, Room};
use stentor_ids::{Code, Epoch, Fault, NodeId};
use stentor_ownership::{
    Came, Candidacy, Claim, Outcome, Step,
    refusal::{SOON, restarting},
};
use stentor_room::Record;

use crate::{
    calls::{self, Says},
    driver::{self, Standing},
    rooms::Rooms,
};

/// An office to claim.
pub(crate) struct Target {
    pub(crate) room: Arc<Room>,
    /// The key to replace.
    pub(crate) preempt: Option<Revision>,
    pub(crate) office: Office,
}

/// Which.
pub(crate) enum Office {
    Owner {
        /// How long the room has been without an owner.
        empty: Duration,
        /// Its former owner and where its links were.
        former: Option<(NodeId, String)>,
    },
    Mirror,
}

/// Why an office is not this node's.
pub(crate) struct NotWon {
    /// When to look at it again.
    pub(crate) outcome: Outcome,
    /// What whoever asked for it is told.
    pub(crate) fault: Fault,
}

/// Claims an office, and runs the room in it.
///
/// # Errors
/// What kept this node from it: an owner that it does not reach, or one that still runs the room; what the directory answers; why
/// the room does not run here.
pub(crate) async fn stand(rooms: &Rooms, target: Target) -> Result<(), NotWon> {
    let room = &target.room.id;
    let mut candidacy = match &target.office {
        Office::Owner { empty, former } => Candidacy::of_owner(*empty, former.is_some()),
        Office::Mirror => Candidacy::of_mirror(),
    };
    let (mut won, mut why) = (None, None);
    loop {
        let came = match candidacy.step() {
            Step::AskFormer => ask_former(rooms, &target).await,
            Step::AskOwner => {
                let came = ask_owner(rooms, &target.room).await;
                if came != (Came::Answered { runs: true }) {
                    let detail = format!("{} does not reach the owner of room {room}", rooms.origin.me);
                    why = Some(Fault::new(Code::NodeUnavailable, detail).retry_after(SOON));
                }
                came
            }
            Step::Claim { ahead } => {
                let claimed = match target.office {
                    Office::Owner { .. } => own(rooms, &target, ahead).await,
                    Office::Mirror => mirror(rooms, &target.room, target.preempt).await,
                };
                match claimed {
                    Ok(claimed) => {
                        won = Some(claimed);
                        Came::Claimed
                    }
                    Err(failed) => {
                        let came = came_of(&target, &failed);
                        why = Some(failed.into());
                        came
                    }
                }
            }
            Step::Run => match won.clone() {
                Some((standing, record)) => match rooms.start(room, record, standing).await {
                    Ok(()) => Came::Runs,
                    Err(fault) => {
                        tracing::warn!(%room, %fault, "the room could not be run");
                        why = Some(fault);
                        Came::Failed
                    }
                },
                None => Came::Failed,
            },
            Step::Withdraw(_) => {
                if let Some((standing, _)) = won.take() {
                    // If this fails too, the key names this node until the watch claims it over.
                    calls::release(&rooms.origin, room, standing).await;
                }
                Came::Failed
            }
            Step::Over(Outcome::Won) => return Ok(()),
            Step::Over(outcome) => {
                let fault = why.unwrap_or_else(|| restarting(room));
                return Err(NotWon { outcome, fault });
            }
        };
        candidacy.next(came);
    }
}

async fn ask_former(rooms: &Rooms, target: &Target) -> Came {
    let Office::Owner { former: Some((node, link_addr)), .. } = &target.office else { return Came::Failed };
    let room = &target.room.id;
    let runs = calls::runs(&rooms.origin, node, link_addr, room).await == Says::Runs;
    if runs {
        tracing::info!(%room, %node, "the room has lost its owner key, but its owner still runs it");
    }
    Came::Answered { runs }
}

async fn ask_owner(rooms: &Rooms, room: &Room) -> Came {
    let origin = &rooms.origin;
    let Some(owner) = &room.owner else { return Came::Failed };
    let Some(place) = origin.place_of(&owner.node) else { return Came::Failed };
    let says = calls::runs(origin, &owner.node, &place.link_addr, &room.id).await;
    Came::Answered { runs: says == Says::Runs }
}

/// What a claim that failed came to.
fn came_of(target: &Target, failed: &Failed) -> Came {
    let room = &target.room.id;
    match failed {
        Failed::Claim(Error::Lost { owner, .. }) => {
            tracing::info!(%room, node = %owner.node, epoch = %owner.epoch, "another node was faster");
            Came::Faster
        }
        Failed::Claim(error) => {
            tracing::warn!(%room, %error, "the room could not be claimed");
            Came::Failed
        }
        Failed::Room(fault) => {
            tracing::warn!(%room, %fault, "the room could not be claimed");
            Came::Failed
        }
    }
}

async fn own(rooms: &Rooms, target: &Target, ahead: u64) -> Result<(Standing, Record), Failed> {
    let room = &target.room;
    // By the record that the view shows: the slot is a part of the claim, and the directory's own record is read only after it.
    let record = calls::read(&room.id, &room.record).map_err(Failed::Claim)?;
    let from_slot = record.lifecycle().resume_slot(stentor_clock::wall(), None, ahead).unwrap_or_default();
    let claim = Claim { seen: Epoch(0), preempt: target.preempt, from_slot };
    let claimed = calls::claim(&rooms.origin, &room.id, claim).await;
    let (right, record) = claimed.map_err(Failed::Claim)?;
    Ok((Standing::Owner(driver::owned(right)), record))
}

/// Claims the mirror's office.
async fn mirror(rooms: &Rooms, room: &Room, preempt: Option<Revision>) -> Result<(Standing, Record), Failed> {
    let owner = room.owner.as_ref().ok_or_else(|| Failed::Room(restarting(&room.id)))?;
    // Before the key is taken: a node that cannot read the room would only have to give it up again.
    let record = calls::read(&room.id, &room.record)?;
    let record = calls::with_bans(&rooms.origin, &room.id, record).await?;
    let session = rooms.origin.session()?;
    let place = rooms.origin.directory.mirror(&session, &room.id, preempt).await?;
    let standing = Standing::Mirror { held: driver::mirrored(place), owner: driver::owner_key(owner) };
    Ok((standing, record))
}

/// Why a claim came to nothing.
enum Failed {
    Claim(Error),
    Room(Fault),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Claim(error)
    }
}

impl From<Failed> for Fault {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Claim(error) => error.into(),
            Failed::Room(fault) => fault,
        }
    }
}
