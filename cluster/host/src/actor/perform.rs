//! What the room's tenure says, done. Nothing is decided here; each errand is a task of its own, and its end is told to the
//! tenure, also when it panics.

use stentor_ids::{Epoch, Fault, Slot};
use stentor_link::Closed;
use stentor_ownership::{Claimed, Effect, End, Errand, Event, Left, Successor, Took};
use stentor_pace::Time;
use stentor_proto::{
    span,
    v1::{self, happening::What},
};
use stentor_room::{Ledger, Lifecycle, Record, Room};
use stentor_telemetry::Call;

use super::state::State;
use crate::{
    calls,
    driver::{self, RoomDriver, revision_to_wire},
    message::Message,
    published::Published,
};

impl State {
    /// Does what the tenure says, in its order.
    pub(super) fn perform(&mut self, effects: Vec<Effect<RoomDriver>>) {
        for effect in effects {
            match effect {
                Effect::Publish => self.publish(),
                Effect::Look => self.look(),
                effect @ (Effect::Ask(..)
                | Effect::Claim(..)
                | Effect::PutBackOwner(..)
                | Effect::PutBackMirror(..)
                | Effect::Prepare(..)
                | Effect::Offer(..)
                | Effect::LookUp(_)
                | Effect::Release(..)) => self.run_errand(effect),
                Effect::Bid(errand, epoch, reach) => self.bid(errand, epoch, reach),
                Effect::WithdrawBid => self.withdraw_bid(),
                Effect::Preempts => self.preempts(),
                Effect::Transferred(asker, outcome) => {
                    let call = if outcome.is_ok() { Call::Ok } else { Call::Fault };
                    self.origin.metrics.hand_offs(call).inc();
                    // Whoever asked has gone.
                    drop(asker.send(outcome.map(response)));
                }
                Effect::TookOver(asker, outcome) => drop(asker.send(outcome.map(response))),
                Effect::Aside => {
                    for reply in self.aside.drain(..) {
                        // Whoever asked has gone.
                        drop(reply.send(()));
                    }
                }
                Effect::CloseBooks(fault) => self.ledger.close(fault),
                Effect::ReopenBooks => self.ledger.reopen(),
                Effect::AbandonBooks(fault) => self.abandon(&fault),
                Effect::SaveAgain => {
                    let steps = self.ledger.save_again();
                    self.carry_out(steps);
                }
                Effect::Keep(owner) => self.keep(&owner),
                Effect::Decide(None) => self.go_on_air(),
                Effect::Decide(Some(record)) => self.decide(record),
                Effect::Follow(node) => {
                    if let Some(media) = &self.media {
                        media.follow(node.and_then(|node| self.origin.place_of(&node)));
                    }
                }
                Effect::Term(key) => self.enter_term(&key),
                Effect::EndAt(slot) => {
                    if let Some(media) = &self.media {
                        media.end_at(slot);
                    }
                }
                Effect::Fence(Successor { epoch, from_slot, .. }) => {
                    self.hosted.feed.fence(epoch, from_slot);
                }
                Effect::Redirect(node, epoch) => self.hosted.edges.redirect(&node, epoch),
                Effect::Dismiss => self.hosted.edges.dismiss(&self.origin.me, self.hosted.epoch()),
                Effect::TellSuccessor(successor) => self.tell_successor(&successor),
                Effect::TellMirror(node) => {
                    // At once, and not when a status is due: an edge that comes meanwhile reads the status.
                    self.tell_status();
                    self.hosted.edges.mirror_changed(&node);
                }
                Effect::TellPeer => self.tell_peer(),
                Effect::TellOwner(took) => self.tell_owner(&took),
                Effect::TellRoom => self.tell_room(),
                Effect::TellEnded => {
                    tracing::info!(room = %self.hosted.id, "the room has ended");
                    self.hosted.edges.ended();
                }
                Effect::Leave(left) => self.leave(left),
                Effect::Stop => self.myself.stop(None),
                Effect::Fail(failure) => self.failure = Some(failure),
            }
        }
    }

    fn publish(&self) {
        let Some(standing) = self.tenure.standing() else { return };
        self.publisher.change(|published| published.standing = standing);
    }

    /// The view is as it is now, and this actor's tenure may be another than when it was told last.
    fn look(&mut self) {
        let view = self.origin.view.snapshot();
        if !view.current {
            return;
        }
        let known = view.rooms.get(&self.hosted.id);
        let record = known.and_then(|room| Record::decode(&room.record).ok());
        let wants = record.as_ref().map_or(stentor_ownership::Wants::Others, driver::wants);
        let shown = driver::shown(&view, &self.hosted.id, wants);
        self.shown(shown, record.map(|record| record.lifecycle()));
    }

    /// The room is this node's to decide by a record, which nobody else writes any more.
    fn decide(&mut self, record: Record) {
        let epoch = self.hosted.epoch();
        self.publisher.change(|published| published.record = record.clone());
        self.ledger = Ledger::new(Room::new(record), epoch);
        self.go_on();
    }

    fn tell_successor(&self, successor: &Successor) {
        tracing::info!(
            room = %self.hosted.id, to = %successor.node, epoch = %successor.epoch,
            from_slot = %successor.from_slot, "the room goes to another node"
        );
        self.origin.metrics.epoch_changes().inc();
    }

    fn tell_peer(&mut self) {
        let mirror = self.tenure.other();
        let ready = self.hosted.peer.is_ready(mirror, stentor_clock::now());
        let change = v1::MirrorChange { mirror: mirror.map(ToString::to_string).unwrap_or_default(), ready };
        self.origin.journal.tell(Some(&self.hosted.id), What::Mirror(change));
        self.status_changed();
    }

    fn tell_owner(&self, took: &Took) {
        let Took { former, key, since } = took;
        let (epoch, from, me) = (key.epoch, key.from_slot, &self.origin.me);
        let took = since.map(|since: Time| stentor_clock::now().since(since));
        self.publisher.change(|Published { taken_over, .. }| {
            *taken_over = took.map(|_| stentor_clock::wall()).or(*taken_over)
        });
        let told = v1::TakeOver {
            from: former.to_string(),
            to: me.to_string(),
            epoch: epoch.0,
            from_slot: from.0,
            planned: took.is_none(),
            took: took.map(span),
        };
        self.origin.journal.tell(Some(&self.hosted.id), What::TakeOver(told));
        tracing::info!(room = %self.hosted.id, %former, %epoch, %from, ?took, "the mirror owns the room");
        // Edges that cannot tell yet that the former owner is gone bring their speakers here.
        self.hosted.edges.redirect(me, epoch);
    }

    /// Stops the audio and lets everyone go.
    fn leave(&mut self, left: Left) {
        self.media = None;
        // Out of the list before followers are told: who comes back at once does not find it here again.
        self.registry.remove(&self.hosted);
        self.hosted.close(match left {
            Left::Moved => Closed::Moved,
            Left::Ended => Closed::Ended,
        });
    }

    fn abandon(&mut self, fault: &Fault) {
        for (to, outcome) in self.ledger.abandon(fault) {
            self.answer(to, outcome);
        }
    }

    fn run_errand(&self, effect: Effect<RoomDriver>) {
        let (origin, room) = (self.origin.clone(), self.hosted.id.clone());
        match effect {
            Effect::Ask(errand, owner) => {
                self.send(errand, async move { End::Answered(calls::ask(&origin, &room, &owner.node).await) })
            }
            Effect::Claim(errand, claim) => self.send(errand, async move {
                let claimed = calls::claim(&origin, &room, claim).await;
                if let Err(error) = &claimed {
                    tracing::warn!(%room, %error, "the room could not be claimed");
                }
                End::Claimed(claimed.map_err(Fault::from).map(|(right, record)| {
                    let ended = matches!(record.lifecycle(), Lifecycle::Ended { .. });
                    Claimed { held: driver::owned(right), record, ended }
                }))
            }),
            Effect::PutBackOwner(errand, right) => {
                let record = self.ledger.room().record().encode();
                self.send(errand, async move {
                    End::OwnerBack(calls::put_owner_back(&origin, &right, record).await)
                });
            }
            Effect::PutBackMirror(errand, own) => self.send(errand, async move {
                End::MirrorBack(calls::put_mirror_back(&origin, &room, own).await)
            }),
            Effect::Prepare(errand, heir, mirror) => {
                let (epoch, mirror_revision) = (self.hosted.epoch().0, revision_to_wire(mirror));
                self.send(errand, async move {
                    let request = v1::MirrorRequest { room: room.to_string(), epoch, mirror_revision };
                    let link_addr = origin.place_of(&heir).map(|place| place.link_addr).unwrap_or_default();
                    End::Prepared(origin.control.mirror(&link_addr, request).await.map(|_| ()))
                });
            }
            Effect::Offer(errand, heir, from_slot) => {
                let owner = self.hosted.owner();
                let request = v1::TakeOverRequest {
                    room: room.to_string(),
                    epoch: owner.epoch.0,
                    owner_revision: revision_to_wire(Some(owner.revision)),
                    from_slot: from_slot.0,
                };
                self.send(errand, async move {
                    let link_addr = origin.place_of(&heir).map(|place| place.link_addr).unwrap_or_default();
                    let taken = origin.control.take_over(&link_addr, request).await;
                    End::Offered(taken.map(|taken| Successor {
                        node: heir,
                        epoch: Epoch(taken.epoch),
                        from_slot: Slot(taken.from_slot),
                    }))
                });
            }
            Effect::LookUp(errand) => {
                self.send(errand, async move { End::LookedUp(calls::owner(&origin, &room).await) });
            }
            Effect::Release(errand, standing) => self.send(errand, async move {
                calls::release(&origin, &room, standing).await;
                End::Released
            }),
            // The rest are no errands.
            _ => {}
        }
    }

    /// Runs an errand, and tells the tenure how it ended.
    pub(super) fn send(&self, errand: Errand, run: impl Future<Output = End<RoomDriver>> + Send + 'static) {
        let (run, myself) = (tokio::spawn(run), self.myself.clone());
        tokio::spawn(async move {
            let end = run.await.unwrap_or(End::Failed);
            // The actor is gone: the key, if it is one, is left to the watch, and the rest to whoever comes next.
            drop(myself.cast(Message::Told(Event::Done(errand, end))));
        });
    }
}

fn response(successor: Successor) -> v1::TakeOverResponse {
    v1::TakeOverResponse {
        node: successor.node.to_string(),
        epoch: successor.epoch.0,
        from_slot: successor.from_slot.0,
    }
}
