//! What is not a failure, and what goes wrong in what nodes do for rooms: rooms are moved, ended and restarted, mirrors step
//! aside, clocks bar a node, and calls end otherwise than they should.

use stentor_ownership::{Event, timing::ERRAND};
use stentor_room::{Actor, Command};

use super::{
    directory::RoomIx,
    fault::{Fault, How},
    message::{Answer, Ask, Message, Run},
    net::{NodeIx, millis},
    node::NEWER,
    running::Asker,
    world::World,
};

/// How late an end may be, in milliseconds: longer than any errand is waited for.
const LATE_MS: u64 = 18_000;

impl World {
    /// Does what an operator may ask for, or what goes wrong beside nodes and links.
    pub(super) fn perform_act(&mut self, act: Fault, until: u64) {
        match act {
            Fault::Odd { how, .. } => self.odd = Some((how, until)),
            Fault::Move { room, to } => self.move_room(room, to),
            Fault::Aside { room } => {
                if let Some(mirror) = self.dir.now(room).mirror {
                    self.tell_room(mirror.node, room, Event::StepAside);
                }
            }
            Fault::Restart { who, room } => {
                let n = self.find(who).filter(|n| self.awake(*n));
                let run = n.and_then(|n| self.run_of(n, room));
                if let (Some(n), Some(run)) = (n, run) {
                    self.fail(n, run);
                }
            }
            Fault::Newer { room } => {
                let owner = self.dir.now(room).owner.filter(|owner| self.nodes[owner.node].schema == NEWER);
                if owner.is_some() && self.dir.up {
                    self.dir.raise_schema(room, NEWER);
                }
            }
            Fault::End { room } => self.end_room(room),
            Fault::Barred { who, .. } => {
                if let Some(n) = self.find(who) {
                    self.nodes[n].barred_until = until;
                }
            }
            Fault::LoseClaim { room, .. } => self.lose_claim = Some((room, until)),
            Fault::Lag { who, by_ms, .. } => {
                if let Some(n) = self.find(who) {
                    self.nodes[n].lags = Some((by_ms, until));
                }
            }
            _ => {}
        }
    }

    fn run_of(&self, n: NodeIx, room: RoomIx) -> Option<Run> {
        let running = self.nodes[n].control.rooms.get(&room)?;
        Some(Run { room, number: running.number })
    }

    fn move_room(&mut self, room: RoomIx, to: NodeIx) {
        let Some(owner) = self.dir.now(room).owner.map(|owner| owner.node).filter(|n| self.awake(*n)) else {
            return;
        };
        if self.nodes[owner].control.rooms.contains_key(&room) {
            let (token, ranked) = (self.number(), self.heirs(owner, room));
            self.commands.insert(token);
            self.promise_move(owner, room, to, token);
            let to = Some(self.nodes[to].id.clone());
            self.tell_room(owner, room, Event::Transfer { to, ranked, asker: Asker::Operator(token) });
        }
    }

    fn end_room(&mut self, room: RoomIx) {
        let owner = self.dir.now(room).owner.map(|owner| owner.node).filter(|n| self.awake(*n));
        if let Some(run) = owner.and_then(|n| self.run_of(n, room)) {
            self.command(owner.unwrap_or_default(), run, Actor::Operator, Command::End);
        }
    }

    /// Whether a node takes a room that it is asked to take.
    pub(super) fn check_place(&self, n: NodeIx) -> Result<(), stentor_ids::Fault> {
        if self.nodes[n].draining || self.is_barred(n) { Err(draining()) } else { Ok(()) }
    }

    /// Whether a node's clock is so far off that it takes no rooms.
    pub(super) fn is_barred(&self, n: NodeIx) -> bool {
        self.nodes[n].barred_until > self.now
    }

    /// What becomes of an answer while calls end otherwise than they should; `None` if it does not come now.
    pub(super) fn bend(&mut self, n: NodeIx, to: Ask, answer: Answer) -> Option<Answer> {
        let Some((how, _)) = self.odd.filter(|(_, until)| *until > self.now) else { return Some(answer) };
        // A session and a candidacy are told the end of their calls by what makes them.
        let room = matches!(to, Ask::Errand(..) | Ask::Commit(..));
        if matches!(to, Ask::Session(_)) || self.draw().is_multiple_of(2) {
            return Some(answer);
        }
        match how {
            How::Panics => Some(Answer::Nothing),
            // A ledger waits for each commit, so that what makes one gives it up.
            How::Never if matches!(to, Ask::Commit(..)) => {
                self.tell_in(millis(ERRAND), n, Message::Answer { to, answer: Answer::Nothing });
                None
            }
            How::Never => (!room).then_some(answer),
            How::Twice => {
                let delay = self.draw() % LATE_MS;
                self.tell_in(delay, n, Message::Answer { to, answer: answer.clone() });
                Some(answer)
            }
            How::Late => {
                let delay = self.draw() % LATE_MS;
                self.tell_in(delay, n, Message::Answer { to, answer });
                None
            }
        }
    }

    /// A claim was made whose answer is lost, with the process that waited for it.
    pub(super) fn lose_answer(&mut self, from: NodeIx, room: RoomIx) -> bool {
        let lost = self.lose_claim.take_if(|(lost, until)| *lost == room && *until > self.now);
        if lost.is_some() && self.nodes[from].up {
            self.end(from, true);
            self.resume_in(2_000, from);
        }
        lost.is_some()
    }
}

fn draining() -> stentor_ids::Fault {
    stentor_ids::Fault::new(stentor_ids::Code::Draining, "it takes no rooms")
}
