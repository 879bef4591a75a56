//! How fast each participant may give commands, and how many participants that is kept of. Pure: the time is passed in.
//!
//! Invariants: no more than [`Class::paced`] of a class are kept; a class that is full refuses its own and nobody else; a
//! refusal costs no walk over the table more than once in [`SWEEP`].

use std::{collections::BTreeMap, time::Duration};

use stentor_pace::{Time, TokenBucket};

use crate::Class;

/// Commands of one participant a second, and at once: faster than a person presses buttons.
pub const RATE: u32 = 5;
const BURST: u32 = 10;
/// How often a full table is looked through for those who have been quiet.
const SWEEP: Duration = Duration::from_millis(100);
/// When to come back to a full table: by then whoever is in it now has been forgotten, if quiet.
const FULL_WAIT: Duration = Duration::from_secs(2);

/// The paces of an edge's participants, by class.
#[derive(Debug)]
pub struct Paces<K> {
    tables: [Table<K>; 3],
}

#[derive(Debug)]
struct Table<K> {
    buckets: BTreeMap<K, TokenBucket>,
    swept: Option<Time>,
}

/// Why a command is not let through, and when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMuch {
    /// By this participant.
    Fast(Duration),
    /// Of participants of its class.
    Many(Duration),
}

impl<K> Default for Paces<K> {
    fn default() -> Self {
        Self { tables: [(); 3].map(|()| Table { buckets: BTreeMap::new(), swept: None }) }
    }
}

impl<K: Ord> Paces<K> {
    /// Lets one command of a participant through.
    ///
    /// # Errors
    /// Why not.
    pub fn take(&mut self, now: Time, class: Class, who: K) -> Result<(), TooMuch> {
        let Table { buckets, swept } = &mut self.tables[class.index()];
        if buckets.len() >= class.paced() && !buckets.contains_key(&who) {
            if swept.is_none_or(|swept| now.since(swept) >= SWEEP) {
                *swept = Some(now);
                buckets.retain(|_, bucket| bucket.wait(now, BURST) > Duration::ZERO);
            }
            if buckets.len() >= class.paced() {
                return Err(TooMuch::Many(FULL_WAIT));
            }
        }
        let new = || TokenBucket::new(RATE, Duration::from_secs(1), BURST);
        let bucket = buckets.entry(who).or_insert_with(new);
        if bucket.take(now, 1) { Ok(()) } else { Err(TooMuch::Fast(bucket.wait(now, 1))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_000);

    #[test]
    fn a_crowd_that_fills_its_table_refuses_itself_and_no_host_and_no_speaker() {
        let mut paces = Paces::default();
        for who in 0..Class::Crowd.paced() {
            assert_eq!(paces.take(NOW, Class::Crowd, who), Ok(()));
        }
        let newcomer = Class::Crowd.paced();
        assert_eq!(paces.take(NOW, Class::Crowd, newcomer), Err(TooMuch::Many(FULL_WAIT)));
        assert_eq!(paces.take(NOW, Class::Crowd, 7), Ok(()), "who is known goes on");
        for class in [Class::Moderators, Class::Stage] {
            assert_eq!(paces.take(NOW, class, newcomer), Ok(()));
        }
        let later = NOW + Duration::from_secs(2);
        assert_eq!(paces.take(later, Class::Crowd, newcomer), Ok(()), "the quiet are forgotten");
    }

    #[test]
    fn a_participant_is_as_fast_as_a_person_and_no_faster() {
        let mut paces = Paces::default();
        assert!((0..BURST).all(|_| paces.take(NOW, Class::Stage, "ann") == Ok(())));
        let wait = Duration::from_millis(200);
        assert_eq!(paces.take(NOW, Class::Stage, "ann"), Err(TooMuch::Fast(wait)));
        assert_eq!(paces.take(NOW, Class::Stage, "bob"), Ok(()));
        assert_eq!(paces.take(NOW + wait, Class::Stage, "ann"), Ok(()));
    }
}
