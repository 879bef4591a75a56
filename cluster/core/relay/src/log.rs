//! A bounded log that many readers follow, each at its own place, in the order in which things were put in. It does not
//! know its readers: a place is a number that the reader keeps.
//!
//! Invariant: it never holds more than its bound. Beyond it the oldest entry goes, and a reader that had not come so far
//! is told so and skips.

use std::collections::VecDeque;

/// The last `bound` things put in, each with a number that grows by one.
#[derive(Debug)]
pub struct Log<T> {
    entries: VecDeque<T>,
    /// Number of the first entry held.
    start: u64,
    bound: usize,
}

/// What a reader finds at its place.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<T> {
    /// The next entry; the place has moved past it.
    Entry(T),
    /// The entry at this place is gone; the place has moved forward to near the end.
    Skipped,
    /// Nothing new.
    End,
}

impl<T: Clone> Log<T> {
    /// An empty log that keeps the last `bound` entries (at least one).
    #[must_use]
    pub fn new(bound: usize) -> Self {
        let bound = bound.max(1);
        Self { entries: VecDeque::with_capacity(bound), start: 0, bound }
    }

    /// Puts an entry in; beyond the bound the oldest goes.
    pub fn push(&mut self, entry: T) {
        if self.entries.len() == self.bound {
            self.entries.pop_front();
            self.start += 1;
        }
        self.entries.push_back(entry);
    }

    /// The place behind the newest entry: where a reader starts that wants what comes from now on.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// The place of the first entry held for which `wanted` is true; the end if there is none.
    pub fn first(&self, wanted: impl FnMut(&T) -> bool) -> u64 {
        let place = self.entries.iter().position(wanted).unwrap_or(self.entries.len());
        self.start + place as u64
    }

    /// What is at `place`. A reader that fell out of the log goes on `resume` entries before the end.
    pub fn read(&self, place: &mut u64, resume: usize) -> Read<T> {
        if *place < self.start {
            *place = self.end() - resume.min(self.entries.len()) as u64;
            return Read::Skipped;
        }
        let at = usize::try_from(*place - self.start).unwrap_or(usize::MAX);
        match self.entries.get(at) {
            Some(entry) => {
                *place += 1;
                Read::Entry(entry.clone())
            }
            None => Read::End,
        }
    }

    /// How many entries are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stentor_pace::check;

    use super::*;

    #[test]
    fn a_reader_that_lags_skips_to_near_the_end() {
        let mut log = Log::new(4);
        let mut place = log.end();
        (0..9).for_each(|n| log.push(n));
        assert_eq!(log.read(&mut place, 2), Read::Skipped);
        assert_eq!(log.read(&mut place, 2), Read::Entry(7));
        assert_eq!(log.read(&mut place, 2), Read::Entry(8));
        assert_eq!(log.read(&mut place, 2), Read::End);
        assert_eq!(log.first(|n| *n >= 6), 6);
        assert_eq!(log.first(|n| *n >= 60), log.end());
    }

    proptest! {
        #[test]
        fn a_reader_sees_entries_once_in_order_and_the_log_keeps_its_bound(
            bound in 1_usize..8, steps: Vec<(u8, u8)>,
        ) {
            let (mut log, mut place, mut next, mut last) = (Log::new(bound), 0, 0_u64, None);
            for (pushes, reads) in steps {
                for _ in 0..pushes % 12 {
                    log.push(next);
                    next += 1;
                }
                prop_assert_eq!(check::bounded("log", log.len(), bound), Ok(()));
                for _ in 0..reads % 12 {
                    match log.read(&mut place, 1) {
                        Read::Entry(entry) => {
                            prop_assert!(last.is_none_or(|last| entry > last));
                            last = Some(entry);
                        }
                        Read::Skipped => prop_assert!(place < next),
                        Read::End => prop_assert_eq!(place, next),
                    }
                }
            }
        }
    }
}
