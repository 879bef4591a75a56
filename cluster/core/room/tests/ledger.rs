//! The order of commands, commits and answers, one case at a time. What holds over any commands is in `ledger_properties`.

#![expect(clippy::unwrap_used, reason = "a room that cannot be made here is a bug of the test")]

use stentor_ids::{Code, Epoch, Fault, ParticipantId, Role};
use stentor_pace::WallTime;
use stentor_room::{Actor, Bans, Command, CommitId, Ledger, Record, Room, Settled, Spec, Step, Written};

const NOW: WallTime = WallTime::from_millis(1_000);

fn id(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

fn someone(name: &str, role: Role) -> Actor {
    Actor::Participant { id: id(name), name: name.to_owned(), role }
}

fn mute(muted: bool) -> Command {
    Command::Mute { id: id("ann"), muted }
}

fn gone() -> Fault {
    Fault::new(Code::DirectoryUnavailable, "gone")
}

/// A driver that holds each commit until the test says how it ended.
struct Driver {
    ledger: Ledger<u32>,
    written: Option<Written>,
}

impl Driver {
    /// Of an open room with one speaker.
    fn open() -> Self {
        let mut room = Room::new(Record::new(Spec::default()).unwrap());
        room.handle(NOW, &Actor::Operator, Command::Open).unwrap();
        room.handle(NOW, &someone("ann", Role::Speaker), Command::Join).unwrap();
        Self { ledger: Ledger::new(room, Epoch(1)), written: None }
    }

    fn operator(&mut self, command: Command, to: u32) -> String {
        self.handle(Actor::Operator, command, to)
    }

    fn handle(&mut self, by: Actor, command: Command, to: u32) -> String {
        let steps = self.ledger.handle(NOW, by, command, to);
        self.take(steps)
    }

    fn committed(&mut self) -> String {
        self.settle(self.under_way(), Settled::Committed)
    }

    fn failed(&mut self) -> String {
        self.settle(self.under_way(), Settled::Unavailable(gone()))
    }

    fn settle(&mut self, commit: CommitId, outcome: Settled) -> String {
        let steps = self.ledger.settle(NOW, commit, outcome);
        self.take(steps)
    }

    fn retry(&mut self) -> String {
        let steps = self.ledger.retry();
        self.take(steps)
    }

    fn save_again(&mut self) -> String {
        let steps = self.ledger.save_again();
        self.take(steps)
    }

    /// The last commit that was asked for.
    fn under_way(&self) -> CommitId {
        self.written.as_ref().unwrap().id
    }

    /// Which parts of the bans it writes.
    fn parts(&self) -> Vec<usize> {
        self.written.iter().flat_map(|written| &written.bans).map(|(number, _)| *number).collect()
    }

    fn may_speak(&self) -> bool {
        self.ledger.room().record().may_speak(&id("ann"))
    }

    /// The steps in short: `C` a commit, `T` something told, and the answers.
    fn take(&mut self, steps: Vec<Step<u32>>) -> String {
        let short = |step| match step {
            Step::Commit(written) => {
                self.written = Some(written);
                "C".to_owned()
            }
            Step::Tell(effects) => format!("T{}", effects.len()),
            Step::Answer(to, Ok(())) => format!("{to}:ok"),
            Step::Answer(to, Err(fault)) => format!("{to}:{}", fault.code),
        };
        steps.into_iter().map(short).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_command_is_told_when_it_is_committed_and_not_before() {
    let mut driver = Driver::open();
    assert_eq!(driver.operator(Command::GoLive, 1), "C");
    assert_eq!(driver.ledger.room().record().lifecycle().slot_at(NOW), None);
    assert_eq!(driver.operator(Command::End, 2), "");
    assert_eq!(driver.committed(), "T1 1:ok C");
    assert!(driver.ledger.room().record().lifecycle().slot_at(NOW).is_some());
    assert_eq!(driver.committed(), "T2 2:ok");
    assert!(driver.ledger.is_settled());
}

#[test]
fn a_command_that_changes_nothing_tells_nothing() {
    let mut driver = Driver::open();
    let bob = || someone("bob", Role::Listener);
    assert_eq!(driver.handle(bob(), Command::LowerHand, 1), "1:ok");
    assert_eq!(driver.handle(bob(), Command::RaiseHand, 2), "T1 2:ok");
    assert_eq!(driver.handle(bob(), Command::RaiseHand, 3), "3:ok");
    assert_eq!(driver.handle(someone("ann", Role::Speaker), Command::Join, 4), "4:ok");
}

#[test]
fn a_hand_goes_up_and_down_while_a_command_waits_for_its_commit() {
    let mut driver = Driver::open();
    driver.operator(Command::GoLive, 1);
    let bob = someone("bob", Role::Listener);
    assert_eq!(driver.ledger.hand(NOW, &bob, true), Ok(true));
    assert_eq!(driver.ledger.hand(NOW, &bob, true), Ok(false));
    let refused = driver.ledger.hand(NOW, &someone("ann", Role::Speaker), true).unwrap_err();
    assert_eq!(refused.code, Code::WrongState);
    assert_eq!(driver.committed(), "T1 1:ok");
    assert_eq!(driver.ledger.room().hands().len(), 1, "the commit of the other has not undone it");
    assert_eq!(driver.ledger.hand(NOW, &bob, false), Ok(true));
    driver.ledger.close(Fault::new(Code::NotOwner, "gone"));
    assert_eq!(driver.ledger.hand(NOW, &bob, true).unwrap_err().code, Code::NotOwner);
}

#[test]
fn a_mute_acts_while_another_command_waits_for_its_commit() {
    let mut driver = Driver::open();
    driver.operator(Command::GoLive, 1);
    assert_eq!(driver.operator(mute(true), 2), "T2");
    assert!(!driver.may_speak());
    assert_eq!(driver.committed(), "T1 1:ok C");
    assert!(!driver.may_speak(), "the commit of the other has not undone it");
    assert_eq!(driver.committed(), "2:ok");
}

#[test]
fn a_ban_writes_its_part_and_one_that_may_not_have_arrived_is_written_again() {
    let (mut driver, ban) = (Driver::open(), |name| Command::Ban { id: id(name), reason: String::new() });
    driver.operator(ban("eve"), 1);
    let first = driver.parts();
    assert_eq!(first.len(), 1);
    assert_eq!(driver.failed(), "1:ok");
    // What was banned meanwhile goes along.
    assert_eq!(driver.operator(ban("mallory"), 2), "T2 2:ok");
    driver.retry();
    let both = driver.parts();
    assert!(both.len() == 2 && both.contains(&first[0]), "{both:?}");
    driver.committed();
    driver.operator(mute(true), 3);
    assert_eq!(driver.parts(), [0; 0], "they are there");
    driver.committed();

    // An unban that was refused, and arrived all the same, is undone.
    driver.operator(Command::Unban { id: id("eve") }, 4);
    assert_eq!(driver.parts(), first);
    assert_eq!(driver.failed(), "4:directory_unavailable");
    assert!(driver.ledger.room().record().bans().contains(&id("eve")));
    driver.retry();
    assert_eq!(driver.parts(), first);
    driver.committed();
    driver.save_again();
    assert_eq!(driver.parts().len(), Bans::PARTS, "who cannot tell writes all");
}

#[test]
fn a_ban_holds_that_is_given_while_the_unban_before_it_waits() {
    let (mut driver, eve) = (Driver::open(), id("eve"));
    let ban = || Command::Ban { id: id("eve"), reason: String::new() };
    driver.operator(ban(), 1);
    driver.committed();
    assert_eq!(driver.operator(Command::Unban { id: eve.clone() }, 2), "C");
    // It is so already: only the commit under way would make it otherwise.
    assert_eq!(driver.operator(ban(), 3), "");
    assert_eq!(driver.committed(), "T3 2:ok C", "unbanned, banned, and she is told");
    assert!(driver.ledger.room().record().bans().contains(&eve));
    assert_eq!(driver.parts().len(), 1, "the unban is in the directory");
    assert_eq!(driver.committed(), "3:ok");
    assert!(driver.ledger.is_settled());
}

#[test]
fn without_the_directory_a_mute_holds_and_other_commands_are_refused_unchanged() {
    let mut driver = Driver::open();
    driver.operator(Command::GoLive, 1);
    assert_eq!(driver.failed(), "1:directory_unavailable");
    assert_eq!(driver.operator(mute(true), 2), "T2 2:ok");
    assert_eq!(driver.operator(Command::End, 3), "3:directory_unavailable");
    assert_eq!(driver.handle(someone("bob", Role::Listener), Command::RaiseHand, 4), "T1 4:ok");
    assert_eq!(driver.retry(), "C");
    assert_eq!(driver.failed(), "");
    assert_eq!(driver.retry(), "C");
    assert_eq!(driver.committed(), "");
    assert!(driver.ledger.is_settled() && driver.ledger.room().hands().len() == 1);
    assert_eq!(driver.operator(Command::GoLive, 5), "C");
}

#[test]
fn a_decision_made_while_a_save_is_under_way_is_saved_after_it() {
    let mut driver = Driver::open();
    assert_eq!(driver.operator(mute(true), 1), "T2 C");
    assert_eq!(driver.operator(mute(false), 2), "T2");
    assert_eq!(driver.failed(), "1:ok 2:ok");
    assert_eq!(driver.retry(), "C");
    assert_eq!(driver.committed(), "");
    assert!(driver.ledger.is_settled());
}

#[test]
fn a_fenced_owner_tells_everyone_that_waits_to_go_elsewhere() {
    let mut driver = Driver::open();
    driver.operator(Command::GoLive, 1);
    driver.operator(mute(true), 2);
    driver.operator(Command::End, 3);
    let fenced = Fault::new(Code::NotOwner, "epoch 2 owns the room");
    let refused: Vec<_> = driver.ledger.abandon(&fenced).into_iter().map(|(to, _)| to).collect();
    assert_eq!(refused, [1, 2, 3]);
    assert_eq!(driver.operator(mute(true), 4), "4:not_owner");
}

#[test]
fn an_answer_that_comes_twice_does_not_settle_the_next_commit() {
    let mut driver = Driver::open();
    driver.operator(Command::GoLive, 1);
    driver.operator(Command::End, 2);
    let first = driver.under_way();
    assert_eq!(driver.committed(), "T1 1:ok C");
    assert_eq!(driver.settle(first, Settled::Committed), "", "the end of the room is not committed");
    assert_eq!(driver.settle(first, Settled::Unavailable(gone())), "");
    assert_eq!(driver.committed(), "T2 2:ok");
    assert!(driver.ledger.is_settled());
}

#[test]
fn an_answer_that_comes_late_says_nothing_of_what_is_written_now() {
    let (mut driver, eve) = (Driver::open(), id("eve"));
    driver.operator(Command::Ban { id: eve.clone(), reason: String::new() }, 1);
    let (first, part) = (driver.under_way(), driver.parts());
    // The driver waited no longer. The write was on its way all the same, and its answer comes when another is.
    assert_eq!(driver.failed(), "1:ok");
    assert_eq!(driver.settle(first, Settled::Committed), "", "nothing is under way");
    assert_eq!(driver.ledger.away(), Some(&gone()));
    driver.retry();
    assert_eq!(driver.parts(), part);
    assert_eq!(driver.settle(first, Settled::Committed), "");
    driver.failed();
    driver.retry();
    assert_eq!(driver.parts(), part, "the part is in doubt until this commit is answered");
    driver.committed();
    driver.save_again();
    assert_eq!(driver.parts().len(), Bans::PARTS);
}

#[test]
fn an_answer_to_the_owner_of_before_is_none_to_the_owner_of_now() {
    let mut driver = Driver::open();
    driver.operator(Command::GoLive, 1);
    let before = driver.under_way();
    driver.ledger = Ledger::new(driver.ledger.room().clone(), Epoch(3));
    assert_eq!(driver.operator(Command::GoLive, 2), "C");
    assert_eq!(driver.settle(before, Settled::Committed), "");
    assert_eq!(driver.committed(), "T1 2:ok");
}

#[test]
fn an_abandoned_ledger_does_nothing_whatever_it_is_told() {
    let mut driver = Driver::open();
    driver.operator(Command::GoLive, 1);
    driver.failed();
    driver.operator(mute(true), 2);
    driver.retry();
    driver.handle(someone("bob", Role::Listener), Command::RaiseHand, 3);
    driver.ledger.abandon(&Fault::new(Code::NotOwner, "epoch 2 owns the room"));
    let hour = NOW + std::time::Duration::from_secs(3_600);
    assert_eq!(driver.committed(), "");
    assert_eq!(driver.failed(), "");
    assert_eq!(driver.retry(), "");
    assert_eq!(driver.save_again(), "");
    assert_eq!(driver.ledger.expire(hour), []);
    driver.ledger.reopen();
    assert_eq!(driver.operator(Command::GoLive, 4), "4:not_owner");
    driver.ledger.close(Fault::new(Code::NodeUnavailable, "closed"));
    assert_eq!(driver.operator(mute(false), 5), "5:not_owner");
    assert_eq!(driver.ledger.abandon(&gone()), []);
}
