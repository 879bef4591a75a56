//! The way of a room's frames from a source over two parents, through a ring and a playout, under whatever the links do
//! to them: loss, delay, reordering, duplication, take-overs by lineage and by epoch, and slots that jump.

use std::time::Duration;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::{
    Time, WallTime,
    check::{self, EpochFence, NoGap, SlotOnce},
};
use stentor_relay::{Frame, Inserted, Output, PENDING_FRAMES, Playout, RING_SLOTS, Ring};

const BUFFER: Duration = Duration::from_millis(60);
const START: u64 = 10_000;

fn frame(epoch: u64, lineage: u64, slot: u64) -> Frame {
    Frame {
        epoch: Epoch(epoch),
        lineage: Lineage(lineage),
        slot: Slot(slot),
        opus: Bytes::new(),
        captured: WallTime::default(),
    }
}

/// What one parent does to one slot.
#[derive(Debug, Clone, Copy)]
struct Hop {
    lost: bool,
    twice: bool,
    delay_ms: u64,
}

fn hop(max_delay_ms: u64) -> impl Strategy<Value = Hop> {
    (prop::bool::weighted(0.1), prop::bool::weighted(0.1), 0..=max_delay_ms)
        .prop_map(|(lost, twice, delay_ms)| Hop { lost, twice, delay_ms })
}

/// A piece of the source's history: how it emits the slots that follow.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// So many slots go on as before.
    On(u8),
    /// A mirror goes on under the next lineage, while the old origin still emits so many slots.
    Lineage(u8),
    /// A new owner goes on under the next epoch and lineage, while the old one still emits so many slots.
    Epoch(u8),
    /// So many slots are never emitted.
    Jump(u32),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => (1_u8..40).prop_map(Turn::On),
        1 => (0_u8..10).prop_map(Turn::Lineage),
        1 => (0_u8..10).prop_map(Turn::Epoch),
        1 => prop_oneof![1_u32..30, Just(1_000_000_000)].prop_map(Turn::Jump),
    ]
}

/// Every frame that the origins emit, with the moment at which they do, in milliseconds.
fn emitted(turns: &[Turn]) -> Vec<(u64, Frame)> {
    let (mut epoch, mut lineage, mut slot, mut at) = (1, 1, START, 1000);
    let mut frames = Vec::new();
    for turn in turns {
        let mut stale = |epoch, lineage, count: u8| {
            frames.extend((0..u64::from(count)).map(|n| (at + n * 20, frame(epoch, lineage, slot + n))));
        };
        match *turn {
            Turn::On(count) => {
                stale(epoch, lineage, count);
                slot += u64::from(count);
                at += 20 * u64::from(count);
            }
            Turn::Lineage(count) => {
                stale(epoch, lineage, count);
                lineage += 1;
            }
            Turn::Epoch(count) => {
                stale(epoch, lineage, count);
                (epoch, lineage) = (epoch + 1, lineage + 1);
            }
            Turn::Jump(count) => slot += u64::from(count),
        }
    }
    frames
}

/// When which frames arrive by way of the parents.
fn arrivals(frames: &[(u64, Frame)], parents: &[Vec<Hop>]) -> Vec<(u64, Frame)> {
    let mut arrivals = Vec::new();
    for hops in parents {
        for ((at, frame), hop) in frames.iter().zip(hops.iter().cycle()) {
            let copies = if hop.lost { 0 } else { 1 + usize::from(hop.twice) };
            for copy in 0..copies as u64 {
                arrivals.push((at + hop.delay_ms + copy * 7, frame.clone()));
            }
        }
    }
    arrivals.sort_by_key(|(at, _)| *at);
    arrivals
}

/// Plays all arrivals, checking every invariant on the way, and gives the slots played.
fn listen(arrivals: Vec<(u64, Frame)>) -> Result<Vec<Slot>, TestCaseError> {
    let (mut ring, mut playout) = (Ring::new(), Playout::new(BUFFER));
    let (mut once, mut fence) = (SlotOnce::default(), EpochFence::default());
    let (mut played, mut out) = (Vec::new(), Vec::new());
    let mut expected: Option<Slot> = None;
    let end = arrivals.last().map_or(0, |(at, _)| at + 200);
    let steps = arrivals.into_iter().map(|(at, frame)| (at, Some(frame))).chain([(end, None)]);
    for (at, arrival) in steps {
        let now = Time::from_millis(at);
        while let Some(due) = playout.next_deadline().filter(|due| *due <= now) {
            playout.poll(due, &mut out);
            prop_assert!(!out.is_empty(), "a deadline brings something");
            for output in out.drain(..) {
                let (slot, count) = match output {
                    Output::Play(frame) => {
                        prop_assert_eq!(once.given(frame.slot, frame.lineage), Ok(()));
                        played.push(frame.slot);
                        (frame.slot, 1)
                    }
                    Output::Gap { slot, count } => (slot, count),
                };
                prop_assert!(count > 0);
                prop_assert_eq!(expected.unwrap_or(slot), slot, "every slot is played or told as a gap");
                expected = Some(slot.plus(count));
            }
        }
        let Some(frame) = arrival else { break };
        let before = ring.epoch();
        let inserted = ring.insert(frame.clone());
        if inserted == Inserted::New {
            prop_assert_eq!(fence.took(frame.epoch, frame.slot), Ok(()));
            playout.push(now, frame.clone());
        }
        if ring.epoch() > before {
            fence.claimed(frame.epoch, frame.slot);
        }
        prop_assert_eq!(check::bounded("playout", playout.pending(), PENDING_FRAMES), Ok(()));
        prop_assert_eq!(check::bounded("ring", ring.from(Slot(0)).count(), 2 * RING_SLOTS), Ok(()));
    }
    Ok(played)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_the_links_do_every_slot_is_given_once_or_told_as_a_gap(
        turns in vec(turn(), 1..12),
        parents in vec(vec(hop(300), 1..60), 1..3),
    ) {
        listen(arrivals(&emitted(&turns), &parents))?;
    }

    #[test]
    fn with_one_of_two_parents_failing_no_slot_is_missed(
        count in 20_u8..200,
        good in vec(0_u64..30, 1..40),
        other in vec(hop(400), 1..40),
        failing in 0_usize..200,
        late in 0_usize..100,
    ) {
        let frames = emitted(&[Turn::On(count)]);
        let sure = |delay_ms: &u64| Hop { lost: false, twice: false, delay_ms: *delay_ms };
        let good: Vec<_> = good.iter().map(sure).collect();
        // The other parent joins late and dies at any moment.
        let window = late.min(frames.len())..(late + failing).min(frames.len());
        let mut all = arrivals(&frames[window], &[other]);
        all.extend(arrivals(&frames, &[good]));
        all.sort_by_key(|(at, _)| *at);
        let played = listen(all)?;
        let mut gap = NoGap::default();
        for slot in &played {
            prop_assert_eq!(gap.given(*slot), Ok(()));
        }
        prop_assert_eq!(played.last(), Some(&Slot(START + u64::from(count) - 1)));
    }

    #[test]
    fn a_take_over_within_the_buffer_misses_no_slot(
        before in 20_u8..60, stale in 0_u8..5, after in 20_u8..60, grace_ms in 0_u64..35,
    ) {
        let mut frames = emitted(&[Turn::On(before), Turn::Lineage(stale), Turn::On(after)]);
        for (at, _) in frames.iter_mut().filter(|(_, frame)| frame.lineage == Lineage(2)) {
            *at += grace_ms;
        }
        frames.sort_by_key(|(at, _)| *at);
        let mut gap = NoGap::default();
        for slot in listen(frames)? {
            prop_assert_eq!(gap.given(slot), Ok(()));
        }
    }

    #[test]
    fn a_claim_that_is_known_is_held_against_every_frame(
        claims in vec((1_u64..6, 0_u64..60), 1..6),
        frames in vec((1_u64..6, 1_u64..4, 0_u64..80), 0..120),
    ) {
        let (mut ring, mut fence) = (Ring::new(), EpochFence::default());
        let mut claims = claims.into_iter();
        for (n, (epoch, lineage, slot)) in frames.into_iter().enumerate() {
            if n % 20 == 0
                && let Some((epoch, from)) = claims.next()
            {
                ring.fence(Epoch(epoch), Slot(from));
                fence.claimed(Epoch(epoch), Slot(from));
                let wrong = ring.from(Slot(0)).find(|frame| fence.took(frame.epoch, frame.slot).is_err());
                prop_assert_eq!(wrong, None, "what is held is within every claim");
            }
            if ring.insert(frame(epoch, lineage, slot)) == Inserted::New {
                prop_assert_eq!(fence.took(Epoch(epoch), Slot(slot)), Ok(()));
            }
        }
    }
}
