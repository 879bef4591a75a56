//! The figures: of one round, with what goes against the aims; and of many, as a table with one line a fault.

use std::{collections::BTreeMap, fmt, time::Duration};

use stentor_pace::Violation;

use super::{audience::Given, cpu::Load, fault::Fault};
use crate::beats::percentile;

/// The part of the rooms that may move when the directory comes back, in per cent.
const MAY_MOVE: usize = 1;

/// Longest time until a room has another owner. The aim of 3 s is about many rounds on a machine that does nothing else; this is
/// a bound for each.
const ANOTHER_OWNER: Duration = Duration::from_secs(10);

/// Longest that nobody may be heard who goes on above whom listeners heard: what an edge allows itself (4.5 s), and a little.
const FED: Duration = Duration::from_secs(6);

/// Longest that a mute may take while zones are cut from each other, in the one that reaches more.
const MUTED: Duration = Duration::from_millis(200);

/// What other rooms did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Others {
    /// How many there are.
    pub rooms: usize,
    /// How many have another owner than before, or none.
    pub moved: usize,
    /// How many are not in the directory any more.
    pub lost: usize,
}

/// What was noticed in a round.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The fault.
    pub fault: Fault,
    /// What it was drawn from.
    pub seed: u64,
    /// What was done to whom.
    pub story: String,
    /// Slots missing: the most that one listener lost, and the sum over all.
    pub missing: (u64, u64),
    /// Slots given again: the same.
    pub repeated: (u64, u64),
    /// Frames of a lower lineage than the one before, over all listeners.
    pub fell: u64,
    /// Changes of lineage: the most that one listener heard.
    pub changes: u64,
    /// The longest time between two frames that one listener met with.
    pub longest: Duration,
    /// From the fault to the first operator who saw a higher epoch; none if none did, or it was planned.
    pub takeover: Option<Duration>,
    /// By how much the epoch rose: how often the room got another owner.
    pub owners: u64,
    /// How long a mute took, where somebody was muted.
    pub mute: Option<Duration>,
    /// Stale commits, and epochs that went back.
    pub violations: Vec<Violation>,
    /// Listeners who joined during the fault and did not hear the room.
    pub deaf: u64,
    /// Members of the crowd who lost their connection, other than to a killed edge.
    pub hung_up: u64,
    /// What the other rooms did, where that is of interest.
    pub others: Option<Others>,
    /// Slots that the listener of each talking room lost; the one that everyone is in is not among them.
    pub talks: Vec<(String, u64)>,
    /// How busy the machine was before the fault.
    pub load: Load,
}

impl Outcome {
    /// A round of which nothing is known yet.
    pub(super) fn new(fault: Fault, seed: u64, story: String) -> Self {
        Self {
            fault,
            seed,
            story,
            missing: (0, 0),
            repeated: (0, 0),
            fell: 0,
            changes: 0,
            longest: Duration::ZERO,
            takeover: None,
            owners: 0,
            mute: None,
            violations: Vec::new(),
            deaf: 0,
            hung_up: 0,
            others: None,
            talks: Vec::new(),
            load: Load::default(),
        }
    }

    /// Takes what the listeners were given, in the room that everyone is in and in each other one.
    pub(super) fn read(&mut self, given: &[Given], talks: Vec<(String, Given)>) {
        let given: Vec<_> = given.iter().copied().chain(talks.iter().map(|(_, given)| *given)).collect();
        self.talks = talks.into_iter().map(|(room, given)| (room, given.missing)).collect();
        let most = |of: fn(&Given) -> u64| given.iter().map(of).max().unwrap_or_default();
        let sum = |of: fn(&Given) -> u64| given.iter().map(of).sum();
        self.missing = (most(|given| given.missing), sum(|given| given.missing));
        self.repeated = (most(|given| given.repeated), sum(|given| given.repeated));
        self.fell = sum(|given| given.fell);
        self.changes = most(|given| given.changes);
        self.longest = given.iter().map(|given| given.longest).max().unwrap_or_default();
    }

    /// The talking rooms of which slots are missing, and how many.
    pub fn torn(&self) -> impl Iterator<Item = &(String, u64)> {
        self.talks.iter().filter(|(_, missing)| *missing > 0)
    }

    /// What goes against the aims, in words; nothing if nothing does.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let moved = self
            .others
            .filter(|others| others.moved * 100 > others.rooms * MAY_MOVE)
            .map(|others| others.moved);
        let missing = if self.fault.is_single() { self.missing.1 } else { 0 };
        let slow = self.takeover.filter(|took| *took > ANOTHER_OWNER).map_or(0, |took| took.as_secs());
        let unfed = self.fault == Fault::CutOriginsDrain && self.longest > FED;
        let unfed = if unfed { self.longest.as_secs() } else { 0 };
        let flapped = if self.fault == Fault::CutZones { self.owners.saturating_sub(1) } else { 0 };
        let mute = self.mute.filter(|took| *took > MUTED).map_or(0, |took| took.as_millis() as u64);
        let counts = [
            ("slots are missing", missing),
            ("s passed until the owner was heard again", unfed),
            ("changes of owner too many", flapped),
            ("ms passed until somebody was muted", mute),
            ("slots came again", self.repeated.1),
            ("lineages fell", self.fell),
            ("writes of the directory were stale", self.violations.len() as u64),
            ("who joined heard nothing", self.deaf),
            ("of the crowd were hung up on", self.hung_up),
            ("s passed until another owner was seen", slow),
            ("rooms moved", moved.unwrap_or_default() as u64),
            ("rooms are lost", self.others.map_or(0, |others| others.lost) as u64),
        ];
        counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect()
    }
}

impl fmt::Display for Outcome {
    /// One line, as the round ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, seed, missing, repeated, fell, changes, longest, .. } = self;
        write!(
            f,
            "{fault} seed {seed}: missing {} ({}), repeated {}, longest {} ms, lineages {changes}/{fell}, take-over {}, stale {}",
            missing.0,
            missing.1,
            repeated.1,
            longest.as_millis(),
            millis(self.takeover),
            self.violations.len(),
        )?;
        if let Some(others) = self.others {
            let Others { rooms, moved, lost } = others;
            write!(f, ", {moved} of {rooms} rooms moved, {lost} lost, {} deaf", self.deaf)?;
        }
        if let Some(mute) = self.mute {
            write!(f, ", {} other owners, muted in {} ms", self.owners, mute.as_millis())?;
        }
        if !self.talks.is_empty() {
            let torn: Vec<_> = self.torn().map(|(room, missing)| format!("{room} {missing}")).collect();
            let (count, rooms, load) = (torn.len(), self.talks.len(), self.load);
            write!(f, ", {count} of {rooms} talks torn ({}), cpu {load} %", torn.join(", "))?;
        }
        write!(f, " | {}", self.story)?;
        for violation in &self.violations {
            write!(f, "\n    {violation}")?;
        }
        Ok(())
    }
}

fn millis(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{} ms", time.as_millis()))
}

/// The rounds of a run.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<Fault, Vec<Outcome>>);

impl Table {
    /// Adds a round.
    pub fn add(&mut self, outcome: Outcome) {
        self.0.entry(outcome.fault).or_default().push(outcome);
    }

    /// All rounds.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.0.values().flatten()
    }

    /// What goes against the aims, with the fault and the seed that show it again.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let told = |outcome: &Outcome| {
            let wrong = outcome.wrong();
            (!wrong.is_empty())
                .then(|| format!("{} seed {}: {}", outcome.fault, outcome.seed, wrong.join(", ")))
        };
        self.outcomes().filter_map(told).collect()
    }
}

/// p50/p99/max in milliseconds.
fn spread(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<Duration> = times.collect();
    if times.is_empty() {
        return "-".to_owned();
    }
    times.sort();
    let at = |percent| percentile(&times, percent).as_millis();
    format!("{}/{}/{}", at(50), at(99), at(100))
}

/// What is above the columns.
const HEAD: [[&str; COLUMNS]; 2] = [
    [
        "",
        "",
        "missing",
        "repeated",
        "longest gap, ms",
        "take-over, ms",
        "lineage",
        "",
        "stale",
        "rooms",
        "",
        "hung",
        "talks",
        "cpu %",
    ],
    [
        "fault",
        "rounds",
        "max/sum",
        "max/sum",
        "p50/p99/max",
        "p50/p99/max",
        "changes",
        "fell",
        "commits",
        "moved",
        "deaf",
        "up",
        "torn",
        "own/all",
    ],
];
const COLUMNS: usize = 14;
const WIDTHS: [usize; COLUMNS] = [19, 6, 11, 9, 16, 16, 7, 4, 7, 6, 4, 4, 8, 7];

fn line_of(f: &mut fmt::Formatter<'_>, cells: &[&str; COLUMNS]) -> fmt::Result {
    write!(f, "{:<1$}", cells[0], WIDTHS[0])?;
    for (cell, width) in cells.iter().zip(WIDTHS).skip(1) {
        write!(f, "  {cell:>width$}")?;
    }
    writeln!(f)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in HEAD {
            line_of(f, &line)?;
        }
        for (fault, rounds) in &self.0 {
            let worst = |of: fn(&Outcome) -> (u64, u64)| {
                let (most, sum) =
                    rounds.iter().map(of).fold((0, 0), |(most, sum), (max, all)| (max.max(most), sum + all));
                format!("{most}/{sum}")
            };
            let sum = |of: fn(&Outcome) -> u64| rounds.iter().map(of).sum::<u64>().to_string();
            let others = rounds.iter().filter_map(|round| round.others);
            let moved = others
                .map(|others| (others.moved, others.rooms))
                .reduce(|all, one| (all.0 + one.0, all.1 + one.1))
                .map_or_else(|| "-".to_owned(), |(moved, rooms)| format!("{moved}/{rooms}"));
            let talks = rounds.iter().map(|round| round.talks.len()).sum::<usize>();
            let torn = rounds.iter().flat_map(Outcome::torn).count();
            let mean = |of: fn(&Load) -> f64| {
                rounds.iter().map(|round| of(&round.load)).sum::<f64>() / rounds.len() as f64
            };
            let load = Load { own: mean(|load| load.own), all: mean(|load| load.all) };
            let cells = [
                fault.to_string(),
                rounds.len().to_string(),
                worst(|round| round.missing),
                worst(|round| round.repeated),
                spread(rounds.iter().map(|round| round.longest)),
                spread(rounds.iter().filter_map(|round| round.takeover)),
                sum(|round| round.changes),
                sum(|round| round.fell),
                sum(|round| round.violations.len() as u64),
                moved,
                sum(|round| round.deaf),
                sum(|round| round.hung_up),
                if talks == 0 { "-".to_owned() } else { format!("{torn}/{talks}") },
                load.to_string(),
            ];
            line_of(f, &cells.each_ref().map(String::as_str))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(fault: Fault, missing: u64, takeover: u64) -> Outcome {
        let mut outcome = Outcome::new(fault, 3, String::new());
        let given = |missing| Given { missing, longest: Duration::from_millis(41), ..Given::default() };
        outcome.read(&[given(missing), given(0)], Vec::new());
        outcome.takeover = Some(Duration::from_millis(takeover));
        outcome
    }

    #[test]
    fn a_missing_slot_is_wrong_after_a_single_fault_and_told_after_two() {
        assert!(outcome(Fault::KillOwner, 0, 900).wrong().is_empty());
        assert_eq!(outcome(Fault::KillOwner, 2, 900).wrong(), ["2 slots are missing"]);
        assert!(outcome(Fault::Double, 2, 900).wrong().is_empty());
        assert_eq!(outcome(Fault::Double, 2, 12_000).wrong(), ["12 s passed until another owner was seen"]);
    }

    #[test]
    fn what_each_talking_room_lost_is_told_and_counts() {
        let given = |missing| Given { missing, ..Given::default() };
        let mut outcome = Outcome::new(Fault::KillOwner, 3, String::new());
        outcome.read(&[given(0)], vec![("talk-0".into(), given(0)), ("talk-1".into(), given(4))]);
        assert_eq!(outcome.wrong(), ["4 slots are missing"]);
        assert!(outcome.to_string().contains("1 of 2 talks torn (talk-1 4)"), "{outcome}");
    }

    #[test]
    fn an_owner_that_changes_twice_and_a_slow_mute_are_wrong_while_zones_are_cut() {
        let cut = |owners, mute| {
            let mute = Some(Duration::from_millis(mute));
            Outcome { owners, mute, ..outcome(Fault::CutZones, 0, 900) }.wrong()
        };
        assert!(cut(1, 200).is_empty());
        assert_eq!(cut(2, 201), ["1 changes of owner too many", "201 ms passed until somebody was muted"]);
    }

    #[test]
    fn a_room_in_a_hundred_may_move() {
        let moved = |moved| {
            let others = Some(Others { rooms: 200, moved, lost: 0 });
            Outcome { others, ..outcome(Fault::KillEtcd, 0, 0) }.wrong()
        };
        assert!(moved(2).is_empty());
        assert_eq!(moved(3), ["3 rooms moved"]);
    }

    #[test]
    fn a_table_has_a_line_for_each_fault() {
        let mut table = Table::default();
        table.add(outcome(Fault::KillRelay, 0, 0));
        table.add(outcome(Fault::KillOwner, 1, 1200));
        table.add(outcome(Fault::KillOwner, 3, 900));
        let lines: Vec<String> = table.to_string().lines().map(str::to_owned).collect();
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(words[..6], ["kill-owner", "2", "3/4", "0/0", "41/41/41", "1200/1200/1200"]);
        assert!(lines[3].starts_with("kill-relay"));
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
        assert_eq!(table.wrong().len(), 2);
    }
}
