//! An owner that hands its room to another node: the heir becomes the room's mirror if it is not, gets ready, and takes over
//! at a slot that the owner names. Nothing is heard of it.

use std::time::Duration;

use ractor::RpcReplyPort;
use stentor_directory::Error;
use stentor_ids::{Code, Epoch, Fault, NodeId, Slot};
use stentor_pace::Time;
use stentor_placement::{rank_apart, readers};
use stentor_proto::v1;
use stentor_room::Lifecycle;
use stentor_telemetry::Call;

use crate::{
    actor::{Message, State},
    origin::{moved, restarting},
    tenure::Successor,
    topology::candidates,
};

/// How far ahead a hand-over takes effect, in slots: a second, in which the other node claims the room in the directory,
/// also where that is slow for a moment. Nothing is heard of the wait.
const MOVE_AHEAD: u64 = 50;
/// How long an heir may take until it can go on without a replay that lacks something. Then it is asked all the same.
const PREPARE_WITHIN: Duration = Duration::from_millis(2500);
/// How often it is looked whether it can.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Whom to answer about a hand-off.
pub(crate) type HandOffReply = RpcReplyPort<Result<v1::TakeOverResponse, Fault>>;

/// Who is to have the room, and who asked for it.
pub(crate) struct Heir {
    pub(crate) to: NodeId,
    pub(crate) link_addr: String,
    pub(crate) reply: HandOffReply,
}

/// How far the room is on its way to another node.
pub(crate) enum Leaving {
    /// It stays.
    No,
    /// It goes when all commits are settled.
    Settling(Heir),
    /// It goes when the heir is ready, or this time has come.
    Preparing(Heir, Time),
    /// The heir was asked to take it over.
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
                self.leaving = Leaving::Settling(Heir { to, link_addr, reply });
                self.hand_off_when_settled();
            }
            Err(fault) => self.answer_hand_off(reply, Err(fault)),
        }
    }

    /// Asks the other node once nothing is left to commit; gives the plan up if the directory is away.
    pub(crate) fn hand_off_when_settled(&mut self) {
        match std::mem::replace(&mut self.leaving, Leaving::No) {
            Leaving::Settling(heir) if self.ledger.is_settled() => self.prepare(heir),
            Leaving::Settling(Heir { reply, .. }) if self.ledger.away().is_some() => {
                let fault = self.ledger.away().cloned();
                self.stay(reply, fault.unwrap_or_else(|| restarting(&self.hosted.id)));
            }
            other => self.leaving = other,
        }
    }

    /// The heir may be ready by now.
    pub(crate) fn look_at_heir(&mut self) {
        let (heir, until) = match std::mem::replace(&mut self.leaving, Leaving::No) {
            Leaving::Preparing(heir, until) => (heir, until),
            other => {
                self.leaving = other;
                return;
            }
        };
        let now = self.origin.timebase.now();
        let mirrors = self.mirror.as_ref().is_some_and(|mirror| mirror.node == heir.to);
        let ready = mirrors && (!self.is_live() || self.hosted.peer.is_ready(Some(&heir.to), now));
        if ready || (mirrors && now >= until) {
            self.ask(heir);
        } else if now >= until {
            let detail = format!("{} has not become the room's mirror in time", heir.to);
            self.stay(heir.reply, Fault::new(Code::NodeUnavailable, detail));
        } else {
            self.leaving = Leaving::Preparing(heir, until);
            self.myself.send_after(LOOK_AGAIN, || Message::LookAtHeir);
        }
    }

    /// The other node answered.
    pub(crate) fn taken_over(&mut self, outcome: Result<Successor, Fault>) {
        match (std::mem::replace(&mut self.leaving, Leaving::No), outcome) {
            (Leaving::Asked { reply, .. }, Ok(successor)) => {
                self.answer_hand_off(reply, Ok(response(&successor)));
                self.retire(successor);
            }
            (Leaving::Asked { reply, .. }, Err(fault)) => self.stay(reply, fault),
            // The view was faster than the answer.
            (other, _) => self.leaving = other,
        }
    }

    /// The heir does not mirror the room.
    pub(crate) fn heir_refused(&mut self, fault: Fault) {
        match std::mem::replace(&mut self.leaving, Leaving::No) {
            Leaving::Preparing(heir, _) => self.stay(heir.reply, fault),
            other => self.leaving = other,
        }
    }

    pub(crate) fn answer_hand_off(&self, reply: HandOffReply, outcome: Result<v1::TakeOverResponse, Fault>) {
        let call = if outcome.is_ok() { Call::Ok } else { Call::Fault };
        self.origin.metrics.hand_offs(call).inc();
        // Whoever asked has gone.
        drop(reply.send(outcome));
    }

    /// Makes the heir the room's mirror, if it is not.
    fn prepare(&mut self, heir: Heir) {
        if self.mirror.as_ref().is_none_or(|mirror| mirror.node != heir.to) {
            let key =
                self.origin.view.snapshot().rooms.get(&self.hosted.id).and_then(|room| room.mirror.clone());
            let request = v1::MirrorRequest {
                room: self.hosted.id.to_string(),
                epoch: self.hosted.epoch().0,
                mirror_revision: key.map_or(0, |key| i64::try_from(key.revision.0).unwrap_or(i64::MAX)),
            };
            let (origin, link_addr, myself) =
                (self.origin.clone(), heir.link_addr.clone(), self.myself.clone());
            tokio::spawn(async move {
                if let Err(fault) = origin.control.mirror(&link_addr, request).await {
                    // The actor is gone: then nobody waits for it.
                    drop(myself.cast(Message::HeirRefused(fault)));
                }
            });
        }
        self.leaving = Leaving::Preparing(heir, self.origin.timebase.now() + PREPARE_WITHIN);
        self.look_at_heir();
    }

    fn stay(&mut self, reply: HandOffReply, fault: Fault) {
        self.ledger.reopen();
        self.answer_hand_off(reply, Err(fault));
    }

    fn is_live(&self) -> bool {
        matches!(self.ledger.room().record().lifecycle(), Lifecycle::Live { .. })
    }

    /// Who is to take the room: by preference its mirror, which needs no time.
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
        let me = peers.iter().find(|peer| peer.id == self.origin.me);
        let zone = me.map(|me| me.labels.zone.clone()).unwrap_or_default();
        let schema = self.ledger.room().record().schema();
        let ranked = rank_apart(room, &readers(&candidates(&peers), schema), &zone);
        let mirror = self.mirror.as_ref().map(|mirror| &mirror.node);
        let mut others: Vec<_> = ranked.into_iter().filter(|node| *node != self.origin.me).collect();
        others.sort_by_key(|node| mirror != Some(node));
        let heir = match to {
            None => others.into_iter().next().ok_or_else(|| {
                let detail = format!("no other origin can take room {room}; add one, or undrain one");
                Fault::new(Code::NodeUnavailable, detail)
            }),
            Some(to) => others.into_iter().find(|node| node == to).ok_or_else(|| {
                let detail = format!(
                    "{to} is not another origin that takes this room; list the nodes to see which take rooms"
                );
                Fault::new(Code::UnknownNode, detail)
            }),
        }?;
        let link_addr = peers.iter().find(|peer| peer.id == heir).map(|peer| peer.link_addr.clone());
        Ok((heir, link_addr.unwrap_or_default()))
    }

    fn ask(&mut self, heir: Heir) {
        let Heir { to, link_addr, reply } = heir;
        let (origin, hosted) = (self.origin.clone(), self.hosted.clone());
        let Some(ownership) = hosted.ownership() else { return self.stay(reply, restarting(&hosted.id)) };
        self.leaving = Leaving::Asked { to: to.clone(), reply };
        let myself = self.myself.clone();
        let from_slot =
            if self.is_live() { hosted.newest().unwrap_or_default().plus(MOVE_AHEAD) } else { Slot(0) };
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
}

pub(crate) fn response(successor: &Successor) -> v1::TakeOverResponse {
    v1::TakeOverResponse {
        node: successor.node.to_string(),
        epoch: successor.epoch.0,
        from_slot: successor.from_slot.0,
    }
}
