//! The room actor's desk: requests in, and what the ledger says carried out. What is told here holds: the directory has it,
//! or it acts before the directory has it by decision (see `room::Ledger`).

use stentor_admission::Class;
use stentor_directory::{BanPart, Error, Owner, Revision};
use stentor_ids::{Code, Epoch, Fault, NodeId, Role};
use stentor_ownership::{Event, Successor, timing::ERRAND};
use stentor_proto::{role_to_wire, v1};
use stentor_room::{Actor, Command, CommitId, Effect, Lifecycle, Refusal, Settled, Step, Written};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span, info_span};

use super::state::State;
use crate::{
    command::{self, Request},
    driver::{Standing, owner_key},
    message::{Message, Reply},
    status,
};

impl State {
    /// Answers what only reads; the rest goes through the ledger.
    pub(super) fn request(&mut self, by: Actor, request: Request, reply: Reply) {
        let _entered = reply.span.clone().entered();
        match request {
            Request::Do(command) => {
                let steps = self.ledger.handle(stentor_clock::wall(), by, command, reply);
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
    pub(super) fn hands(&mut self, changes: Vec<(Actor, bool)>) -> v1::HandsReply {
        let (now, mut changed) = (stentor_clock::wall(), false);
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

    pub(super) fn settled(&mut self, commit: CommitId, settled: Settled) {
        let steps = self.ledger.settle(stentor_clock::wall(), commit, settled);
        // A commit may carry what is told to nobody, as that a promotion is over.
        self.keep_record();
        self.carry_out(steps);
        self.tell(Event::Books);
    }

    /// What time alone changes.
    pub(super) fn expire(&mut self) {
        let steps = self.ledger.expire(stentor_clock::wall());
        self.carry_out(steps);
    }

    /// Takes those off the stage who have been without a connection for long.
    pub(super) fn clear_absent(&mut self) {
        let stage = self.ledger.room().record().stage();
        let speakers = &self.hosted.speakers;
        let absent =
            stage.iter().map(|one| &one.id).filter(|id| !speakers.is_connected(id)).cloned().collect();
        for id in self.absence.over(stentor_clock::now(), &absent) {
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
    pub(super) fn carry_out(&mut self, steps: Vec<Step<Reply>>) {
        let (mut told, mut urgent, mut ended) = (false, false, false);
        let mut answers = Vec::new();
        for step in steps {
            match step {
                Step::Commit(written) => self.commit(written),
                Step::Tell(effects) => {
                    told |= effects.iter().any(is_told_with_status);
                    urgent |= effects.iter().any(is_urgent);
                    ended |= self.show(effects);
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
        // Last: with it the room leaves this node, and who had an answer to come is answered by now.
        if ended {
            self.tell(Event::Ended);
        }
    }

    /// Carries effects out, and says whether the room is over with them.
    fn show(&mut self, effects: Vec<Effect>) -> bool {
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

    /// What is told is what the next actor goes on from, if this one fails.
    fn keep_record(&self) {
        let record = self.ledger.room().record().clone();
        self.publisher.change(|published| published.record = record);
    }

    fn commit(&self, Written { id, record, bans }: Written) {
        let Standing::Owner(held) = self.hosted.standing() else { return };
        let (origin, myself, ownership) = (self.origin.clone(), self.myself.clone(), held.right);
        let part = |(number, value): (usize, Vec<u8>)| BanPart { number, value: value.into() };
        let bans = bans.into_iter().map(part).collect();
        let commit = async move {
            let started = Instant::now();
            let outcome = origin.directory.commit_with_bans(&ownership, record, bans).await;
            origin.metrics.commit().observe(started.elapsed());
            if let Err(error) = &outcome {
                tracing::warn!(room = %ownership.room(), epoch = %ownership.epoch(), %error, "not committed");
            }
            (fenced_by(&origin.me, ownership.epoch(), &outcome), settled(outcome))
        };
        let commit = tokio::spawn(commit.instrument(info_span!("commit", room = %self.hosted.id)));
        // Given up, it must not take effect later: what is committed after it is newer.
        let commit = timeout(ERRAND, AbortOnDropHandle::new(commit));
        tokio::spawn(async move {
            let failed = |how| (None, Settled::Unavailable(Fault::new(Code::Internal, how)));
            let (owner, settled) = match commit.await {
                Ok(Ok(ended)) => ended,
                Ok(Err(_)) => failed("the commit panicked"),
                Err(_) => failed("the commit did not end"),
            };
            // A claim first: whoever waits for the commit is told of that, and not that the directory is away.
            let claimed =
                owner.map(|owner| Message::Told(Event::Claimed(Successor::from(&owner_key(&owner)))));
            for message in claimed.into_iter().chain([Message::Settled(id, settled)]) {
                // The actor is gone: then nobody waits for the answer.
                drop(myself.cast(message));
            }
        });
    }

    pub(super) fn answer(&self, to: Reply, outcome: Result<(), Fault>) {
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

/// Whose claim fenced a commit, if another's did.
fn fenced_by(me: &NodeId, epoch: Epoch, outcome: &Result<Revision, Error>) -> Option<Owner> {
    match outcome {
        Err(Error::Fenced { owner: Some(owner), .. }) if owner.node != *me || owner.epoch > epoch => {
            Some(owner.clone())
        }
        _ => None,
    }
}

/// How a commit ended. A key that is gone with its lease fences nobody for good: the owner puts it back.
fn settled(outcome: Result<Revision, Error>) -> Settled {
    match outcome {
        Ok(_) => Settled::Committed,
        Err(Error::Fenced { .. }) => Settled::Unavailable(Error::LeaseGone.into()),
        Err(error) => Settled::Unavailable(error.into()),
    }
}
