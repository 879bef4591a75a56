//! Being a room's mirror, and becoming its owner: by plan, when the owner names the slot, or because the owner has failed.
//! The audio goes on meanwhile as the two media loops settle it between them; here it is about control.

use std::time::Duration;

use ractor::RpcReplyPort;
use stentor_directory::{Error, MirrorKey, Owner, Ownership};
use stentor_ids::{Epoch, Lineage};
use stentor_link::{Closed, Mirror};
use stentor_proto::{
    span,
    v1::{self, happening::What},
};
use stentor_relay::Side;
use stentor_room::{Ledger, Lifecycle, Record, Room};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    actor::{Message, State},
    detector::watch_owner,
    heir::Leaving,
    hosted::Seat,
    media::{Begin, Term},
    origin::mirrored_only,
    status,
    supervisor::release,
    timebase::wall,
};

/// Slots after which a mirror that leads gives the audio back before it leaves.
const ASIDE_AHEAD: u64 = 5;

/// A mirror's claim of its room.
pub(crate) struct Promotion {
    pub(crate) ownership: Ownership,
    pub(crate) record: Record,
    /// How long after the first sign of the owner's failure; `None` if the owner asked for it.
    pub(crate) took: Option<Duration>,
}

impl State {
    /// Begins to mirror the room of `owner`.
    pub(crate) fn stand_by(&mut self, owner: &Owner) {
        self.ledger.close(mirrored_only(&self.hosted.id, &owner.node));
        let kept = self.hosted.kept();
        let recorded = status::recorded(self.hosted.id.as_str(), &kept.record, Some(owner));
        if self.hosted.feed.status().is_none() {
            let mirror = self.origin.me.to_string();
            self.hosted.feed.set_status(std::sync::Arc::new(v1::RoomStatus { mirror, ..recorded }));
            self.hosted.feed.set_all_banned(Epoch(0), status::banned(&kept.record));
        }
        self.start_media(None);
        let detector = watch_owner(self.origin.clone(), self.hosted.clone(), self.myself.clone());
        self.detector = Some(AbortOnDropHandle::new(tokio::spawn(detector)));
        tracing::info!(room = %self.hosted.id, owner = %owner.node, epoch = %owner.epoch, "mirroring");
    }

    /// Where the room's other origin is reached.
    pub(crate) fn other_origin(&self) -> Option<Mirror> {
        match self.hosted.seat() {
            Seat::Owner(_) => self.mirror.clone(),
            Seat::Mirror { owner, .. } => self.origin.place_of(&owner.node),
        }
    }

    /// Who mirrors the room, to an owner that starts.
    pub(crate) fn look_for_mirror(&mut self) {
        let mirror = self.origin.topology.mirror(&self.hosted.id);
        // A view from before the claim shows this node, if it mirrored the room until then.
        self.mirror = mirror.filter(|mirror| mirror.node != self.origin.me);
    }

    /// The room has another mirror, or none.
    pub(crate) fn mirrored(&mut self, mirror: Option<Mirror>) {
        if !self.hosted.is_owned() || self.mirror == mirror {
            return;
        }
        self.mirror = mirror;
        if let Some(media) = &self.media {
            media.follow(self.mirror.clone());
        }
        // Before the edges that are there are told, and not when a status is due: one that comes meanwhile reads the status.
        self.tell_status();
        let node = self.mirror.as_ref().map(|mirror| mirror.node.clone());
        self.hosted.edges.mirror_changed(&node);
        self.peer_changed();
        if matches!(self.leaving, Leaving::Preparing(..)) {
            self.look_at_heir();
        }
    }

    /// The other origin stands otherwise than before.
    pub(crate) fn peer_changed(&mut self) {
        if !self.hosted.is_owned() {
            return;
        }
        let mirror = self.mirror.as_ref().map(|mirror| &mirror.node);
        let ready = self.hosted.peer.is_ready(mirror, self.origin.timebase.now());
        let change = v1::MirrorChange { mirror: mirror.map(ToString::to_string).unwrap_or_default(), ready };
        self.origin.journal.tell(Some(&self.hosted.id), What::Mirror(change));
        self.status_changed();
    }

    /// The room has another owner, or the same under another epoch.
    pub(crate) fn owned(&mut self, owner: Owner) {
        let Seat::Mirror { key, owner: known } = self.hosted.seat() else { return };
        if known == owner || owner.epoch < known.epoch {
            return;
        }
        let (epoch, from, node) = (owner.epoch, owner.from_slot, owner.node.clone());
        let rises = epoch > known.epoch;
        self.hosted.keep(|kept| kept.seat = Seat::Mirror { key, owner });
        if let Some(media) = &self.media {
            media.follow(self.origin.place_of(&node));
            if rises {
                self.hosted.feed.fence(epoch, from);
                media.term(Term { epoch, from, side: Side::Mirror });
            }
        }
    }

    /// Another node mirrors the room.
    pub(crate) fn replaced(&mut self) {
        if !self.hosted.is_owned() {
            tracing::info!(room = %self.hosted.id, "another node mirrors the room");
            self.close(Closed::Moved);
        }
    }

    /// The key is gone with its lease: puts it back, unless another node mirrors the room by now.
    pub(crate) fn mirror_again(&mut self) {
        self.unowned = true;
        if self.reasserting {
            return;
        }
        let Ok(session) = self.origin.session() else { return };
        self.reasserting = true;
        let (origin, room, myself) = (self.origin.clone(), self.hosted.id.clone(), self.myself.clone());
        // A key of this node's own on a former lease is replaced.
        let shown = self.origin.view.snapshot().mirror(&room).cloned();
        let own = shown.filter(|mirror| mirror.node == self.origin.me).map(|mirror| mirror.revision);
        tokio::spawn(async move {
            let outcome = origin.directory.mirror(&session, &room, own).await;
            // The actor is gone: then the key is left to the watch.
            drop(myself.cast(Message::MirrorsAgain(outcome)));
        });
    }

    /// The mirror key was put back, or not.
    pub(crate) fn mirrors_again(&mut self, outcome: Result<MirrorKey, Error>) {
        self.reasserting = false;
        let Seat::Mirror { owner, .. } = self.hosted.seat() else { return };
        match outcome {
            Ok(key) => {
                self.unowned = false;
                self.hosted.keep(|kept| kept.seat = Seat::Mirror { key, owner });
            }
            // The owner puts the room itself back before.
            Err(error @ (Error::Unavailable { .. } | Error::LeaseGone | Error::UnknownRoom { .. })) => {
                tracing::info!(room = %self.hosted.id, %error, "the mirror key is not back yet");
            }
            // The view shows it soon, and the next try names it.
            Err(Error::Mirrored { mirror, .. }) if mirror.node == self.origin.me => {}
            // This node has claimed the room and comes to own it.
            Err(Error::OwnMirror { .. }) => self.unowned = false,
            Err(_) => self.replaced(),
        }
    }

    /// This node has claimed the room that it mirrored.
    pub(crate) fn promoted(&mut self, promotion: Promotion) {
        let Promotion { ownership, record, took } = promotion;
        let Seat::Mirror { owner: former, .. } = self.hosted.seat() else { return };
        let (epoch, from) = (ownership.epoch(), ownership.from_slot());
        self.hosted.keep(|kept| {
            kept.seat = Seat::Owner(ownership);
            kept.record = record.clone();
            kept.taken_over = took.map(|_| wall()).or(kept.taken_over);
        });
        (self.detector, self.unowned) = (None, false);
        self.look_for_mirror();
        self.ledger = Ledger::new(Room::new(record.clone()), epoch);
        for reply in self.aside.take().into_iter().flatten() {
            // It is no mirror any more; whoever asked has gone, or hands the room over next.
            drop(reply.send(()));
        }
        if let Lifecycle::Ended { .. } = record.lifecycle() {
            // The former owner had ended it and did not come to tell.
            return self.end();
        }
        self.hosted.feed.fence(epoch, from);
        if let Some(media) = &self.media {
            media.follow(self.mirror.clone());
            media.term(Term { epoch, from, side: Side::Owner });
            media.set_stage(std::sync::Arc::new(status::stage(&record)));
            if let Lifecycle::Live { since } = record.lifecycle() {
                let line = self.hosted.under_way(self.origin.timebase.now());
                media.begin(Begin { slot: from, lineage: Lineage::of(epoch), since, line });
                self.on_air = true;
            }
        }
        let told = v1::TakeOver {
            from: former.node.to_string(),
            to: self.origin.me.to_string(),
            epoch: epoch.0,
            from_slot: from.0,
            planned: took.is_none(),
            took: took.map(span),
        };
        self.origin.journal.tell(Some(&self.hosted.id), What::TakeOver(told));
        tracing::info!(room = %self.hosted.id, former = %former.node, %epoch, %from, ?took, "the mirror owns the room");
        // Edges that cannot tell yet that the former owner is gone bring their speakers here.
        self.hosted.edges.moved(&self.origin.me, epoch);
        self.tell_bans();
        self.tell_status();
    }

    /// The owner says that the room has ended.
    pub(crate) fn owner_ended(&mut self) {
        if !self.hosted.is_owned() {
            self.give_up_mirror(Closed::Ended);
        }
    }

    /// Stops to mirror the room; gives the audio back first if it leads.
    pub(crate) fn step_aside(&mut self, reply: Option<RpcReplyPort<()>>) {
        if self.hosted.is_owned() {
            // It is no mirror any more; there is nothing to wait for.
            if let Some(reply) = reply {
                drop(reply.send(()));
            }
            return;
        }
        let begun = self.aside.is_some();
        self.aside.get_or_insert_default().extend(reply);
        if begun {
            return;
        }
        match &self.media {
            Some(media) if self.hosted.leads() => {
                media.end_at(self.hosted.newest().unwrap_or_default().plus(ASIDE_AHEAD));
            }
            _ => self.stepped_aside(),
        }
    }

    /// The last slot that this mirror leads is out.
    pub(crate) fn stepped_aside(&mut self) {
        if !self.hosted.is_owned() {
            self.give_up_mirror(Closed::Moved);
        }
    }

    fn give_up_mirror(&mut self, closed: Closed) {
        self.close(closed);
        let (origin, hosted, replies) = (self.origin.clone(), self.hosted.clone(), self.aside.take());
        tokio::spawn(async move {
            release(&origin, &hosted).await;
            for reply in replies.into_iter().flatten() {
                // Whoever asked has gone.
                drop(reply.send(()));
            }
        });
    }
}
