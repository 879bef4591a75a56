//! What many at one edge want done by the owner of a room, gathered into batches. It does not know what is asked: hands are
//! raised and lowered by it.
//!
//! Of what one participant asks within a batch the last counts, and everyone who waits for it is told how that came out: a
//! hand raised and lowered again is a hand that is down.
//!
//! Invariants: at most [`MOST_WAITING`] participants wait, and [`MOST_ASKING`] answers for each; between two batches lies
//! the period; who has waited longest goes first.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use stentor_pace::{Pacing, Time};

/// Participants of one room that wait at an edge: two seconds of full batches. One more is refused, as it would wait longer.
pub const MOST_WAITING: usize = 5_000;
/// Answers that wait for one participant: more than its pace lets through within those seconds.
const MOST_ASKING: usize = 32;

/// What waits to be sent up, by participant; `W` is whom to answer.
#[derive(Debug)]
pub struct Gather<K, V, W> {
    pacing: Pacing,
    waiting: BTreeMap<K, Entry<V, W>>,
    order: VecDeque<K>,
}

#[derive(Debug)]
struct Entry<V, W> {
    wish: V,
    asking: Vec<W>,
}

/// One participant's part of a batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Gathered<V, W> {
    /// What it asked for last.
    pub wish: V,
    /// Who waits for the outcome.
    pub asking: Vec<W>,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<V, W> {
    /// Send this.
    Send(Vec<Gathered<V, W>>),
    /// Look again then.
    Wait(Time),
    /// Nothing waits, and the next batch may go at once.
    Rest,
}

impl<K: Ord + Clone, V, W> Gather<K, V, W> {
    /// At most one batch in each `period`.
    #[must_use]
    pub const fn new(period: Duration) -> Self {
        Self { pacing: Pacing::new(period), waiting: BTreeMap::new(), order: VecDeque::new() }
    }

    /// A participant asks for something.
    ///
    /// # Errors
    /// Whom to answer that too many wait.
    pub fn add(&mut self, now: Time, who: K, wish: V, asks: W) -> Result<(), W> {
        if let Some(entry) = self.waiting.get_mut(&who) {
            if entry.asking.len() >= MOST_ASKING {
                return Err(asks);
            }
            entry.wish = wish;
            entry.asking.push(asks);
            return Ok(());
        }
        if self.waiting.len() >= MOST_WAITING {
            return Err(asks);
        }
        self.waiting.insert(who.clone(), Entry { wish, asking: vec![asks] });
        self.order.push_back(who);
        self.pacing.want(now);
        Ok(())
    }

    /// What is to be done now; a batch holds at most `most`.
    pub fn next(&mut self, now: Time, most: usize) -> Next<V, W> {
        if self.pacing.take(now) {
            let batch: Vec<_> = self.order.drain(..most.min(self.order.len())).collect();
            let batch = batch.into_iter().filter_map(|who| self.waiting.remove(&who));
            let batch = batch.map(|Entry { wish, asking }| Gathered { wish, asking }).collect();
            if !self.order.is_empty() {
                self.pacing.want(now);
            }
            return Next::Send(batch);
        }
        let rested = self.pacing.rested();
        match self.pacing.deadline() {
            Some(at) => Next::Wait(at),
            None if now < rested => Next::Wait(rested),
            None => Next::Rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(200);

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn sent(next: Next<bool, u32>) -> Vec<(bool, Vec<u32>)> {
        let Next::Send(batch) = next else { panic!("{next:?}") };
        batch.into_iter().map(|Gathered { wish, asking }| (wish, asking)).collect()
    }

    #[test]
    fn the_first_goes_at_once_and_a_crowd_goes_five_times_a_second() {
        let mut gather = Gather::new(PERIOD);
        assert_eq!(gather.next(at(1000), 9), Next::Rest);
        gather.add(at(1000), "ann", true, 1).unwrap();
        assert_eq!(sent(gather.next(at(1000), 9)), [(true, vec![1])]);
        assert_eq!(gather.next(at(1000), 9), Next::Wait(at(1200)));
        for (n, who) in ["bob", "cid", "dan"].into_iter().enumerate() {
            gather.add(at(1010), who, true, n as u32).unwrap();
        }
        assert_eq!(gather.next(at(1010), 2), Next::Wait(at(1200)));
        assert_eq!(sent(gather.next(at(1200), 2)), [(true, vec![0]), (true, vec![1])]);
        assert_eq!(sent(gather.next(at(1400), 2)), [(true, vec![2])]);
        assert_eq!(gather.next(at(1599), 2), Next::Wait(at(1600)));
        assert_eq!(gather.next(at(1600), 2), Next::Rest);
    }

    #[test]
    fn a_hand_that_goes_up_and_down_within_a_batch_is_one_change_and_all_are_answered() {
        let mut gather = Gather::new(PERIOD);
        for (n, up) in [true, false, true, false].into_iter().enumerate() {
            gather.add(at(1000), "ann", up, n as u32).unwrap();
        }
        assert_eq!(sent(gather.next(at(1000), 9)), [(false, vec![0, 1, 2, 3])]);
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_goes_first() {
        let mut gather = Gather::new(PERIOD);
        for who in 0..MOST_WAITING {
            gather.add(at(1000), who, true, 0).unwrap();
        }
        assert_eq!(gather.add(at(1000), MOST_WAITING, true, 7), Err(7));
        for n in 1..MOST_ASKING {
            gather.add(at(1000), 3, false, n as u32).unwrap();
        }
        assert_eq!(gather.add(at(1000), 3, false, 7), Err(7));
        let first = sent(gather.next(at(1000), 4));
        assert_eq!((first.len(), first[3].0, first[3].1.len()), (4, false, MOST_ASKING));
        assert!(gather.add(at(1001), MOST_WAITING, true, 7).is_ok());
    }
}
