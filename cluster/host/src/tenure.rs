//! A room's owner staying the owner, and ceasing to be: it puts its key back when that went with a lease, hands the room to
//! another node, or gives way to one that claimed it.
//!
//! A claim takes effect at a slot. The old owner goes on up to it, tells the edges a little before it, and closes its feed
//! when the last of its slots is out. It never commits again once it knows of the claim.

use std::time::Duration;

use ractor::{ActorProcessingErr, RpcReplyPort};
use stentor_directory::{Error, Owner, Ownership};
use stentor_ids::{Code, Epoch, Fault, NodeId, SLOT_DURATION, Slot};
use stentor_link::{Closed, Peer};
use stentor_placement::Candidate;
use stentor_proto::v1;
use stentor_room::Lifecycle;
use stentor_telemetry::Call;

use crate::{
    actor::{Message, State},
    media::Outcome,
    origin::{moved, restarting},
    supervisor::release,
};

/// How far ahead a move takes effect, in slots: a second, in which the other node claims the room in the directory and
/// starts it. Nothing is heard of the wait.
const MOVE_AHEAD: u64 = 50;
/// Furthest ahead that an old owner goes on to a claim's first slot. A slot further away is of a clock gone wrong, and
/// waiting for it would leave the room with two owners.
const LONGEST_RETIREMENT: u64 = 250;
/// How long before the claim's first slot the edges bring their speakers to the new owner: what is under way to the old
/// one and held back there fills the slots up to it.
const RELOCATE_AHEAD: Duration = Duration::from_millis(60);

/// Who owns the room after this node.
#[derive(Debug, Clone)]
pub(crate) struct Successor {
    pub(crate) node: NodeId,
    pub(crate) epoch: Epoch,
    pub(crate) from_slot: Slot,
}

impl From<Owner> for Successor {
    fn from(owner: Owner) -> Self {
        Self { node: owner.node, epoch: owner.epoch, from_slot: owner.from_slot }
    }
}

/// Whom to answer about a hand-off.
pub(crate) type HandOffReply = RpcReplyPort<Result<v1::TakeOverResponse, Fault>>;

/// How far the room is on its way to another node.
pub(crate) enum Leaving {
    /// It stays.
    No,
    /// It goes when all commits are settled.
    Settling { to: NodeId, link_addr: String, reply: HandOffReply },
    /// The other node was asked to take it over.
    Asked { to: NodeId, reply: HandOffReply },
    /// It goes at the successor's first slot.
    Retiring(Successor),
}

impl State {
    /// Begins to hand the room to `to`, or to the best other origin.
    pub(crate) fn hand_off(&mut self, to: Option<&NodeId>, reply: HandOffReply) {
        match self.heir(to) {
            Ok((to, link_addr)) => {
                self.ledger.close(moved(&self.hosted.id, &to));
                self.leaving = Leaving::Settling { to, link_addr, reply };
                self.hand_off_when_settled();
            }
            Err(fault) => self.answer_hand_off(reply, Err(fault)),
        }
    }

    /// Asks the other node once nothing is left to commit; gives the plan up if the directory is away.
    pub(crate) fn hand_off_when_settled(&mut self) {
        match std::mem::replace(&mut self.leaving, Leaving::No) {
            Leaving::Settling { to, link_addr, reply } if self.ledger.is_settled() => {
                self.ask(&to, link_addr);
                self.leaving = Leaving::Asked { to, reply };
            }
            Leaving::Settling { reply, .. } if self.ledger.away().is_some() => {
                let fault = self.ledger.away().cloned();
                self.ledger.reopen();
                self.answer_hand_off(reply, Err(fault.unwrap_or_else(|| restarting(&self.hosted.id))));
            }
            other => self.leaving = other,
        }
    }

    /// The other node answered.
    pub(crate) fn taken_over(&mut self, outcome: Result<Successor, Fault>) {
        match (std::mem::replace(&mut self.leaving, Leaving::No), outcome) {
            (Leaving::Asked { reply, .. }, Ok(successor)) => {
                self.answer_hand_off(reply, Ok(response(&successor)));
                self.retire(successor);
            }
            (Leaving::Asked { reply, .. }, Err(fault)) => {
                self.ledger.reopen();
                self.answer_hand_off(reply, Err(fault));
            }
            // The view was faster than the answer.
            (other, _) => self.leaving = other,
        }
    }

    /// Another node owns the room.
    pub(crate) fn claimed(&mut self, successor: Successor) {
        match std::mem::replace(&mut self.leaving, Leaving::No) {
            Leaving::Retiring(known) if known.epoch >= successor.epoch => {
                self.leaving = Leaving::Retiring(known);
                return;
            }
            Leaving::Asked { to, reply } if to == successor.node => {
                self.answer_hand_off(reply, Ok(response(&successor)));
            }
            Leaving::Asked { reply, .. } | Leaving::Settling { reply, .. } => {
                self.answer_hand_off(reply, Err(moved(&self.hosted.id, &successor.node)));
            }
            Leaving::No | Leaving::Retiring(_) => {}
        }
        self.retire(successor);
    }

    /// It is time for the edges to go over.
    pub(crate) fn relocate(&self) {
        if let Leaving::Retiring(successor) = &self.leaving {
            self.hosted.edges.moved(&successor.node, successor.epoch);
        }
    }

    /// The media loop ended by itself: as planned, or as a panic of the room.
    pub(crate) fn media_ended(&mut self, outcome: Outcome) -> Result<(), ActorProcessingErr> {
        match (&self.leaving, outcome) {
            (Leaving::Retiring(successor), _) => {
                let successor = successor.clone();
                self.leave(&successor);
                Ok(())
            }
            (_, Outcome::Done) => Ok(()),
            (_, Outcome::Failed(error)) => Err(format!("the media loop failed: {error}").into()),
        }
    }

    /// The owner key is gone with its lease: puts it back, unless somebody claimed the room.
    pub(crate) fn reassert(&mut self) {
        self.unowned = true;
        let Ok(session) = self.origin.session() else { return };
        if self.reasserting || !matches!(self.leaving, Leaving::No) {
            return;
        }
        self.reasserting = true;
        let (origin, ownership) = (self.origin.clone(), self.hosted.ownership());
        let (record, myself) = (self.ledger.room().record().encode(), self.myself.clone());
        tokio::spawn(async move {
            let outcome = origin.directory.reassert(&session, &ownership, record).await;
            // The actor is gone: then the room is not ours to hold.
            drop(myself.cast(Message::Reasserted(outcome)));
        });
    }

    pub(crate) fn reasserted(&mut self, outcome: Result<Ownership, Error>) -> Result<(), ActorProcessingErr> {
        self.reasserting = false;
        match outcome {
            Ok(ownership) => {
                tracing::info!(room = %self.hosted.id, epoch = %ownership.epoch(), "the owner key is back");
                self.hosted.keep(|kept| kept.ownership = ownership);
                self.unowned = false;
                let steps = self.ledger.retry();
                self.carry_out(steps)?;
            }
            Err(Error::Fenced { owner: Some(owner), .. }) => self.claimed(owner.into()),
            Err(Error::Fenced { owner: None, .. }) => self.stop(),
            Err(error) => tracing::warn!(room = %self.hosted.id, %error, "the owner key is not back yet"),
        }
        Ok(())
    }

    /// The room is over.
    pub(crate) fn end(&mut self) {
        tracing::info!(room = %self.hosted.id, "the room has ended");
        self.hosted.edges.ended();
        self.close(Closed::Ended);
        let (origin, hosted) = (self.origin.clone(), self.hosted.clone());
        tokio::spawn(async move { release(&origin, &hosted).await });
    }

    /// The node stops, or nobody knows who is to own the room.
    pub(crate) fn stop(&mut self) {
        self.abandon(&restarting(&self.hosted.id));
        self.hosted.edges.look_elsewhere(&self.origin.me, self.hosted.epoch());
        self.close(Closed::Moved);
    }

    /// Commits nothing more, and goes on up to the successor's first slot.
    fn retire(&mut self, successor: Successor) {
        tracing::info!(
            room = %self.hosted.id, to = %successor.node, epoch = %successor.epoch,
            from_slot = %successor.from_slot, "the room goes to another node"
        );
        self.origin.metrics.epoch_changes().inc();
        self.abandon(&moved(&self.hosted.id, &successor.node));
        let next = self.hosted.newest().unwrap_or_default().next();
        let ahead = successor.from_slot.since(next);
        match &self.media {
            Some(media) if (1..=LONGEST_RETIREMENT).contains(&ahead) => {
                media.end_at(successor.from_slot);
                let wait = SLOT_DURATION * u32::try_from(ahead).unwrap_or(u32::MAX);
                self.myself.send_after(wait.saturating_sub(RELOCATE_AHEAD), || Message::Relocate);
                self.leaving = Leaving::Retiring(successor);
            }
            _ => self.leave(&successor),
        }
    }

    fn leave(&mut self, successor: &Successor) {
        self.hosted.edges.moved(&successor.node, successor.epoch);
        self.hosted.feed.fence(successor.epoch, successor.from_slot);
        self.close(Closed::Moved);
    }

    /// Stops the audio, lets everyone go, and stops the actor.
    fn close(&mut self, closed: Closed) {
        self.media = None;
        self.origin.rooms.remove(&self.hosted);
        self.hosted.close(closed);
        self.myself.stop(None);
    }

    fn abandon(&mut self, fault: &Fault) {
        for (to, outcome) in self.ledger.abandon(fault) {
            self.answer(to, outcome);
        }
    }

    /// Who is to take the room.
    fn heir(&self, to: Option<&NodeId>) -> Result<(NodeId, String), Fault> {
        let room = &self.hosted.id;
        if !matches!(self.leaving, Leaving::No) {
            return Err(Fault::new(Code::WrongState, format!("room {room} is being handed over already")));
        }
        if self.unowned {
            return Err(Error::LeaseGone.into());
        }
        if let Some(fault) = self.ledger.away() {
            return Err(fault.clone());
        }
        let peers = self.origin.topology.peers();
        let origins: Vec<_> = peers.iter().filter(|peer| peer.origin).map(candidate).collect();
        let ranked = stentor_placement::rank(room, &origins);
        let mut others = ranked.into_iter().filter(|node| *node != self.origin.me);
        let heir = match to {
            None => others.next().ok_or_else(|| {
                let detail = format!("no other origin can take room {room}; add one, or undrain one");
                Fault::new(Code::NodeUnavailable, detail)
            }),
            Some(to) => others.find(|node| node == to).ok_or_else(|| {
                let detail =
                    format!("{to} is not another origin that takes rooms; list the nodes to see which are");
                Fault::new(Code::UnknownNode, detail)
            }),
        }?;
        let link_addr = peers.iter().find(|peer| peer.id == heir).map(|peer| peer.link_addr.clone());
        Ok((heir, link_addr.unwrap_or_default()))
    }

    fn ask(&self, to: &NodeId, link_addr: String) {
        let (origin, hosted) = (self.origin.clone(), self.hosted.clone());
        let (ownership, to, myself) = (hosted.ownership(), to.clone(), self.myself.clone());
        let live = matches!(self.ledger.room().record().lifecycle(), Lifecycle::Live { .. });
        let from_slot = if live { hosted.newest().unwrap_or_default().plus(MOVE_AHEAD) } else { Slot(0) };
        let request = v1::TakeOverRequest {
            room: hosted.id.to_string(),
            epoch: ownership.epoch().0,
            owner_revision: i64::try_from(ownership.owner().revision.0).unwrap_or(i64::MAX),
            from_slot: from_slot.0,
        };
        tokio::spawn(async move {
            let outcome = match origin.control.take_over(&link_addr, request).await {
                Ok(taken) => {
                    let (epoch, from_slot) = (Epoch(taken.epoch), Slot(taken.from_slot));
                    Ok(Successor { node: to, epoch, from_slot })
                }
                // It may have claimed the room all the same.
                Err(fault) => match origin.directory.get(&hosted.id).await {
                    Ok(Some(room)) => match room.owner {
                        Some(owner) if owner.node != origin.me => Ok(owner.into()),
                        _ => Err(fault),
                    },
                    _ => Err(fault),
                },
            };
            // The actor is gone: then it has learned of the claim in another way.
            drop(myself.cast(Message::TakenOver(outcome)));
        });
    }

    fn answer_hand_off(&self, reply: HandOffReply, outcome: Result<v1::TakeOverResponse, Fault>) {
        let call = if outcome.is_ok() { Call::Ok } else { Call::Fault };
        self.origin.metrics.hand_offs(call).inc();
        // Whoever asked has gone.
        drop(reply.send(outcome));
    }
}

fn candidate(peer: &Peer) -> Candidate<'_> {
    Candidate { id: &peer.id, draining: peer.draining }
}

fn response(successor: &Successor) -> v1::TakeOverResponse {
    v1::TakeOverResponse {
        node: successor.node.to_string(),
        epoch: successor.epoch.0,
        from_slot: successor.from_slot.0,
    }
}
