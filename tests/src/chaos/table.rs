//! The figures: of one round, with what goes against the aims; and of many, as a table with one line a fault.

use std::{collections::BTreeMap, fmt, time::Duration};

use stentor_pace::Violation;

use super::{audience::Given, fault::Fault};
use crate::beats::percentile;

/// The part of the rooms that may move when the directory comes back, in per cent.
const MAY_MOVE: usize = 1;

/// What other rooms did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Others {
    /// How many there are.
    pub rooms: usize,
    /// How many have another owner than before, or none.
    pub moved: usize,
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
    /// From the fault to the first operator who saw a higher epoch; none if none did.
    pub takeover: Option<Duration>,
    /// Stale commits, and epochs that went back.
    pub violations: Vec<Violation>,
    /// Listeners who joined during the fault and did not hear the room.
    pub deaf: u64,
    /// Members of the crowd who lost their connection.
    pub hung_up: u64,
    /// What the other rooms did, where that is of interest.
    pub others: Option<Others>,
}

impl Outcome {
    /// A round of which nothing is known yet.
    pub(super) const fn new(fault: Fault, seed: u64, story: String) -> Self {
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
            violations: Vec::new(),
            deaf: 0,
            hung_up: 0,
            others: None,
        }
    }

    /// Takes what the listeners were given.
    pub(super) fn read(&mut self, given: &[Given]) {
        let most = |of: fn(&Given) -> u64| given.iter().map(of).max().unwrap_or_default();
        let sum = |of: fn(&Given) -> u64| given.iter().map(of).sum();
        self.missing = (most(|given| given.missing), sum(|given| given.missing));
        self.repeated = (most(|given| given.repeated), sum(|given| given.repeated));
        self.fell = sum(|given| given.fell);
        self.changes = most(|given| given.changes);
        self.longest = given.iter().map(|given| given.longest).max().unwrap_or_default();
    }

    /// What goes against the aims, in words; nothing if nothing does.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let moved = self
            .others
            .filter(|others| others.moved * 100 > others.rooms * MAY_MOVE)
            .map(|others| others.moved);
        let missing = if self.fault.is_single() { self.missing.1 } else { 0 };
        let counts = [
            ("slots are missing", missing),
            ("slots came again", self.repeated.1),
            ("lineages fell", self.fell),
            ("writes of the directory were stale", self.violations.len() as u64),
            ("who joined heard nothing", self.deaf),
            ("rooms moved", moved.unwrap_or_default() as u64),
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
            write!(f, ", {} of {} rooms moved, {} deaf", others.moved, others.rooms, self.deaf)?;
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

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:>6} {:>13} {:>13} {:>18} {:>18} {:>9} {:>5} {:>5} {:>7} {:>4}",
            "",
            "",
            "missing",
            "repeated",
            "longest gap, ms",
            "take-over, ms",
            "lineage",
            "lin.",
            "",
            "rooms",
            ""
        )?;
        writeln!(
            f,
            "{:<20} {:>6} {:>13} {:>13} {:>18} {:>18} {:>9} {:>5} {:>5} {:>7} {:>4}",
            "fault",
            "rounds",
            "max/sum",
            "max/sum",
            "p50/p99/max",
            "p50/p99/max",
            "changes",
            "fell",
            "stale",
            "moved",
            "deaf"
        )?;
        for (fault, rounds) in &self.0 {
            let worst = |of: fn(&Outcome) -> (u64, u64)| {
                let (most, sum) =
                    rounds.iter().map(of).fold((0, 0), |(most, sum), (max, all)| (max.max(most), sum + all));
                format!("{most}/{sum}")
            };
            let sum = |of: fn(&Outcome) -> u64| rounds.iter().map(of).sum::<u64>();
            let others = rounds.iter().filter_map(|round| round.others);
            let moved = others
                .map(|others| (others.moved, others.rooms))
                .reduce(|all, one| (all.0 + one.0, all.1 + one.1))
                .map_or_else(|| "-".to_owned(), |(moved, rooms)| format!("{moved}/{rooms}"));
            writeln!(
                f,
                "{fault:<20} {:>6} {:>13} {:>13} {:>18} {:>18} {:>9} {:>5} {:>5} {moved:>7} {:>4}",
                rounds.len(),
                worst(|round| round.missing),
                worst(|round| round.repeated),
                spread(rounds.iter().map(|round| round.longest)),
                spread(rounds.iter().filter_map(|round| round.takeover)),
                sum(|round| round.changes),
                sum(|round| round.fell),
                sum(|round| round.violations.len() as u64),
                sum(|round| round.deaf),
            )?;
        }
        Ok(())
    }
}
