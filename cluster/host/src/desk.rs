//! The room actor's desk: requests in, and what the ledger says carried out. What is told here holds: the directory has it,
//! or it acts before the directory has it by decision (see `room::Ledger`).

use std::sync::Arc;

use ractor::RpcReplyPort;
use stentor_admission::Class;
use stentor_directory::{BanPart, Error, Revision};
use stentor_ids::{Epoch, Fault, NodeId, Role, Slot};
use stentor_proto::{role_to_wire, v1};
use stentor_room::{Actor, Command, CommitId, Effect, Lifecycle, Record, Refusal, Settled, Step, Written};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tracing::{Instrument, Span, info_span};

use crate::{
    actor::{Message, State},
    command::{self, Request},
    media::{Begin, Media, Start, Term},
    status,
    timebase::wall,
};

/// Whom to answer.
pub(crate) struct Reply {
    pub(crate) by: Actor,
    pub(crate) port: RpcReplyPort<Result<v1::CommandReply, Fault>>,
    /// Whose trace this is.
    pub(crate) span: Span,
    /// One of the room's permits, given back with the answer.
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl State {
    /// Answers what only reads; the rest goes through the ledger.
    pub(crate) fn request(&mut self, by: Actor, request: Request, reply: Reply) {
        let _entered = reply.span.clone().entered();
        match request {
            Request::Do(command) => {
                let steps = self.ledger.handle(wall(), by, command, reply);
                self.carry_out(steps);
            }
            Request::Get => self.answer(reply, Ok(())),
            Request::ListHands => {
                let hands = self.may_list_hands(&by).map(|()| {
                    let hands = self.ledger.room().hands().iter().map(command::hand).collect();
                    v1::CommandReply { hands, ..self.reply(&by) }
                });
                // Whoever asked has gone.
                drop(reply.port.send(hands));
            }
        }
    }

    /// Raises and lowers hands, and says what became of each.
    pub(crate) fn hands(&mut self, changes: Vec<(Actor, bool)>) -> v1::HandsReply {
        let (now, mut changed) = (wall(), false);
        let mut outcomes = Vec::with_capacity(changes.len());
        for (by, up) in changes {
            let outcome = self.ledger.hand(now, &by, up);
            changed |= outcome == Ok(true);
            outcomes.push(command::outcome(outcome.err()));
        }
        if changed {
            self.status_changed();
        }
        v1::HandsReply { room: Some(self.current()), outcomes }
    }

    pub(crate) fn settled(&mut self, commit: CommitId, settled: Settled) {
        let steps = self.ledger.settle(wall(), commit, settled);
        // A commit may carry what is told to nobody, as that a promotion is over.
        self.keep_record();
        self.carry_out(steps);
        self.hand_off_when_settled();
    }

    /// Takes those off the stage who have been without a connection for long.
    pub(crate) fn clear_absent(&mut self) {
        let stage = self.ledger.room().record().stage();
        let speakers = &self.hosted.speakers;
        let absent =
            stage.iter().map(|one| &one.id).filter(|id| !speakers.is_connected(id)).cloned().collect();
        for id in self.absence.over(self.origin.timebase.now(), &absent) {
            let Some(absent) = self.ledger.room().record().participant(&id) else { continue };
            let by = Actor::Participant { id, name: absent.name.clone(), role: absent.role() };
            // Too much to do now: the next tick tries again.
            let Ok(permit) = self.hosted.permits.take(&self.hosted.id, Class::Stage) else { return };
            let (port, _) = tokio::sync::oneshot::channel();
            let reply = Reply { by: by.clone(), port: port.into(), span: Span::none(), _permit: permit };
            self.request(by, Request::Do(Command::Leave), reply);
        }
    }

    /// Does what the ledger says, in its order.
    pub(crate) fn carry_out(&mut self, steps: Vec<Step<Reply>>) {
        let (mut told, mut urgent, mut ended) = (false, false, false);
        let mut answers = Vec::new();
        for step in steps {
            match step {
                Step::Commit(written) => self.commit(written),
                Step::Tell(effects) => {
                    told |= effects.iter().any(is_told_with_status);
                    urgent |= effects.iter().any(is_urgent);
                    ended |= self.tell(effects);
                }
                Step::Answer(to, outcome) => answers.push((to, outcome)),
            }
        }
        if urgent {
            self.tell_status();
        } else if told {
            self.status_changed();
        }
        // Whoever has an answer finds it told.
        for (to, outcome) in answers {
            self.answer(to, outcome);
        }
        if ended {
            self.end();
        }
    }

    /// Starts the audio, if the room is live and it does not run yet.
    pub(crate) fn go_on_air(&mut self) {
        let kept = self.hosted.kept();
        let Lifecycle::Live { since } = kept.record.lifecycle() else { return };
        if self.on_air {
            return;
        }
        self.on_air = true;
        let seen = self.hosted.feed.reported().map(|seen| seen.slot);
        let line = self.hosted.under_way(self.origin.timebase.now());
        let first = match line {
            Some((next, _)) => next.max(seen.map(Slot::next).unwrap_or_default()),
            None => kept.record.lifecycle().resume_slot(wall(), seen, 0).unwrap_or_default(),
        };
        let slot = first.max(kept.seat.owner().from_slot);
        let lineage = self.hosted.next_lineage();
        let epoch = kept.seat.epoch();
        self.hosted.feed.fence(epoch, slot);
        tracing::info!(room = %self.hosted.id, %epoch, %lineage, first = %slot, "on the air");
        let begin = Begin { slot, lineage, since, line };
        match &self.media {
            Some(media) => media.begin(begin),
            None => self.start_media(Some(begin)),
        }
    }

    /// Starts the media loop.
    pub(crate) fn start_media(&mut self, begin: Option<Begin>) {
        let kept = self.hosted.kept();
        let (epoch, side, from) = (kept.seat.epoch(), kept.seat.side(), kept.seat.owner().from_slot);
        let start = Start {
            origin: self.origin.clone(),
            hosted: self.hosted.clone(),
            actor: self.myself.clone(),
            stage: Arc::new(status::stage(&kept.record)),
            term: Term { epoch, from, side },
            begin,
            peer: self.other_origin(),
        };
        self.media = Some(Media::start(start));
    }

    /// Carries effects out, and says whether the room is over with them.
    fn tell(&mut self, effects: Vec<Effect>) -> bool {
        self.keep_record();
        let ended = matches!(self.ledger.room().record().lifecycle(), Lifecycle::Ended { .. });
        for effect in effects {
            match effect {
                Effect::LifecycleChanged => self.go_on_air(),
                Effect::StageChanged { .. } => self.set_stage(self.ledger.room().record()),
                Effect::Notify { participant, notice } => {
                    let event = status::event(&participant, notice);
                    if let Some(edge) = self.hosted.speakers.link(&participant) {
                        edge.event(event.clone());
                    }
                    self.hosted.feed.event(event);
                }
                Effect::BanChanged { participant, banned } => {
                    self.hosted.feed.set_banned(participant, banned);
                }
                // The ledger has taken the commits out; spec and how many hands are up are told with the status.
                Effect::Commit | Effect::SpecChanged | Effect::HandsChanged => {}
            }
        }
        ended
    }

    /// What is told is what a restarted actor goes on from.
    fn keep_record(&self) {
        let record = self.ledger.room().record().clone();
        self.hosted.keep(|kept| kept.record = record);
    }

    pub(crate) fn set_stage(&self, record: &Record) {
        if let Some(media) = &self.media {
            media.set_stage(Arc::new(status::stage(record)));
        }
    }

    fn commit(&self, Written { id, record, bans }: Written) {
        let Some(ownership) = self.hosted.ownership() else { return };
        let origin = self.origin.clone();
        let myself = self.myself.clone();
        let part = |(number, value): (usize, Vec<u8>)| BanPart { number, value: value.into() };
        let bans = bans.into_iter().map(part).collect();
        let commit = async move {
            let started = Instant::now();
            let outcome = origin.directory.commit_with_bans(&ownership, record, bans).await;
            origin.metrics.commit().observe(started.elapsed());
            if let Err(error) = &outcome {
                tracing::warn!(room = %ownership.room(), epoch = %ownership.epoch(), %error, "not committed");
            }
            // The actor is gone: then nobody waits for the answer.
            drop(myself.cast(meaning(&origin.me, ownership.epoch(), id, outcome)));
        };
        tokio::spawn(commit.instrument(info_span!("commit", room = %self.hosted.id)));
    }

    pub(crate) fn answer(&self, to: Reply, outcome: Result<(), Fault>) {
        let reply = outcome.map(|()| self.reply(&to.by));
        // Whoever asked has gone.
        drop(to.port.send(reply));
    }

    fn reply(&self, by: &Actor) -> v1::CommandReply {
        let room = self.ledger.room();
        let role = room.record().role_of(by).unwrap_or(Role::Listener);
        let status = Some(self.current());
        v1::CommandReply { room: status, hands: Vec::new(), role: role_to_wire(role).into() }
    }

    fn may_list_hands(&self, by: &Actor) -> Result<(), Fault> {
        let role = self.ledger.room().record().role_of(by)?;
        if role.may_moderate() {
            return Ok(());
        }
        Err(Refusal::Role { role, needs: Role::Cohost, action: "list hands" }.into())
    }
}

/// Whether an effect shows in the room's status.
const fn is_told_with_status(effect: &Effect) -> bool {
    is_urgent(effect) || matches!(effect, Effect::HandsChanged)
}

/// Whether the status is told at once for it. Moderators and speakers alone can bring it about.
const fn is_urgent(effect: &Effect) -> bool {
    matches!(effect, Effect::LifecycleChanged | Effect::SpecChanged | Effect::StageChanged { .. })
}

/// What the end of a commit means. A key that is gone with its lease fences nobody for good: the owner puts it back.
/// Another's key does.
fn meaning(me: &NodeId, epoch: Epoch, id: CommitId, outcome: Result<Revision, Error>) -> Message {
    match outcome {
        Ok(_) => Message::Settled(id, Settled::Committed),
        Err(Error::Fenced { owner: Some(owner), .. }) if owner.node != *me || owner.epoch > epoch => {
            Message::Claimed(owner.into())
        }
        Err(Error::Fenced { .. }) => Message::Settled(id, Settled::Unavailable(Error::LeaseGone.into())),
        Err(error) => Message::Settled(id, Settled::Unavailable(error.into())),
    }
}
