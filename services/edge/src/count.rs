//! How many there are of something, counted by holding it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// A number that anyone may read. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

/// Counts for as long as it lives.
#[derive(Debug)]
pub(crate) struct Held(Count);

impl Count {
    /// How many are held.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// One more.
    pub(crate) fn hold(&self) -> Held {
        self.0.fetch_add(1, Relaxed);
        Held(self.clone())
    }

    /// One more, unless there are `bound` already.
    pub(crate) fn hold_below(&self, bound: usize) -> Option<Held> {
        let held = self.hold();
        (self.get() <= bound).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_counts_no_more_and_a_bound_holds() {
        let count = Count::default();
        let held = [count.hold_below(2), count.hold_below(2), count.hold_below(2)];
        assert_eq!((held.iter().flatten().count(), count.get()), (2, 2));
        drop(held);
        assert_eq!(count.get(), 0);
    }
}
