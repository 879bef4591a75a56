//! How far this node's clock is from those of the cluster, and whether it is fit to claim rooms: an owner's clock says when a
//! room went live, and a claim of a room that nobody runs is counted by it. Pure: it is told what others answered.
//!
//! The cluster's time is the median of the clocks that are known, this node's own among them; of two in the middle the one
//! nearer to its own. It bars a node only where it is sure:
//!
//! | the clocks | then |
//! |---|---|
//! | more than half are within [`BARRED`] of the median, and this one is not | this node claims nothing, if some origin is within it |
//! | no majority agrees, or no origin is in it | nobody knows the time, and rooms must run: nobody is barred |
//!
//! Invariants: at most [`KNOWN`] clocks are remembered, none for longer than [`KEPT`]; one clock gone wrong of three or more
//! changes nothing for the others.

use std::{collections::BTreeMap, time::Duration};

use stentor_ids::NodeId;
use stentor_pace::{Time, WallTime};

/// Above this a clock is told as off: NTP keeps clocks within some milliseconds, and what people see of times is seconds.
const TOLD: Duration = Duration::from_millis(500);
/// Below this it is told as good again: half, so that a clock at the edge is not told all the time.
const GOOD: Duration = Duration::from_millis(250);
/// Above this a node claims no rooms: a claim by its clock would be heard as a gap of as much.
pub const BARRED: Duration = Duration::from_secs(2);
/// Clocks that are remembered: with as many a median is as good as with all. Beyond it the oldest answer goes.
const KNOWN: usize = 64;
/// How long an answer counts: some rounds, so that nodes which are asked in turns are in it together.
const KEPT: Duration = Duration::from_secs(60);
/// A round trip longer than this says too little: half of it is how wrong the answer may be.
const ROUND_TRIP: Duration = Duration::from_millis(400);

/// What is known of the cluster's clocks.
#[derive(Debug, Default)]
pub struct Clocks {
    heard: BTreeMap<NodeId, Heard>,
    off: bool,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Time,
    origin: bool,
    /// This node's clock less the other's, in microseconds.
    ahead: i64,
}

/// How this node's clock stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// This node's clock less the cluster's time, in microseconds.
    pub ahead_us: i64,
    /// It is far enough off to be told.
    pub off: bool,
    /// This node is to claim no rooms.
    pub barred: bool,
}

impl Clocks {
    /// A node answered after `round_trip` that its clock shows `theirs`, while this one's shows `own` by now. It counts as
    /// asked in the middle of the way.
    pub fn heard(
        &mut self,
        now: Time,
        node: NodeId,
        origin: bool,
        (own, round_trip, theirs): (WallTime, Duration, WallTime),
    ) {
        if round_trip > ROUND_TRIP {
            return;
        }
        if self.heard.len() >= KNOWN && !self.heard.contains_key(&node) {
            let oldest = self.heard.iter().min_by_key(|(_, heard)| heard.at).map(|(node, _)| node.clone());
            oldest.and_then(|node| self.heard.remove(&node));
        }
        let half = i64::try_from(round_trip.as_micros() / 2).unwrap_or_default();
        let ahead = signed(own).saturating_sub(half).saturating_sub(signed(theirs));
        self.heard.insert(node, Heard { at: now, origin, ahead });
    }

    /// How this node's clock stands now.
    pub fn standing(&mut self, now: Time) -> Standing {
        self.heard.retain(|_, heard| now.since(heard.at) <= KEPT);
        let mut clocks: Vec<i64> = self.heard.values().map(|heard| heard.ahead).chain([0]).collect();
        clocks.sort_unstable();
        let middle = [clocks[(clocks.len() - 1) / 2], clocks[clocks.len() / 2]];
        let ahead_us = middle.into_iter().min_by_key(|ahead| ahead.unsigned_abs()).unwrap_or_default();
        let near = |ahead: i64| ahead.abs_diff(ahead_us) <= micros(BARRED);
        let agree = clocks.iter().filter(|ahead| near(**ahead)).count();
        let others = self.heard.values().any(|heard| heard.origin && near(heard.ahead));
        let far = ahead_us.unsigned_abs();
        self.off = far > micros(if self.off { GOOD } else { TOLD });
        let barred = far > micros(BARRED) && 2 * agree > clocks.len() && others;
        Standing { ahead_us, off: self.off, barred }
    }
}

fn signed(wall: WallTime) -> i64 {
    i64::try_from(wall.as_micros()).unwrap_or(i64::MAX)
}

const fn micros(length: Duration) -> u64 {
    length.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time::from_millis(500_000);
    const WALL: WallTime = WallTime::from_millis(1_700_000_000_000);

    fn node(n: usize) -> NodeId {
        NodeId::new(format!("n{n}")).unwrap()
    }

    /// What a node knows whose clock is ahead of each of these by so many milliseconds, all of them origins or none.
    fn of(ahead_ms: &[i64], origin: bool) -> Clocks {
        let mut clocks = Clocks::default();
        for (n, ahead) in ahead_ms.iter().enumerate() {
            let theirs = WallTime::from_millis(WALL.as_millis().saturating_add_signed(-ahead));
            clocks.heard(NOW, node(n), origin, (WALL, Duration::ZERO, theirs));
        }
        clocks
    }

    fn standing(ahead_ms: &[i64]) -> (i64, bool, bool) {
        let Standing { ahead_us, off, barred } = of(ahead_ms, true).standing(NOW);
        (ahead_us / 1000, off, barred)
    }

    #[test]
    fn a_clock_is_judged_by_the_median_and_barred_by_a_majority_only() {
        type Row<'a> = (&'a [i64], (i64, bool, bool));
        let rows: &[Row<'_>] = &[
            (&[], (0, false, false)),
            (&[3, -4, 7], (0, false, false)),
            // One of four is wrong: another, or this one.
            (&[660_000, 1, 2], (1, false, false)),
            (&[660_000, 660_001, 660_002], (660_000, true, true)),
            (&[-3_000, -3_000, -3_001, -2_999], (-3_000, true, true)),
            (&[700, 690, 710], (690, true, false)),
            // Of two nobody knows which one is wrong.
            (&[660_000], (0, false, false)),
            // No two agree.
            (&[100_000, 300_000, 500_000, 700_000], (300_000, true, false)),
        ];
        for (ahead, expected) in rows {
            assert_eq!(standing(ahead), *expected, "{ahead:?}");
        }
    }

    #[test]
    fn where_every_origin_s_clock_is_off_none_is_barred() {
        let mut edges_alone = of(&[660_000, 660_000, 660_000], false);
        assert_eq!(edges_alone.standing(NOW), Standing { ahead_us: 660_000_000, off: true, barred: false });
        edges_alone.heard(NOW, node(9), true, (WALL, Duration::ZERO, WALL - Duration::from_secs(660)));
        assert!(edges_alone.standing(NOW).barred);
    }

    #[test]
    fn half_of_the_way_counts_and_a_long_one_does_not_at_all() {
        let mut clocks = Clocks::default();
        let way = Duration::from_millis(200);
        clocks.heard(NOW, node(1), true, (WALL, way, WALL - way / 2));
        clocks.heard(NOW, node(2), true, (WALL, way, WALL - way / 2));
        clocks.heard(NOW, node(3), true, (WALL, Duration::from_secs(1), WALL - Duration::from_secs(900)));
        assert_eq!(clocks.standing(NOW).ahead_us, 0);
        assert_eq!(clocks.heard.len(), 2);
    }

    #[test]
    fn a_clock_is_told_as_off_once_and_as_good_once() {
        let told = |clocks: &mut Clocks, ahead_ms: u64| {
            for n in 0..3 {
                clocks.heard(
                    NOW,
                    node(n),
                    true,
                    (WALL, Duration::ZERO, WALL - Duration::from_millis(ahead_ms)),
                );
            }
            clocks.standing(NOW).off
        };
        let mut clocks = Clocks::default();
        let told: Vec<_> =
            [0, 499, 501, 499, 300, 251, 249, 499].map(|ahead| told(&mut clocks, ahead)).into();
        assert_eq!(told, [false, false, true, true, true, true, false, false]);
    }

    proptest! {
        /// Whatever less than half of the clocks show, a node of the others is not barred, and what is remembered is bounded.
        #[test]
        fn a_minority_bars_nobody_of_the_majority(
            wrong in prop::collection::vec(any::<i32>(), 0..40),
            jitter in prop::collection::vec(-400_i64..400, 40),
        ) {
            let right = jitter.into_iter().take(wrong.len());
            let ahead: Vec<i64> = wrong.iter().map(|ms| i64::from(*ms)).chain(right).collect();
            let mut clocks = of(&ahead, true);
            prop_assert!(clocks.heard.len() <= KNOWN);
            let Standing { ahead_us, barred, .. } = clocks.standing(NOW);
            prop_assert!(wrong.len() > KNOWN / 2 || (ahead_us.abs() <= 400_000 && !barred), "{ahead_us}");
            prop_assert_eq!(clocks.standing(NOW + KEPT + KEPT), Standing::default());
        }
    }
}
