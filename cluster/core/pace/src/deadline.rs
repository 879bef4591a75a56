//! Deadlines that carry their reason, so that "why did we wake?" always has an answer.

use crate::Time;

/// A moment at which something is due, and what. Monotonic unless said otherwise; durable promises use
/// [`WallTime`](crate::WallTime).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deadline<R, T = Time> {
    /// When it is due.
    pub at: T,
    /// What is due then.
    pub why: R,
}

impl<R, T: Copy + Ord> Deadline<R, T> {
    /// Something due at a moment.
    #[must_use]
    pub const fn new(at: T, why: R) -> Self {
        Self { at, why }
    }

    /// Whether the moment has come.
    #[must_use]
    pub fn is_due(&self, now: T) -> bool {
        self.at <= now
    }

    /// The same moment with another reason: how a core's deadline becomes one of its driver's.
    #[must_use]
    pub fn map<S>(self, why: impl FnOnce(R) -> S) -> Deadline<S, T> {
        Deadline { at: self.at, why: why(self.why) }
    }
}

/// The earliest of the deadlines that there are; of equal ones the first, so that order is priority.
pub fn soonest<R, T: Copy + Ord>(
    deadlines: impl IntoIterator<Item = Option<Deadline<R, T>>>,
) -> Option<Deadline<R, T>> {
    deadlines.into_iter().flatten().min_by_key(|deadline| deadline.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soonest_is_the_earliest_and_of_equals_the_first() {
        let at = |millis, why| Some(Deadline::new(Time::from_millis(millis), why));
        let first = soonest([at(9, "late"), None, at(4, "playout"), at(4, "stall")]).unwrap();
        assert_eq!(first.why, "playout");
        assert!(first.is_due(Time::from_millis(4)) && !first.is_due(Time::from_millis(3)));
        assert_eq!(first.map(str::len).why, 7);
        assert_eq!(soonest::<(), Time>([None, None]), None);
    }
}
