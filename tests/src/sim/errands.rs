//! What a room's tenure sends a node on: calls of the directory and of other nodes. Each ends by a message, if by nothing else
//! then by the time that such a call is given.

use std::collections::BTreeSet;
use std::time::Duration;

use stentor_ids::{Code, Epoch, Fault, Revision};
use stentor_link::control::ANSWER_WITHIN;
use stentor_ownership::{
    Answer as Doubt, Claimed, Effect, End, Errand, Event, NotBack, Standing, Successor,
    timing::{ASK, RELAYS_ASKED},
};
use stentor_placement::carriers;

use super::{
    directory::{self, Op, Refused, Reply, RoomIx},
    message::{Answer, Ask, Call, Message, Note, Run},
    net::{NodeIx, millis},
    node::Question,
    running::{Asker, Sim},
    world::World,
};

impl World {
    /// Sends a node on an errand.
    pub(super) fn send(&mut self, n: NodeIx, run: Run, effect: Effect<Sim>) {
        let Run { room, .. } = run;
        match effect {
            Effect::Ask(errand, owner) => {
                let owner = self.number_of(Some(&owner.node));
                self.question(n, room, Ask::Errand(run, errand), owner, true);
            }
            Effect::Claim(errand, _) if !self.reads(n, room) => {
                let answer = Answer::Directory(Reply::Claimed(Err(Refused::Unknown)));
                self.tell_in(1, n, Message::Answer { to: Ask::Errand(run, errand), answer });
            }
            Effect::Claim(errand, claim) => {
                let (seen, preempt) = (claim.seen, claim.preempt.map(|key| key.0));
                let seen = seen.max(self.dir.highest_seen(room, self.nodes[n].view));
                self.ask(
                    n,
                    Ask::Errand(run, errand),
                    Op::Claim { room, seen, preempt, from: claim.from_slot },
                );
            }
            Effect::PutBackOwner(errand, owner) => {
                let record = self.record(n, run);
                let shown = self.dir.room(room, self.nodes[n].view).owner.map(|owner| owner.epoch);
                let heard = self.origin(n, room).map(|origin| origin.epoch());
                let seen = shown.max(heard).unwrap_or_default();
                let op = Op::Reassert { room, epoch: owner.epoch, seen, from: owner.from, record };
                self.ask(n, Ask::Errand(run, errand), op);
            }
            Effect::PutBackMirror(errand, own) => {
                let preempt = own.map(|key| key.0);
                self.ask(n, Ask::Errand(run, errand), Op::Mirror { room, preempt });
            }
            Effect::Prepare(errand, heir, mirror) => {
                let (epoch, preempt) = (self.epoch_known(n, run), mirror.map(|key| key.0));
                self.call(n, run, errand, self.number_of(Some(&heir)), Call::Mirror { epoch, preempt });
            }
            Effect::Offer(errand, heir, from) => {
                self.note(Note::Transfers { room, node: n, goes: true });
                let (epoch, heir) = (self.epoch_known(n, run), self.number_of(Some(&heir)));
                let Some(running) = self.running(n, run) else { return };
                let revision = running.published.owner().revision.0;
                self.call(n, run, errand, heir, Call::TakeOver { epoch, revision, from });
            }
            Effect::LookUp(errand) => self.ask(n, Ask::Errand(run, errand), Op::LookUp { room }),
            Effect::Bid(errand, epoch, reach) => {
                let (listeners, children) = (reach.listeners, reach.children);
                self.note(Note::Bids { room, node: n, epoch, listeners, children });
                self.ask(n, Ask::Errand(run, errand), Op::Bid { room, epoch, reach });
            }
            Effect::Release(errand, standing) => {
                let revision = match standing {
                    Standing::Owner(held) => held.right.revision,
                    Standing::Mirror { held, .. } => held.right.revision,
                };
                self.ask(n, Ask::Errand(run, errand), Op::Release { room, revision });
            }
            _ => {}
        }
    }

    fn epoch_known(&mut self, n: NodeIx, run: Run) -> Epoch {
        self.running(n, run).map(|running| running.published.owner().epoch).unwrap_or_default()
    }

    /// Calls another node, which has so long to answer.
    fn call(&mut self, n: NodeIx, run: Run, errand: Errand, to: Option<NodeIx>, call: Call) {
        let ask = Ask::Errand(run, errand);
        self.give_up_in(millis(ANSWER_WITHIN), n, ask);
        if let Some(to) = to {
            self.tell(n, to, Message::Called { run, from: n, errand, call });
        }
    }

    /// Something that was asked is answered.
    pub(super) fn answered(&mut self, n: NodeIx, to: Ask, answer: Answer) {
        let Some(answer) = self.bend(n, to, answer) else { return };
        match to {
            Ask::Nobody => {}
            Ask::Session(serial) => self.session_answered(n, serial, answer),
            Ask::Candidacy(room, serial) => self.candidacy_answered(n, room, serial, answer),
            Ask::Commit(run, commit) => self.commit_ended(n, run, commit, answer),
            Ask::Errand(run, errand) => {
                match &answer {
                    Answer::Directory(Reply::Reasserted(Ok(owner))) => {
                        self.note(Note::Reasserted { room: run.room, node: n, epoch: owner.epoch });
                    }
                    // What a claim read cannot be read here: another build wrote it since, and the claim is given up.
                    Answer::Directory(Reply::Claimed(Ok((owner, _)))) if !self.reads(n, run.room) => {
                        let op = Op::Release { room: run.room, revision: owner.revision };
                        return self.ask(n, to, op);
                    }
                    _ => {}
                }
                if let Some(end) = self.end_of(answer) {
                    self.tell_run(n, run, Event::Done(errand, end));
                }
            }
        }
    }

    /// What an answer says to a tenure.
    fn end_of(&self, answer: Answer) -> Option<End<Sim>> {
        Some(match answer {
            Answer::Prepared(outcome) => End::Prepared(outcome),
            Answer::Offered(outcome) => End::Offered(outcome),
            Answer::Nothing => End::Failed,
            Answer::Directory(reply) => match reply {
                Reply::Claimed(Ok((owner, record))) => {
                    let (held, ended) = (self.owner_held(owner), directory::has_ended(&record));
                    End::Claimed(Ok(Claimed { held, record, ended }))
                }
                Reply::Claimed(Err(refused)) => End::Claimed(Err(refusal(refused))),
                Reply::Mirrored(Ok(mirror)) => End::MirrorBack(Ok(self.mirror_held(mirror))),
                Reply::Mirrored(Err(refused)) => End::MirrorBack(Err(match refused {
                    Refused::Mirrored(mirror) => NotBack::Other(self.mirror_key(&mirror)),
                    Refused::OwnMirror => NotBack::OwnsIt,
                    Refused::NoLease | Refused::Unknown | Refused::Owned(_) => NotBack::NotYet,
                })),
                Reply::Reasserted(Ok(owner)) => End::OwnerBack(Ok(self.owner_held(owner))),
                Reply::Reasserted(Err(refused)) => End::OwnerBack(Err(match refused {
                    Refused::Owned(Some(owner)) => NotBack::Other(self.owner_key(&owner)),
                    Refused::Owned(None) => NotBack::Superseded,
                    _ => NotBack::NotYet,
                })),
                Reply::LookedUp(owner) => End::LookedUp(owner.map(|owner| self.owner_key(&owner))),
                Reply::Released => End::Released,
                Reply::Bid(made) => End::Bid(made.ok().map(Revision)),
                Reply::Registered(_) | Reply::Renewed(_) | Reply::Committed(_) | Reply::Withdrawn => {
                    return None;
                }
            },
        })
    }

    /// Asks whether a node runs a room, and relays, if they are to be asked too, whether they hear it.
    pub(super) fn question(
        &mut self,
        n: NodeIx,
        room: RoomIx,
        ask: Ask,
        owner: Option<NodeIx>,
        relays: bool,
    ) {
        self.note(Note::Asks { room, node: n });
        let question = self.number();
        let asked = owner.into_iter().chain(if relays { self.carriers(n, room) } else { Vec::new() });
        let asked: BTreeSet<_> = asked.collect();
        let state = Question { ask, waits: asked.len(), runs: false, gone: false, heard_ms_ago: None };
        self.nodes[n].control.questions.insert(question, state);
        let Some(owner) = owner else { return self.conclude(n, question) };
        for to in asked {
            if self.nodes[to].refuses && self.net.answers(self.now, n, to) {
                let refused =
                    Message::Probed { question, runs: false, gone: to == owner, heard_ms_ago: None };
                self.tell(n, n, refused);
            }
            self.tell(n, to, Message::Probe { room, from: n, owner, question });
        }
        self.tell_in(millis(ASK), n, Message::Unanswered { question });
    }

    /// The relays that carry a room, by a node's view, as many as are asked.
    fn carriers(&self, n: NodeIx, room: RoomIx) -> Vec<NodeIx> {
        let relays = self.candidates(n, |node| node.roles.relay);
        let edges = self.candidates(n, |node| node.roles.edge).len();
        let carriers = carriers(&self.rooms[room], &relays, edges);
        carriers.iter().take(RELAYS_ASKED).filter_map(|relay| self.number_of(Some(relay))).collect()
    }

    /// Says whether this node runs a room, and how long ago it heard the owner of it.
    pub(super) fn probed_by(&mut self, n: NodeIx, message: Message) {
        let Message::Probe { room, from, owner, question } = message else { return };
        let running = self.nodes[n].control.rooms.get(&room);
        let runs = owner == n && running.is_some_and(|running| running.published.is_owner());
        let heard_ms_ago = self.heard(n, owner, room).filter(|_| self.nodes[n].roles.relay);
        let gone = owner == n && !runs;
        self.tell(n, from, Message::Probed { question, runs, gone, heard_ms_ago });
    }

    /// How long ago a relay heard an owner. Of a room whose audio is not simulated: as if it carried it.
    fn heard(&self, relay: NodeIx, owner: NodeIx, room: RoomIx) -> Option<u64> {
        match self.audio.get(room) {
            Some(audio) => Some(self.now - audio.taps.get(&relay)?.heard.get(&owner)?),
            None => {
                let runs = self.awake(owner) && self.nodes[owner].control.rooms.contains_key(&room);
                (runs && self.net.reaches(self.now, owner, relay)).then_some(0)
            }
        }
    }

    /// One who was asked says this.
    pub(super) fn probed(&mut self, n: NodeIx, message: Message) {
        let Message::Probed { question, runs, gone, heard_ms_ago } = message else { return };
        let Some(asked) = self.nodes[n].control.questions.get_mut(&question) else { return };
        asked.waits = asked.waits.saturating_sub(1);
        asked.runs |= runs;
        asked.gone |= gone;
        asked.heard_ms_ago = [asked.heard_ms_ago, heard_ms_ago].into_iter().flatten().min();
        if asked.waits == 0 {
            self.conclude(n, question);
        }
    }

    /// Everyone has answered who does.
    pub(super) fn conclude(&mut self, n: NodeIx, question: u64) {
        let Some(Question { ask, runs, gone, heard_ms_ago, .. }) =
            self.nodes[n].control.questions.remove(&question)
        else {
            return;
        };
        match ask {
            Ask::Errand(run, errand) => {
                let heard = heard_ms_ago.map(Duration::from_millis);
                let answer = End::Answered(Doubt { runs, gone, heard });
                self.tell_run(n, run, Event::Done(errand, answer));
            }
            Ask::Candidacy(room, serial) => self.former_answered(n, room, serial, runs),
            Ask::Session(_) | Ask::Commit(..) | Ask::Nobody => {}
        }
    }

    /// A mirror that was asked to own its room says what came of it.
    pub(super) fn took_over(&mut self, n: NodeIx, to: NodeIx, ask: Ask, outcome: Result<Successor, Fault>) {
        self.tell(n, to, Message::Answer { to: ask, answer: Answer::Offered(outcome) });
    }

    /// An owner asks this node to mirror a room, or to own it.
    pub(super) fn called(&mut self, n: NodeIx, message: Message) {
        let Message::Called { run, from, errand, call } = message else { return };
        let ask = Ask::Errand(run, errand);
        match call {
            Call::Mirror { epoch, preempt } => self.mirror_for(n, run.room, from, ask, epoch, preempt),
            Call::TakeOver { epoch, revision, from: slot } => {
                if let Err(fault) = self.check_place(n) {
                    return self.took_over(n, from, ask, Err(fault));
                }
                let asker = Asker::Owner { node: from, ask };
                let owner = Some(Revision(revision));
                if self.nodes[n].control.rooms.contains_key(&run.room) {
                    self.tell_room(n, run.room, Event::TakeOver { epoch, owner, from_slot: slot, asker });
                } else {
                    let fault = Fault::new(Code::WrongState, "it does not mirror the room");
                    self.took_over(n, from, ask, Err(fault));
                }
            }
        }
    }
}

/// What is told to whoever waits.
pub(super) fn refusal(refused: Refused) -> Fault {
    Fault::new(Code::DirectoryUnavailable, format!("{refused:?}"))
}
