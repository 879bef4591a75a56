//! What a room has decided, and what of it the directory has: the order of commands, commits and answers. Pure: the room
//! actor carries out the steps and reports how commits ended.
//!
//! | command | directory there | directory away |
//! |---|---|---|
//! | needs no commit (hands, invitations) | at once | at once |
//! | acts at once ([`Command::acts_at_once`]) | on the stage at once, answered when committed | at once, saved when it is back |
//! | any other | when committed | refused with `DIRECTORY_UNAVAILABLE`, unchanged |
//!
//! Invariants: one commit is under way at a time; what waits for its commit is told to nobody before; a command that was
//! refused is undone in the directory too, should the write have arrived all the same. How many commands wait is bounded
//! by who lets them in: each brings one of a bounded number of tokens to answer to.

mod stored;

use std::collections::VecDeque;

use crate::{Actor, Command, Effect, Room};
use stentor_ids::Fault;
use stentor_pace::WallTime;

use stored::Stored;
pub use stored::Written;

/// What the actor is to do, in this order. `T` is whom to answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Commit this under the owner's fence, and report to [`Ledger::settle`].
    Commit(Written),
    /// Carry these effects out: they hold.
    Tell(Vec<Effect>),
    /// Answer a command.
    Answer(T, Result<(), Fault>),
}

/// How a commit ended.
#[derive(Debug, Clone)]
pub enum Settled {
    /// The directory has the record.
    Committed,
    /// It may or may not have it.
    Unavailable(Fault),
}

#[derive(Debug)]
enum Attempt<T> {
    /// Of a command that waits for it.
    Command { next: Box<Room>, effects: Vec<Effect>, to: T },
    /// Of what acted at once.
    Save { to: Vec<T> },
}

/// A room with its unfinished business.
#[derive(Debug)]
pub struct Ledger<T> {
    room: Room,
    attempt: Option<Attempt<T>>,
    waiting: VecDeque<(Actor, Command, T)>,
    /// The room has decisions that no commit carries yet, and these wait for the answer.
    unsaved: Option<Vec<T>>,
    /// The last commit failed.
    away: Option<Fault>,
    /// Nothing more is taken.
    closed: Option<Fault>,
    stored: Stored,
}

impl<T> Ledger<T> {
    /// The business of a room that is as the directory has it.
    pub fn new(room: Room) -> Self {
        let stored = Stored::new(room.record().bans());
        Self {
            room,
            attempt: None,
            waiting: VecDeque::new(),
            unsaved: None,
            away: None,
            closed: None,
            stored,
        }
    }

    /// The room as everyone is told it is.
    pub const fn room(&self) -> &Room {
        &self.room
    }

    /// Whether the directory has all that was decided.
    pub fn is_settled(&self) -> bool {
        self.attempt.is_none() && self.unsaved.is_none() && self.waiting.is_empty() && self.away.is_none()
    }

    /// Why commits fail now, if they do.
    pub const fn away(&self) -> Option<&Fault> {
        self.away.as_ref()
    }

    /// Refuses every command from now on; what is under way goes on.
    pub fn close(&mut self, fault: Fault) {
        self.closed = Some(fault);
    }

    /// Takes commands again.
    pub fn reopen(&mut self) {
        self.closed = None;
    }

    /// What time alone changes.
    pub fn expire(&mut self, now: WallTime) -> Vec<Step<T>> {
        if let Some(Attempt::Command { next, .. }) = &mut self.attempt {
            drop(next.expire(now));
        }
        tell(self.room.expire(now)).into_iter().collect()
    }

    /// Takes a command.
    pub fn handle(&mut self, now: WallTime, by: Actor, command: Command, to: T) -> Vec<Step<T>> {
        if let Some(fault) = &self.closed {
            return vec![Step::Answer(to, Err(fault.clone()))];
        }
        if command.acts_at_once() {
            return self.act(now, &by, command, to);
        }
        self.waiting.push_back((by, command, to));
        let mut steps = Vec::new();
        self.advance(now, &mut steps);
        steps
    }

    /// Raises or lowers a hand: hands need no commit, and come by the thousand. Says whether anything changed.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn hand(&mut self, now: WallTime, by: &Actor, up: bool) -> Result<bool, Fault> {
        if let Some(fault) = &self.closed {
            return Err(fault.clone());
        }
        let command = if up { Command::RaiseHand } else { Command::LowerHand };
        let effects = self.room.handle(now, by, command.clone())?;
        if let Some(Attempt::Command { next, .. }) = &mut self.attempt {
            // Refused there at most because the waiting command made it so already.
            drop(next.handle(now, by, command));
        }
        Ok(!effects.is_empty())
    }

    /// A commit ended.
    pub fn settle(&mut self, now: WallTime, outcome: Settled) -> Vec<Step<T>> {
        let mut steps = Vec::new();
        if let Settled::Committed = outcome {
            self.stored.committed();
        }
        match (self.attempt.take(), outcome) {
            (None, _) => {}
            (Some(Attempt::Command { next, effects, to }), Settled::Committed) => {
                self.away = None;
                self.room = *next;
                steps.extend(tell(effects));
                steps.push(Step::Answer(to, Ok(())));
            }
            (Some(Attempt::Command { to, .. }), Settled::Unavailable(fault)) => {
                steps.push(Step::Answer(to, Err(fault.clone())));
                self.become_away(fault, &mut steps);
            }
            (Some(Attempt::Save { to }), Settled::Committed) => {
                self.away = None;
                steps.extend(to.into_iter().map(|to| Step::Answer(to, Ok(()))));
            }
            (Some(Attempt::Save { to }), Settled::Unavailable(fault)) => {
                steps.extend(to.into_iter().map(|to| Step::Answer(to, Ok(()))));
                self.become_away(fault, &mut steps);
            }
        }
        self.advance(now, &mut steps);
        steps
    }

    /// Tries to save again after a failure. Call it every second or so.
    pub fn retry(&mut self) -> Vec<Step<T>> {
        if self.away.is_none() || self.attempt.is_some() {
            return Vec::new();
        }
        vec![self.save()]
    }

    /// Commits the whole room as it is, for whoever cannot tell what the directory has of it.
    pub fn save_again(&mut self) -> Vec<Step<T>> {
        self.stored.doubt();
        if self.attempt.is_some() {
            // When that has ended, however it does.
            self.unsaved.get_or_insert_default();
            return Vec::new();
        }
        vec![self.save()]
    }

    /// Answers everyone that waits: this ledger will commit nothing more.
    pub fn abandon(&mut self, fault: &Fault) -> Vec<(T, Result<(), Fault>)> {
        self.close(fault.clone());
        let attempt = match self.attempt.take() {
            Some(Attempt::Command { to, .. }) => vec![to],
            Some(Attempt::Save { to }) => to,
            None => Vec::new(),
        };
        let unsaved = self.unsaved.take().unwrap_or_default();
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|(_, _, to)| to);
        let all = attempt.into_iter().chain(unsaved).chain(waiting);
        all.map(|to| (to, Err(fault.clone()))).collect()
    }

    /// A command that acts before its commit, on what is told and on what waits to be.
    fn act(&mut self, now: WallTime, by: &Actor, command: Command, to: T) -> Vec<Step<T>> {
        let mut effects = match self.room.handle(now, by, command.clone()) {
            Ok(effects) => effects,
            Err(refusal) => return vec![Step::Answer(to, Err(refusal.into()))],
        };
        if let Some(Attempt::Command { next, .. }) = &mut self.attempt {
            // Refused there at most because the waiting command made it so already.
            drop(next.handle(now, by, command));
        }
        let commit = take_commit(&mut effects);
        let mut steps: Vec<_> = tell(effects).into_iter().collect();
        match (commit, &self.away) {
            (true, None) => self.unsaved.get_or_insert_default().push(to),
            (true, Some(_)) => {
                self.unsaved.get_or_insert_default();
                steps.push(Step::Answer(to, Ok(())));
            }
            (false, _) => steps.push(Step::Answer(to, Ok(()))),
        }
        self.advance(now, &mut steps);
        steps
    }

    /// Starts what can be started now.
    fn advance(&mut self, now: WallTime, steps: &mut Vec<Step<T>>) {
        while self.attempt.is_none() || self.away.is_some() {
            if self.unsaved.is_some() && self.away.is_none() {
                steps.push(self.save());
                continue;
            }
            let Some((by, command, to)) = self.waiting.pop_front() else { return };
            let mut next = self.room.clone();
            match next.handle(now, &by, command) {
                Err(refusal) => steps.push(Step::Answer(to, Err(refusal.into()))),
                Ok(mut effects) => match (take_commit(&mut effects), &self.away) {
                    (false, _) => {
                        self.room = next;
                        steps.extend(tell(effects));
                        steps.push(Step::Answer(to, Ok(())));
                    }
                    (true, Some(fault)) => steps.push(Step::Answer(to, Err(fault.clone()))),
                    (true, None) => {
                        steps.push(Step::Commit(self.stored.write(next.record())));
                        self.attempt = Some(Attempt::Command { next: Box::new(next), effects, to });
                    }
                },
            }
        }
    }

    fn save(&mut self) -> Step<T> {
        self.attempt = Some(Attempt::Save { to: self.unsaved.take().unwrap_or_default() });
        Step::Commit(self.stored.write(self.room.record()))
    }

    /// What acted at once is answered: it holds, and is saved when the directory is back.
    fn become_away(&mut self, fault: Fault, steps: &mut Vec<Step<T>>) {
        self.away = Some(fault);
        let unsaved = std::mem::take(self.unsaved.get_or_insert_default());
        steps.extend(unsaved.into_iter().map(|to| Step::Answer(to, Ok(()))));
    }
}

/// What changed nothing is told to nobody.
fn tell<T>(effects: Vec<Effect>) -> Option<Step<T>> {
    (!effects.is_empty()).then_some(Step::Tell(effects))
}

/// Whether the effects ask for a commit; if so it is taken out.
fn take_commit(effects: &mut Vec<Effect>) -> bool {
    let before = effects.len();
    effects.retain(|effect| *effect != Effect::Commit);
    effects.len() != before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bans, Record, Spec};
    use stentor_ids::{Code, ParticipantId, Role};

    const NOW: WallTime = WallTime::from_millis(1_000);

    fn id(name: &str) -> ParticipantId {
        ParticipantId::new(name).unwrap()
    }

    fn someone(name: &str, role: Role) -> Actor {
        Actor::Participant { id: id(name), name: name.to_owned(), role }
    }

    fn open() -> Ledger<u32> {
        let mut room = Room::new(Record::new(Spec::default()).unwrap());
        room.handle(NOW, &Actor::Operator, Command::Open).unwrap();
        room.handle(NOW, &someone("ann", Role::Speaker), Command::Join).unwrap();
        Ledger::new(room)
    }

    fn mute() -> Command {
        Command::Mute { id: id("ann"), muted: true }
    }

    fn away() -> Settled {
        Settled::Unavailable(Fault::new(Code::DirectoryUnavailable, "gone"))
    }

    /// The steps in short: `C` a commit, `T` something told, and the answers.
    fn short(steps: &[Step<u32>]) -> String {
        let short = |step: &Step<u32>| match step {
            Step::Commit(_) => "C".to_owned(),
            Step::Tell(effects) => format!("T{}", effects.len()),
            Step::Answer(to, Ok(())) => format!("{to}:ok"),
            Step::Answer(to, Err(fault)) => format!("{to}:{}", fault.code),
        };
        steps.iter().map(short).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_command_is_told_when_it_is_committed_and_not_before() {
        let mut ledger = open();
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, Command::GoLive, 1)), "C");
        assert_eq!(ledger.room().record().lifecycle().slot_at(NOW), None);
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, Command::End, 2)), "");
        assert_eq!(short(&ledger.settle(NOW, Settled::Committed)), "T1 1:ok C");
        assert!(ledger.room().record().lifecycle().slot_at(NOW).is_some());
        assert_eq!(short(&ledger.settle(NOW, Settled::Committed)), "T2 2:ok");
        assert!(ledger.is_settled());
    }

    #[test]
    fn a_command_that_changes_nothing_tells_nothing() {
        let mut ledger = open();
        let bob = || someone("bob", Role::Listener);
        assert_eq!(short(&ledger.handle(NOW, bob(), Command::LowerHand, 1)), "1:ok");
        assert_eq!(short(&ledger.handle(NOW, bob(), Command::RaiseHand, 2)), "T1 2:ok");
        assert_eq!(short(&ledger.handle(NOW, bob(), Command::RaiseHand, 3)), "3:ok");
        assert_eq!(short(&ledger.handle(NOW, someone("ann", Role::Speaker), Command::Join, 4)), "4:ok");
    }

    #[test]
    fn a_hand_goes_up_and_down_while_a_command_waits_for_its_commit() {
        let mut ledger = open();
        ledger.handle(NOW, Actor::Operator, Command::GoLive, 1);
        let bob = someone("bob", Role::Listener);
        assert_eq!(ledger.hand(NOW, &bob, true), Ok(true));
        assert_eq!(ledger.hand(NOW, &bob, true), Ok(false));
        let refused = ledger.hand(NOW, &someone("ann", Role::Speaker), true).unwrap_err();
        assert_eq!(refused.code, Code::WrongState);
        assert_eq!(short(&ledger.settle(NOW, Settled::Committed)), "T1 1:ok");
        assert_eq!(ledger.room().hands().len(), 1, "the commit of the other has not undone it");
        assert_eq!(ledger.hand(NOW, &bob, false), Ok(true));
        ledger.close(Fault::new(Code::NotOwner, "gone"));
        assert_eq!(ledger.hand(NOW, &bob, true).unwrap_err().code, Code::NotOwner);
    }

    #[test]
    fn a_mute_acts_while_another_command_waits_for_its_commit() {
        let mut ledger = open();
        ledger.handle(NOW, Actor::Operator, Command::GoLive, 1);
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, mute(), 2)), "T2");
        assert!(!ledger.room().record().may_speak(&id("ann")));
        assert_eq!(short(&ledger.settle(NOW, Settled::Committed)), "T1 1:ok C");
        assert!(!ledger.room().record().may_speak(&id("ann")), "the commit of the other has not undone it");
        assert_eq!(short(&ledger.settle(NOW, Settled::Committed)), "2:ok");
    }

    fn written(steps: Vec<Step<u32>>) -> Vec<usize> {
        let written = steps.into_iter().filter_map(|step| match step {
            Step::Commit(written) => Some(written.bans),
            _ => None,
        });
        written.flatten().map(|(number, _)| number).collect()
    }

    #[test]
    fn a_ban_writes_its_part_and_one_that_may_not_have_arrived_is_written_again() {
        let (mut ledger, ban) = (open(), |name| Command::Ban { id: id(name), reason: String::new() });
        let first = written(ledger.handle(NOW, Actor::Operator, ban("eve"), 1));
        assert_eq!(first.len(), 1);
        assert_eq!(written(ledger.settle(NOW, away())), [0; 0]);
        // What was banned meanwhile goes along.
        let second = ledger.handle(NOW, Actor::Operator, ban("mallory"), 2);
        assert_eq!(short(&second), "T2 2:ok");
        let both = written(ledger.retry());
        assert!(both.len() == 2 && both.contains(&first[0]), "{both:?}");
        ledger.settle(NOW, Settled::Committed);
        assert_eq!(written(ledger.handle(NOW, Actor::Operator, mute(), 3)), [0; 0], "they are there");
        ledger.settle(NOW, Settled::Committed);

        // An unban that was refused, and arrived all the same, is undone.
        let unban = Command::Unban { id: id("eve") };
        assert_eq!(written(ledger.handle(NOW, Actor::Operator, unban, 4)), first);
        assert_eq!(short(&ledger.settle(NOW, away())), "4:directory_unavailable");
        assert!(ledger.room().record().bans().contains(&id("eve")));
        assert_eq!(written(ledger.retry()), first);
        ledger.settle(NOW, Settled::Committed);
        assert_eq!(written(ledger.save_again()).len(), Bans::PARTS, "who cannot tell writes all");
    }

    #[test]
    fn without_the_directory_a_mute_holds_and_other_commands_are_refused_unchanged() {
        let mut ledger = open();
        ledger.handle(NOW, Actor::Operator, Command::GoLive, 1);
        assert_eq!(short(&ledger.settle(NOW, away())), "1:directory_unavailable");
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, mute(), 2)), "T2 2:ok");
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, Command::End, 3)), "3:directory_unavailable");
        let hand = ledger.handle(NOW, someone("bob", Role::Listener), Command::RaiseHand, 4);
        assert_eq!(short(&hand), "T1 4:ok");
        assert_eq!(short(&ledger.retry()), "C");
        assert_eq!(short(&ledger.settle(NOW, away())), "");
        assert_eq!(short(&ledger.retry()), "C");
        assert_eq!(short(&ledger.settle(NOW, Settled::Committed)), "");
        assert!(ledger.is_settled() && ledger.room().hands().len() == 1);
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, Command::GoLive, 5)), "C");
    }

    #[test]
    fn a_decision_made_while_a_save_is_under_way_is_saved_after_it() {
        let mut ledger = open();
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, mute(), 1)), "T2 C");
        let unmute = Command::Mute { id: id("ann"), muted: false };
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, unmute, 2)), "T2");
        assert_eq!(short(&ledger.settle(NOW, away())), "1:ok 2:ok");
        assert_eq!(short(&ledger.retry()), "C");
        assert_eq!(short(&ledger.settle(NOW, Settled::Committed)), "");
        assert!(ledger.is_settled());
    }

    #[test]
    fn a_fenced_owner_tells_everyone_that_waits_to_go_elsewhere() {
        let mut ledger = open();
        ledger.handle(NOW, Actor::Operator, Command::GoLive, 1);
        ledger.handle(NOW, Actor::Operator, mute(), 2);
        ledger.handle(NOW, Actor::Operator, Command::End, 3);
        let fenced = Fault::new(Code::NotOwner, "epoch 2 owns the room");
        let refused: Vec<_> = ledger.abandon(&fenced).into_iter().map(|(to, _)| to).collect();
        assert_eq!(refused, [1, 2, 3]);
        assert_eq!(short(&ledger.settle(NOW, Settled::Committed)), "");
        assert_eq!(short(&ledger.handle(NOW, Actor::Operator, mute(), 4)), "4:not_owner");
    }
}
