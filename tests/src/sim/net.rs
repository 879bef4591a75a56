//! Links of the simulated cluster: how long a message takes, and whether it comes at all. It does not know what is sent.
//!
//! Links are TCP: what a cut holds up comes after it, in order and late, unless the cut lasts so long that the connection is
//! given up.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use rand::{RngExt, rngs::SmallRng};

/// A node by its number; [`DIRECTORY`] stands for the directory.
pub(super) type NodeIx = usize;
/// The directory's place on the net.
pub(super) const DIRECTORY: NodeIx = usize::MAX;

/// Longest that a message takes on a good link, in milliseconds: two zones of one region.
pub(super) const LONGEST_MS: u64 = 5;

/// How long a cut may last until a connection is given up and what was on its way is lost, in milliseconds.
const GIVEN_UP_MS: u64 = 1_500;
/// Longest from the end of a cut until what it held up is sent again.
pub(super) const RESENT_MS: u64 = 200;

/// Something wrong between places until a moment.
#[derive(Debug, Clone)]
struct Trouble {
    between: Between,
    until: u64,
    /// How much longer messages take, at most; `None` if they do not come.
    slower_ms: Option<u64>,
}

/// Between which places something is wrong.
#[derive(Debug, Clone)]
enum Between {
    /// From one to the other; `None` stands for any place.
    Way(Option<NodeIx>, Option<NodeIx>),
    /// Nodes of two sides, both ways. The directory is on both.
    Sides(Rc<[bool]>),
}

impl Between {
    fn hits(&self, from: NodeIx, to: NodeIx) -> bool {
        let is = |place: &Option<NodeIx>, node| place.is_none_or(|place| place == node);
        match self {
            Self::Way(a, b) => is(a, from) && is(b, to),
            Self::Sides(side) => side.get(from).zip(side.get(to)).is_some_and(|(one, other)| one != other),
        }
    }
}

/// The links.
#[derive(Debug, Default)]
pub(super) struct Net {
    troubles: Vec<Trouble>,
    /// When the last message that was held up arrives, by link.
    held_up: BTreeMap<(NodeIx, NodeIx), u64>,
}

impl Net {
    /// Nothing comes from one place to the other.
    pub(super) fn cut(&mut self, from: Option<NodeIx>, to: Option<NodeIx>, until: u64) {
        self.troubles.push(Trouble { between: Between::Way(from, to), until, slower_ms: None });
    }

    /// Nothing comes from nodes of one side to those of the other, either way.
    pub(super) fn split(&mut self, sides: Rc<[bool]>, until: u64) {
        self.troubles.push(Trouble { between: Between::Sides(sides), until, slower_ms: None });
    }

    /// Messages come late, each by another time.
    pub(super) fn slow(&mut self, from: NodeIx, to: NodeIx, until: u64, slower_ms: u64) {
        let between = Between::Way(Some(from), Some(to));
        self.troubles.push(Trouble { between, until, slower_ms: Some(slower_ms) });
    }

    /// Forgets what is over.
    pub(super) fn heal(&mut self, now: u64) {
        self.troubles.retain(|trouble| trouble.until > now);
        self.held_up.retain(|_, until| *until > now);
    }

    /// Whether a message sent now arrives.
    pub(super) fn reaches(&self, now: u64, from: NodeIx, to: NodeIx) -> bool {
        from == to || !self.between(now, from, to).any(|trouble| trouble.slower_ms.is_none())
    }

    /// Whether a question sent now is answered.
    pub(super) fn answers(&self, now: u64, from: NodeIx, to: NodeIx) -> bool {
        self.reaches(now, from, to) && self.reaches(now, to, from)
    }

    /// How long a message sent now takes, in milliseconds; `None` if it is lost.
    pub(super) fn delay(&mut self, now: u64, from: NodeIx, to: NodeIx, random: &mut SmallRng) -> Option<u64> {
        let good = random.random_range(1..=LONGEST_MS);
        if (self.troubles.is_empty() && self.held_up.is_empty()) || from == to {
            return Some(good);
        }
        let mut arrives = now + good;
        for trouble in self.between(now, from, to) {
            arrives = arrives.max(match trouble.slower_ms {
                Some(slower) => now + good + random.random_range(0..=slower),
                None if trouble.until - now > GIVEN_UP_MS => return None,
                None => trouble.until + random.random_range(1..=RESENT_MS),
            });
        }
        let before = self.held_up.get(&(from, to)).copied().unwrap_or_default();
        if arrives > now + good {
            self.held_up.insert((from, to), arrives.max(before));
        }
        Some(arrives.max(before) - now)
    }

    fn between(&self, now: u64, from: NodeIx, to: NodeIx) -> impl Iterator<Item = &Trouble> {
        self.troubles.iter().filter(move |one| one.until > now && from != to && one.between.hits(from, to))
    }
}

/// A time as the simulation counts it.
pub(super) const fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
