//! What a room has decided, and what of it the directory has: the order of commands, commits and answers. Pure: a driver
//! carries the steps out and reports how commits ended.
//!
//! | command | directory there | directory away |
//! |---|---|---|
//! | needs no commit (hands, invitations) | at once | at once |
//! | acts at once ([`Command::acts_at_once`]) | on the stage at once, answered when committed | at once, saved when it is back |
//! | any other | when committed | refused with `DIRECTORY_UNAVAILABLE`, unchanged |
//!
//! Invariants: one commit is under way at a time; what waits for its commit is told to nobody before; a command that was
//! refused is undone in the directory too, should the write have arrived all the same; each command is answered once; the
//! end of a commit counts once, and only while that commit is under way; a version of the stage is one stage, whether it was
//! told or written, so that who reads both knows which is newer. How many commands wait is bounded by who lets
//! them in: each brings one of a bounded number of tokens to answer to.

mod stored;

use std::collections::VecDeque;

use stentor_ids::{Epoch, Fault};
use stentor_pace::WallTime;

use crate::{Actor, Command, Effect, Room};

use stored::Stored;
pub use stored::{CommitId, Written};

/// What a driver is to do, in this order. `T` is whom to answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Commit this under the owner's fence, and report to [`Ledger::settle`] under its [`Written::id`].
    Commit(Written),
    /// Carry these effects out: they hold. Never empty, and never with an [`Effect::Commit`].
    Tell(Vec<Effect>),
    /// Answer a command.
    Answer(T, Result<(), Fault>),
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The directory has the record.
    Committed,
    /// It may or may not have it; with what those are told who waited for it.
    Unavailable(Fault),
}

/// A commit that has not ended.
#[derive(Debug)]
struct Attempt<T> {
    id: CommitId,
    of: Of<T>,
}

#[derive(Debug)]
enum Of<T> {
    /// A command that waits for it.
    Command { next: Box<Room>, effects: Vec<Effect>, to: T },
    /// What acted at once.
    Save { to: Vec<T> },
}

/// Who may give commands.
#[derive(Debug)]
enum Door {
    Open,
    /// Nobody, for now.
    Closed(Fault),
    /// Nobody ever: nothing is committed any more.
    Abandoned(Fault),
}

/// A room with its unfinished business.
#[derive(Debug)]
pub struct Ledger<T> {
    room: Room,
    /// The last commit that was begun.
    last: CommitId,
    attempt: Option<Attempt<T>>,
    waiting: VecDeque<(Actor, Command, T)>,
    /// The room has decisions that no commit carries yet, and these wait for the answer.
    unsaved: Option<Vec<T>>,
    /// The last commit failed.
    away: Option<Fault>,
    door: Door,
    stored: Stored,
}

impl<T> Ledger<T> {
    /// The business of a room that is as the directory has it, owned at this epoch. Commits are numbered anew for each
    /// ledger: one that is made again under the same epoch must not hear of the commits of the former.
    #[must_use]
    pub fn new(room: Room, epoch: Epoch) -> Self {
        let stored = Stored::new(room.record().bans());
        Self {
            room,
            last: CommitId::none(epoch),
            attempt: None,
            waiting: VecDeque::new(),
            unsaved: None,
            away: None,
            door: Door::Open,
            stored,
        }
    }

    /// The room as everyone is told it is.
    pub const fn room(&self) -> &Room {
        &self.room
    }

    /// Whether the directory has all that was decided, and nobody waits.
    pub fn is_settled(&self) -> bool {
        self.attempt.is_none() && self.unsaved.is_none() && self.waiting.is_empty() && self.away.is_none()
    }

    /// Why commits fail now, if they do.
    pub const fn away(&self) -> Option<&Fault> {
        self.away.as_ref()
    }

    /// Refuses every command from now on, with this; what is under way goes on.
    pub fn close(&mut self, fault: Fault) {
        if !self.is_abandoned() {
            self.door = Door::Closed(fault);
        }
    }

    /// Takes commands again, unless it is abandoned.
    pub fn reopen(&mut self) {
        if !self.is_abandoned() {
            self.door = Door::Open;
        }
    }

    /// What time alone changes: hands that were up for too long are lowered. Call it every second or so.
    pub fn expire(&mut self, now: WallTime) -> Vec<Step<T>> {
        if self.is_abandoned() {
            return Vec::new();
        }
        if let Some(Attempt { of: Of::Command { next, .. }, .. }) = &mut self.attempt {
            drop(next.expire(now));
        }
        tell(self.room.expire(now)).into_iter().collect()
    }

    /// Takes a command.
    pub fn handle(&mut self, now: WallTime, by: Actor, command: Command, to: T) -> Vec<Step<T>> {
        if let Some(fault) = self.refusal() {
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
        if let Some(fault) = self.refusal() {
            return Err(fault.clone());
        }
        let command = if up { Command::RaiseHand } else { Command::LowerHand };
        let effects = self.room.handle(now, by, command.clone())?;
        // A hand is in no record: nothing of it is to be saved.
        drop(self.act_on_next(now, by, command));
        Ok(!effects.is_empty())
    }

    /// A commit ended. Does nothing unless that commit is the one under way.
    pub fn settle(&mut self, now: WallTime, commit: CommitId, outcome: Settled) -> Vec<Step<T>> {
        // An answer to an earlier commit says nothing of what this one writes, least of all that the directory has it.
        let Some(attempt) = self.attempt.take_if(|attempt| attempt.id == commit) else { return Vec::new() };
        let mut steps = Vec::new();
        match outcome {
            Settled::Committed => self.committed(attempt.of, &mut steps),
            Settled::Unavailable(fault) => self.failed(attempt.of, fault, &mut steps),
        }
        self.advance(now, &mut steps);
        steps
    }

    /// Tries to save again after a failure. Call it every second or so.
    pub fn retry(&mut self) -> Vec<Step<T>> {
        if self.away.is_none() || self.attempt.is_some() || self.is_abandoned() {
            return Vec::new();
        }
        vec![self.save()]
    }

    /// Commits the whole room as it is, for whoever cannot tell what the directory has of it.
    pub fn save_again(&mut self) -> Vec<Step<T>> {
        if self.is_abandoned() {
            return Vec::new();
        }
        // What is under way may have gone to the directory of before: its end proves nothing.
        self.stored.doubt();
        if self.attempt.is_some() {
            // When that has ended, however it does.
            self.unsaved.get_or_insert_default();
            return Vec::new();
        }
        vec![self.save()]
    }

    /// Answers everyone that waits: this ledger commits nothing more and does nothing more, whatever it is still told.
    pub fn abandon(&mut self, fault: &Fault) -> Vec<(T, Result<(), Fault>)> {
        if !self.is_abandoned() {
            self.door = Door::Abandoned(fault.clone());
        }
        let attempt = match self.attempt.take().map(|attempt| attempt.of) {
            Some(Of::Command { to, .. }) => vec![to],
            Some(Of::Save { to }) => to,
            None => Vec::new(),
        };
        let unsaved = self.unsaved.take().unwrap_or_default();
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|(_, _, to)| to);
        let all = attempt.into_iter().chain(unsaved).chain(waiting);
        all.map(|to| (to, Err(fault.clone()))).collect()
    }

    const fn is_abandoned(&self) -> bool {
        matches!(self.door, Door::Abandoned(_))
    }

    const fn refusal(&self) -> Option<&Fault> {
        match &self.door {
            Door::Open => None,
            Door::Closed(fault) | Door::Abandoned(fault) => Some(fault),
        }
    }

    fn committed(&mut self, of: Of<T>, steps: &mut Vec<Step<T>>) {
        self.stored.committed();
        self.away = None;
        match of {
            Of::Command { next, effects, to } => {
                self.room = *next;
                // Whoever has an answer finds it told.
                steps.extend(tell(effects));
                steps.push(Step::Answer(to, Ok(())));
            }
            Of::Save { to } => steps.extend(to.into_iter().map(|to| Step::Answer(to, Ok(())))),
        }
    }

    fn failed(&mut self, of: Of<T>, fault: Fault, steps: &mut Vec<Step<T>>) {
        match of {
            // The write may have arrived. The room as it was before is saved over it, since `become_away` leaves it unsaved.
            Of::Command { next, to, .. } => {
                let refused = next.record().stage_version();
                if refused > self.room.record().stage_version() {
                    steps.extend(tell(Vec::from_iter(self.room.raise_stage(refused))));
                }
                steps.push(Step::Answer(to, Err(fault.clone())));
            }
            // It holds already, and is saved when the directory is back.
            Of::Save { to } => steps.extend(to.into_iter().map(|to| Step::Answer(to, Ok(())))),
        }
        self.become_away(fault, steps);
    }

    /// A command that acts before its commit, on what is told and on what waits to be.
    fn act(&mut self, now: WallTime, by: &Actor, command: Command, to: T) -> Vec<Step<T>> {
        let before = self.room.record().stage_version();
        let mut effects = match self.room.handle(now, by, command.clone()) {
            Ok(effects) => effects,
            Err(refusal) => return vec![Step::Answer(to, Err(refusal.into()))],
        };
        let mut commit = take_commit(&mut effects);
        let mut later = self.act_on_next(now, by, command);
        self.part_stages(before, &mut effects);
        if take_commit(&mut later) && !commit {
            // It is so already, and would not be after the commit under way, as a ban while an unban waits. That commit
            // carries nothing of it: it is told with it, and saved after it.
            commit = true;
            later.retain(|effect| !effects.contains(effect));
            if let Some(Attempt { of: Of::Command { effects, .. }, .. }) = &mut self.attempt {
                effects.extend(later);
            }
        }
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

    /// The stage that is told now and the one that waits for its commit, which may be written already, are two: they get two
    /// versions, and the one that waits the higher one. `before` is the version that was told until now.
    fn part_stages(&mut self, before: u64, told: &mut [Effect]) {
        let Some(Attempt { of: Of::Command { next, effects, .. }, .. }) = &mut self.attempt else { return };
        let is = |effect: &Effect| matches!(effect, Effect::StageChanged { .. });
        if self.room.record().stage_version() == before || !effects.iter().any(is) {
            return;
        }
        let now = self.room.raise_stage(next.record().stage_version());
        let later = next.raise_stage(self.room.record().stage_version());
        for (raised, stage) in
            [(now, told.iter_mut().find(|one| is(one))), (later, effects.iter_mut().find(|one| is(one)))]
        {
            if let (Some(raised), Some(stage)) = (raised, stage) {
                *stage = raised;
            }
        }
    }

    /// Does on the room that waits for its commit what was done on the one that is told: else that commit would undo it. Says
    /// what comes of it there.
    fn act_on_next(&mut self, now: WallTime, by: &Actor, command: Command) -> Vec<Effect> {
        match &mut self.attempt {
            // Refused there at most because the waiting command made it so already.
            Some(Attempt { of: Of::Command { next, .. }, .. }) => {
                next.handle(now, by, command).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Starts what can be started now.
    fn advance(&mut self, now: WallTime, steps: &mut Vec<Step<T>>) {
        while self.attempt.is_none() || self.away.is_some() {
            // What acted at once goes first: it holds already, and a command's commit would not answer for it.
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
                        steps.push(self.begin(Of::Command { next: Box::new(next), effects, to }));
                    }
                },
            }
        }
    }

    fn save(&mut self) -> Step<T> {
        let to = self.unsaved.take().unwrap_or_default();
        self.begin(Of::Save { to })
    }

    fn begin(&mut self, of: Of<T>) -> Step<T> {
        let id = self.last.next();
        let room = match &of {
            Of::Command { next, .. } => next,
            Of::Save { .. } => &self.room,
        };
        let step = Step::Commit(self.stored.write(id, room.record()));
        (self.last, self.attempt) = (id, Some(Attempt { id, of }));
        step
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
