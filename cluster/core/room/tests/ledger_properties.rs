//! What holds of a ledger after any commands, over commits that end well, badly, late, twice or never.

#![expect(clippy::unwrap_used, reason = "a room that cannot be made here is a bug of the test")]

mod any;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use stentor_ids::{Code, Epoch, Fault, ParticipantId};
use stentor_pace::WallTime;
use stentor_room::{
    Actor, BanPart, Bans, Command, CommitId, Effect, Ledger, Lifecycle, Record, Room, Settled, Spec, Step,
    Written,
};

use any::{any_actor, any_command};

/// How many commits it may take until all is settled, once they end well: what waits, and what is unsaved.
const PATIENCE: usize = 200;

/// What can happen to a ledger.
#[derive(Debug, Clone)]
enum Act {
    Command(Actor, Command),
    Hand(Actor, bool),
    /// The commit under way ends: whether the write arrived, and whether its answer did.
    End {
        arrived: bool,
        answered: bool,
    },
    /// The end of a commit that has ended already is told again, or at last.
    Again(prop::sample::Index, bool),
    Retry,
    /// The directory may have lost what it had of the room beside its record, and perhaps has.
    SaveAgain {
        lost: bool,
    },
    Expire,
    Close,
    Reopen,
    Abandon,
}

/// The bans of few, so that a part of them is written again and again.
fn any_ban() -> impl Strategy<Value = Act> {
    (0..2, any::<bool>()).prop_map(|(who, banned)| {
        let id = ParticipantId::new(format!("p{who}")).unwrap();
        let ban = Command::Ban { id: id.clone(), reason: String::new() };
        Act::Command(Actor::Operator, if banned { ban } else { Command::Unban { id } })
    })
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        400 => (any_actor(), any_command()).prop_map(|(by, command)| Act::Command(by, command)),
        60 => any_ban(),
        40 => (any_actor(), any::<bool>()).prop_map(|(by, up)| Act::Hand(by, up)),
        160 => Just(Act::End { arrived: true, answered: true }),
        30 => Just(Act::End { arrived: true, answered: false }),
        30 => Just(Act::End { arrived: false, answered: false }),
        60 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, well)| Act::Again(which, well)),
        60 => Just(Act::Retry),
        15 => any::<bool>().prop_map(|lost| Act::SaveAgain { lost }),
        15 => Just(Act::Expire),
        5 => Just(Act::Close),
        20 => Just(Act::Reopen),
        1 => Just(Act::Abandon),
    ]
}

fn gone() -> Fault {
    Fault::new(Code::DirectoryUnavailable, "gone")
}

fn fenced() -> Fault {
    Fault::new(Code::NotOwner, "epoch 2 owns the room")
}

/// A driver and its directory.
struct World {
    ledger: Ledger<u32>,
    now: WallTime,
    /// Who has no answer yet, with what it asked for.
    waiting: BTreeMap<u32, (Actor, Command)>,
    asked: u32,
    under_way: Option<Written>,
    /// What the room is to be when that has ended well: what it writes, and what acted at once meanwhile.
    next: Option<Room>,
    ended: Vec<CommitId>,
    abandoned: bool,
    /// Who is banned by what was told.
    banned: BTreeSet<ParticipantId>,
    /// What the directory has.
    record: Vec<u8>,
    bans: BTreeMap<usize, Vec<u8>>,
    /// The stages that were told or written, by their versions.
    stages: BTreeMap<u64, String>,
}

impl World {
    fn new() -> Self {
        let mut room = Room::new(Record::new(Spec { stage_limit: 3, ..Spec::default() }).unwrap());
        let now = WallTime::from_millis(1_000);
        room.handle(now, &Actor::Operator, Command::Open).unwrap();
        Self {
            record: room.record().encode(),
            ledger: Ledger::new(room, Epoch(1)),
            now,
            waiting: BTreeMap::new(),
            asked: 0,
            under_way: None,
            next: None,
            ended: Vec::new(),
            abandoned: false,
            banned: BTreeSet::new(),
            bans: BTreeMap::new(),
            stages: BTreeMap::new(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Command(by, command) => self.command(by, command),
            Act::Hand(by, up) => self.hand(&by, up),
            Act::End { arrived, answered } => self.end(arrived, answered),
            Act::Again(which, well) => self.again(which, well),
            Act::Retry => self.tick(Ledger::retry),
            Act::SaveAgain { lost } => self.save_again(lost),
            Act::Expire => {
                let now = self.now;
                self.tick(|ledger| ledger.expire(now));
            }
            Act::Close => self.ledger.close(fenced()),
            Act::Reopen => self.ledger.reopen(),
            Act::Abandon => self.abandon(),
        }
        let told = self.room();
        self.see_stage(told.record());
        let record = told.record();
        // Who is banned while the end of the room waits is kept out of nothing.
        let ended = matches!(record.lifecycle(), Lifecycle::Ended { .. });
        let banned: BTreeSet<_> = record.bans().iter().cloned().collect();
        assert!(ended || banned == self.banned, "{banned:?} are banned, {:?} are told", self.banned);
    }

    fn command(&mut self, by: Actor, command: Command) {
        self.asked += 1;
        let (to, before, was_away) = (self.asked, self.room(), self.ledger.away().is_some());
        self.waiting.insert(to, (by.clone(), command.clone()));
        let steps = self.ledger.handle(self.now, by.clone(), command.clone(), to);
        let refused = steps.iter().any(|step| matches!(step, Step::Answer(whom, Err(_)) if *whom == to));
        if let Some(next) = self.next.as_mut().filter(|_| command.acts_at_once() && !refused) {
            // What is under way may leave nothing of it to do.
            drop(next.handle(self.now, &by, command.clone()));
        }
        let changed = before.record() != self.ledger.room().record();
        assert!(!changed || command.acts_at_once(), "{command:?} acts before it is committed");
        let answered = steps.iter().any(|step| matches!(step, Step::Answer(whom, _) if *whom == to));
        assert!(!changed || answered == was_away, "{command:?} is answered before it is committed");
        self.carry_out(steps, &before, command.acts_at_once());
    }

    fn hand(&mut self, by: &Actor, up: bool) {
        let before = self.room();
        let changed = self.ledger.hand(self.now, by, up).unwrap_or_default();
        assert_eq!(changed, before.hands() != self.ledger.room().hands());
        assert_eq!(before.record(), self.ledger.room().record());
    }

    fn end(&mut self, arrived: bool, answered: bool) {
        let Some(Written { id, record, bans }) = self.under_way.take() else { return };
        if arrived {
            self.record = record;
            self.bans.extend(bans);
        }
        self.ended.push(id);
        let before = self.room();
        let outcome = if answered { Settled::Committed } else { Settled::Unavailable(gone()) };
        let steps = self.ledger.settle(self.now, id, outcome);
        let next = self.next.take().filter(|_| answered).unwrap_or_else(|| before.clone());
        // A stage of its own has a version of its own, also where nothing else has changed.
        assert_eq!(
            but_for_version(next.record()),
            but_for_version(self.ledger.room().record()),
            "what is committed holds, with what acted at once"
        );
        assert!(self.ledger.room().record().stage_version() >= before.record().stage_version());
        self.carry_out(steps, &before, answered);
    }

    /// An answer that is none any more does nothing.
    fn again(&mut self, which: prop::sample::Index, well: bool) {
        if self.ended.is_empty() {
            return;
        }
        let (before, settled, away) = (self.room(), self.ledger.is_settled(), self.ledger.away().cloned());
        let outcome = if well { Settled::Committed } else { Settled::Unavailable(gone()) };
        assert_eq!(self.ledger.settle(self.now, *which.get(&self.ended), outcome), []);
        assert_eq!(self.ledger.is_settled(), settled);
        assert_eq!(self.ledger.away(), away.as_ref());
        assert_eq!(*self.ledger.room(), before);
    }

    fn tick(&mut self, act: impl FnOnce(&mut Ledger<u32>) -> Vec<Step<u32>>) {
        let before = self.room();
        let steps = act(&mut self.ledger);
        assert_eq!(before.record(), self.ledger.room().record());
        self.carry_out(steps, &before, false);
    }

    fn save_again(&mut self, lost: bool) {
        if lost {
            self.bans.clear();
        }
        self.tick(Ledger::save_again);
    }

    fn abandon(&mut self) {
        for (to, outcome) in self.ledger.abandon(&fenced()) {
            assert_eq!(outcome, Err(fenced()));
            self.waiting.remove(&to).expect("who waits is answered once");
        }
        assert!(self.waiting.is_empty(), "{:?} wait for nothing", self.waiting);
        // Its commit may go on in the directory, and its end may be told.
        self.ended.extend(self.under_way.take().map(|written| written.id));
        self.abandoned = true;
    }

    /// What is told holds, or acts at once: then `holds` is true.
    fn carry_out(&mut self, steps: Vec<Step<u32>>, before: &Room, holds: bool) {
        for step in steps {
            assert!(!self.abandoned || matches!(step, Step::Answer(_, Err(_))), "{step:?} when abandoned");
            match step {
                Step::Commit(written) => {
                    self.see_stage(&record(&written.record, &BTreeMap::new()));
                    assert!(self.ended.iter().all(|ended| *ended < written.id), "{written:?}");
                    let told =
                        self.ledger.room().record().bans().parts().iter().map(BanPart::encode).enumerate();
                    let parts = told.chain(written.bans.iter().cloned()).collect();
                    self.next = Some(Room::new(record(&written.record, &parts)));
                    let other = self.under_way.replace(written);
                    assert_eq!(other, None, "one commit at a time");
                }
                Step::Tell(effects) => {
                    assert!(!effects.is_empty() && !effects.contains(&Effect::Commit), "{effects:?}");
                    let told = effects.iter().filter(|effect| !is_of_no_record(effect)).count();
                    let raised = |effect: &Effect| matches!(effect, Effect::StageChanged { .. });
                    let same = effects.iter().all(raised)
                        && self.ledger.room().record().stage() == before.record().stage();
                    assert!(holds || told == 0 || same, "{effects:?} are told and not committed");
                    self.hear(effects);
                }
                Step::Answer(to, outcome) => {
                    let (by, command) = self.waiting.remove(&to).expect("who waits is answered once");
                    if outcome.is_ok() && !holds && !command.acts_at_once() {
                        let mut room = before.clone();
                        let effects = room.handle(self.now, &by, command).unwrap_or_default();
                        assert!(!effects.contains(&Effect::Commit), "answered and not committed");
                    }
                }
            }
        }
    }

    fn hear(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::BanChanged { participant, banned: true } => drop(self.banned.insert(participant)),
                Effect::BanChanged { participant, banned: false } => drop(self.banned.remove(&participant)),
                _ => {}
            }
        }
    }

    /// A version is one stage, whoever reads it: from what is told, or from what is written.
    fn see_stage(&mut self, record: &Record) {
        let stage = format!("{:?}", record.stage());
        let known = self.stages.entry(record.stage_version()).or_insert_with(|| stage.clone());
        assert_eq!(*known, stage, "version {}", record.stage_version());
    }

    fn room(&self) -> Room {
        self.ledger.room().clone()
    }

    /// Commits end well from now on.
    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            if self.ledger.is_settled() {
                break;
            }
            self.tick(Ledger::retry);
            self.end(true, true);
        }
        assert!(self.ledger.is_settled());
        assert!(self.waiting.is_empty(), "{:?} wait for nothing", self.waiting);
        let stored = record(&self.record, &self.bans);
        assert_eq!(stored, *self.ledger.room().record(), "the directory has what is told, and no more");
    }
}

/// What a record says, but for the version of its stage and who is banned.
fn but_for_version(record: &Record) -> serde_json::Value {
    let mut value: serde_json::Value = serde_json::from_slice(&record.encode()).unwrap();
    value.as_object_mut().unwrap().remove("stage_version");
    value
}

/// A record with its bans as they are stored.
fn record(record: &[u8], bans: &BTreeMap<usize, Vec<u8>>) -> Record {
    let bans = bans.iter().filter(|(_, part)| !part.is_empty()).map(|(number, part)| (*number, part));
    Record::decode(record).unwrap().with_bans(Bans::decode(bans).unwrap())
}

/// What is told without a commit, however the directory is: hands and invitations.
const fn is_of_no_record(effect: &Effect) -> bool {
    matches!(effect, Effect::HandsChanged | Effect::Notify { .. })
}

proptest! {
    #[test]
    fn any_commands_over_any_commits_are_told_when_they_hold_and_answered_once(
        acts in prop::collection::vec((any_act(), 0_u64..40), 0..160),
    ) {
        let mut world = World::new();
        let mut seen = BTreeSet::new();
        for (act, seconds) in acts {
            world.now = world.now + Duration::from_secs(seconds);
            world.act(act);
            seen.extend(world.under_way.as_ref().map(|written| written.id));
        }
        let ends = world.ended.len() + usize::from(world.under_way.is_some());
        prop_assert_eq!(seen.len(), ends, "a number is used for one commit");
        if !world.abandoned {
            world.settle();
        }
        world.abandon();
    }
}
