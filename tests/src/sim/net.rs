//! Links of the simulated cluster: how long a message takes, and whether it comes at all. It does not know what is sent.

use rand::{RngExt, rngs::SmallRng};

/// A node by its number; [`DIRECTORY`] stands for the directory.
pub(super) type NodeIx = usize;
/// The directory's place on the net.
pub(super) const DIRECTORY: NodeIx = usize::MAX;

/// Longest that a message takes on a good link, in milliseconds: two zones of one region.
pub(super) const LONGEST_MS: u64 = 5;

/// Something wrong between two places, one way, until a moment; `None` stands for any place.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    from: Option<NodeIx>,
    to: Option<NodeIx>,
    until: u64,
    /// How much longer messages take, at most; `None` if they do not come.
    slower_ms: Option<u64>,
}

/// The links.
#[derive(Debug, Default)]
pub(super) struct Net {
    troubles: Vec<Trouble>,
}

impl Net {
    /// Nothing comes from one place to the other.
    pub(super) fn cut(&mut self, from: Option<NodeIx>, to: Option<NodeIx>, until: u64) {
        self.troubles.push(Trouble { from, to, until, slower_ms: None });
    }

    /// Messages come late, each by another time.
    pub(super) fn slow(&mut self, from: NodeIx, to: NodeIx, until: u64, slower_ms: u64) {
        self.troubles.push(Trouble { from: Some(from), to: Some(to), until, slower_ms: Some(slower_ms) });
    }

    /// Forgets what is over.
    pub(super) fn heal(&mut self, now: u64) {
        self.troubles.retain(|trouble| trouble.until > now);
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
    pub(super) fn delay(&self, now: u64, from: NodeIx, to: NodeIx, random: &mut SmallRng) -> Option<u64> {
        if self.troubles.is_empty() || from == to {
            return Some(random.random_range(1..=LONGEST_MS));
        }
        let slower = self
            .between(now, from, to)
            .try_fold(0, |most: u64, trouble| trouble.slower_ms.map(|slower| most.max(slower)))?;
        Some(random.random_range(1..=LONGEST_MS) + random.random_range(0..=slower))
    }

    fn between(&self, now: u64, from: NodeIx, to: NodeIx) -> impl Iterator<Item = &Trouble> {
        let hits = |place: Option<NodeIx>, node| place.is_none_or(|place| place == node);
        self.troubles
            .iter()
            .filter(move |one| one.until > now && from != to && hits(one.from, from) && hits(one.to, to))
    }
}
