//! What owners of watched rooms decide: commands go through `room::Ledger`, and what it says is done over the simulated
//! directory and audio.

use std::{collections::BTreeSet, rc::Rc};

use rand::RngExt;
use stentor_ids::{Code, Fault};
use stentor_ownership::{Event, Standing, Successor};
use stentor_pace::Invariant;
use stentor_relay::Way;
use stentor_room::{Actor, Command, CommitId, Ledger, Lifecycle, Record, Room, Settled, Step};

use super::{
    audio::{Decision, speaker},
    directory::{Book, Op, Refused, Reply, RoomIx},
    message::{Answer, Ask, Message, Note, Run},
    net::NodeIx,
    staged::{Staged, staged},
    world::World,
};

/// Decisions that are remembered: those of a second and more.
const DECISIONS: usize = 16;
/// Most time between two commands of moderators, in milliseconds.
const COMMAND_MS: u64 = 3_000;

impl World {
    /// Somebody is muted or heard again, by the word of the owner.
    pub(super) fn moderate(&mut self, room: RoomIx) {
        if self.audio[room].next_command > self.now {
            return;
        }
        self.audio[room].next_command = self.now + self.random.random_range(200..COMMAND_MS);
        let (id, muted) = (speaker(self.random.random_range(0..3)), self.random.random_bool(0.6));
        let mut nodes = 0..self.nodes.len();
        let owner = nodes.find(|n| self.awake(*n) && self.epoch_of(*n, room).is_some());
        let Some(n) = owner else { return };
        let Some(number) = self.nodes[n].control.rooms.get(&room).map(|running| running.number) else {
            return;
        };
        let run = Run { room, number };
        self.command(n, run, Actor::Operator, Command::Mute { id: id.clone(), muted });
        // One that waits for its commit, beside one that does not.
        if !self.now.is_multiple_of(3) {
            let gain_db = if muted { -3 } else { 0 };
            self.command(n, run, Actor::Operator, Command::SetGain { id, gain_db });
        }
    }

    /// Somebody gives a room a command, and is answered once.
    pub(super) fn command(&mut self, n: NodeIx, run: Run, by: Actor, command: Command) {
        let (wall, token) = (self.wall(), self.number());
        let Some(ledger) = self.running(n, run).and_then(|running| running.ledger.as_mut()) else { return };
        let steps = ledger.handle(wall, by, command, token);
        self.commands.insert(token);
        self.carry_out(n, run, steps);
    }

    /// Does what a ledger says, in its order.
    pub(super) fn carry_out(&mut self, n: NodeIx, run: Run, steps: Vec<Step<u64>>) {
        for step in steps {
            match step {
                Step::Commit(written) => self.commit(n, run, written.id, written.record.into()),
                Step::Tell(_) => self.decided(n, run),
                Step::Answer(token, _) => self.answer_command(token),
            }
        }
        let books = self.running(n, run).and_then(|running| running.ledger.as_ref());
        if books.is_some_and(|books| matches!(books.room().record().lifecycle(), Lifecycle::Ended { .. })) {
            self.tell_followers(n, run.room, &Message::Ended { room: run.room, from: n });
            self.tell_run(n, run, Event::Ended);
        }
    }

    fn commit(&mut self, n: NodeIx, run: Run, id: CommitId, record: Rc<[u8]>) {
        let Some(Standing::Owner(held)) = self.running(n, run).map(|running| running.published.clone())
        else {
            return;
        };
        let (room, epoch, revision) = (run.room, held.right.epoch, held.right.revision);
        self.ask(n, Ask::Commit(run, id), Op::Commit { room, epoch, revision, record: Some(record) });
    }

    /// A commit has ended, or nobody knows. A key that is gone with its lease fences nobody for good: the owner puts it back.
    /// Another's key does.
    pub(super) fn commit_ended(&mut self, n: NodeIx, run: Run, id: CommitId, answer: Answer) {
        let unavailable = || Settled::Unavailable(Fault::new(Code::DirectoryUnavailable, "it is away"));
        let settled = match answer {
            Answer::Directory(Reply::Committed(Ok(()))) => Settled::Committed,
            Answer::Directory(Reply::Committed(Err(Refused::Owned(Some(owner))))) => {
                let own = self.running(n, run).map(|running| running.published.owner().clone());
                let key = self.owner_key(&owner);
                if own.is_some_and(|own| own.node != key.node || key.epoch > own.epoch) {
                    return self.tell_run(n, run, Event::Claimed(Successor::from(&key)));
                }
                unavailable()
            }
            _ => unavailable(),
        };
        let wall = self.wall();
        let Some(ledger) = self.running(n, run).and_then(|running| running.ledger.as_mut()) else { return };
        let steps = ledger.settle(wall, id, settled);
        self.carry_out(n, run, steps);
        self.tell_run(n, run, Event::Books);
    }

    /// The room is another than before, and everyone is told.
    fn decided(&mut self, n: NodeIx, run: Run) {
        let Some(running) = self.running(n, run) else { return };
        let Some(ledger) = &running.ledger else { return };
        let epoch = running.published.owner().epoch;
        let told = staged(epoch, ledger.room().record());
        let Some(origin) = self.origin(n, run.room) else { return };
        origin.heed(Way::Own, told.clone());
        let Staged { stage, .. } = &told;
        let open = stage.participants.iter().filter(|one| !one.muted).map(|one| one.id.clone());
        let open: BTreeSet<_> = open.collect();
        self.note(Note::Mutes { room: run.room, version: stage.version });
        let decided = &mut self.audio[run.room].decided;
        decided.push_back(Decision { at: self.now, stage: told.id(), open });
        if decided.len() > DECISIONS {
            decided.pop_front();
        }
        self.tell_followers(n, run.room, &Message::Stage { room: run.room, from: n, told });
    }

    /// Whoever gave a command is answered: once.
    pub(super) fn answer_command(&mut self, token: u64) {
        if !self.commands.remove(&token) {
            self.broken(Invariant::Bounded.broken(format!("command {token} is answered twice")));
        }
    }

    /// Does something to a room's ledger.
    pub(super) fn books(&mut self, n: NodeIx, run: Run, change: impl FnOnce(&mut Ledger<u64>)) {
        if let Some(ledger) = self.running(n, run).and_then(|running| running.ledger.as_mut()) {
            change(ledger);
        }
    }

    pub(super) fn abandon(&mut self, n: NodeIx, run: Run, fault: &Fault) {
        let mut answers = Vec::new();
        self.books(n, run, |ledger| answers = ledger.abandon(fault));
        answers.into_iter().for_each(|(token, _)| self.answer_command(token));
    }

    pub(super) fn save_again(&mut self, n: NodeIx, run: Run) {
        let mut steps = Vec::new();
        self.books(n, run, |ledger| steps = ledger.save_again());
        self.carry_out(n, run, steps);
    }

    /// A room's business begins from a record, or goes on from what was told.
    pub(super) fn open_books(&mut self, n: NodeIx, run: Run, record: Option<&Rc<[u8]>>) {
        let record = record.and_then(|book| Record::decode(book).ok());
        let Some(running) = self.running(n, run) else { return };
        if let Some(record) = record {
            running.ledger = Some(Ledger::new(Room::new(record), running.published.owner().epoch));
        }
    }

    /// What an owner would write.
    pub(super) fn record(&mut self, n: NodeIx, run: Run) -> Book {
        let ledger = self.running(n, run)?.ledger.as_ref()?;
        Some(ledger.room().record().encode().into())
    }
}
