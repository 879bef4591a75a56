//! The playout behind a buffer that adapts: frames are late in any way, speech and silence come in turns. It is compared with
//! what a fixed buffer does with the same frames.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::{Time, WallTime, check::SlotOnce};
use stentor_relay::{Frame, Output, Playout, SILENT_BYTES};

const LEAST: Duration = Duration::from_millis(60);
const MOST: Duration = Duration::from_millis(200);
/// What a frame may be late by and still be played: the most less the slot that the last step would have to be.
const HIDDEN_MS: u64 = 180;

fn frame(slot: u64, silent: bool) -> Frame {
    let opus = if silent { &[0xf8, 0xff, 0xfe][..] } else { &[0x78; 80] };
    Frame {
        epoch: Epoch(1),
        lineage: Lineage(2),
        slot: Slot(slot),
        opus: Bytes::copy_from_slice(opus),
        captured: WallTime::default(),
    }
}

/// One frame: how late it comes, and whether it is silent. It comes never, if it is lost.
#[derive(Debug, Clone, Copy)]
struct Sent {
    late_ms: u64,
    silent: bool,
    lost: bool,
}

const fn on_time(silent: bool) -> Sent {
    Sent { late_ms: 0, silent, lost: false }
}

/// What came out, and when, in milliseconds.
#[derive(Debug, Default, PartialEq)]
struct Given {
    played: Vec<(u64, u64)>,
    gaps: Vec<(u64, u64)>,
    depth: Vec<Duration>,
}

/// Plays in steps of a millisecond what comes over a link that keeps the order.
fn play(mut playout: Playout, sent: &[Sent]) -> Result<Given, TestCaseError> {
    let (mut given, mut once, mut out) = (Given::default(), SlotOnce::default(), Vec::new());
    let mut free = 0;
    let mut arrivals = Vec::new();
    for (slot, sent) in (0_u64..).zip(sent) {
        free = free.max(1_000 + slot * 20 + sent.late_ms);
        if !sent.lost {
            arrivals.push((free, frame(slot, sent.silent)));
        }
    }
    let mut arrivals = arrivals.into_iter().peekable();
    let end = 1_000 + sent.len() as u64 * 20;
    for now in 1_000..end {
        while let Some((_, frame)) = arrivals.next_if(|(at, _)| *at <= now) {
            playout.push(Time::from_millis(now), frame);
        }
        let before = playout.deadline_of(Slot(0));
        playout.poll(Time::from_millis(now), &mut out);
        let mut silent = 0;
        for output in out.drain(..) {
            match output {
                Output::Play(frame) => {
                    prop_assert_eq!(once.given(frame.slot, frame.lineage), Ok(()));
                    silent += u64::from(frame.is_silent());
                    given.played.push((frame.slot.0, now));
                }
                Output::Gap { slot, count } => given.gaps.push((slot.0, count)),
            }
        }
        if let (Some(before), Some(after)) = (before, playout.deadline_of(Slot(0))) {
            // A slot of silence gives a millisecond back, and nothing else anything.
            prop_assert!(after + Duration::from_millis(silent) >= before, "{:?} to {:?}", before, after);
            prop_assert!((LEAST..=MOST).contains(&playout.depth()), "{:?}", playout.depth());
            given.depth.push(playout.depth());
        }
    }
    Ok(given)
}

fn adaptive() -> Playout {
    Playout::adaptive(LEAST, MOST)
}

fn sent(late: impl Strategy<Value = u64>, lost: f64) -> impl Strategy<Value = Sent> {
    (late, any::<bool>(), prop::bool::weighted(lost)).prop_map(|(late_ms, silent, lost)| Sent {
        late_ms,
        silent,
        lost,
    })
}

#[test]
fn what_is_as_short_as_a_mixers_silence_is_silent_and_speech_is_not() {
    assert!(frame(0, true).is_silent() && !frame(0, false).is_silent());
    assert_eq!(SILENT_BYTES, 3);
}

#[test]
fn a_stall_is_waited_for_once_and_given_back_in_the_next_silence() {
    // Speech; a stall of 130 ms; speech; silence.
    let mut sent = vec![on_time(false); 200];
    for (behind, sent) in sent[50..56].iter_mut().enumerate() {
        sent.late_ms = 130 - 20 * behind as u64;
    }
    sent.extend([on_time(true); 200]);
    let given = play(adaptive(), &sent).unwrap();
    assert_eq!(given.gaps, []);
    let grown = Duration::from_millis(140);
    assert_eq!(given.depth.iter().max(), Some(&grown));
    let depth_at = |slot: usize| given.depth[slot * 20 - 1];
    assert_eq!(depth_at(49), LEAST);
    assert_eq!((depth_at(60), depth_at(195)), (grown, grown), "speech is not hurried");
    assert_eq!(depth_at(395), LEAST);
    // One slot each 19 ms, as long as there is something to give back.
    let at = |slot: u64| given.played.iter().find(|(played, _)| *played == slot).unwrap().1;
    assert_eq!(at(240) - at(210), 30 * 19);
    assert_eq!(at(199) - at(100), 99 * 20);
    assert_eq!(at(380) - at(330), 50 * 20);
    // A fixed one loses what was late by more than itself.
    assert_eq!(play(Playout::new(LEAST), &sent).unwrap().gaps, [(50, 1), (51, 1), (52, 1), (53, 1)]);
}

#[test]
fn a_slot_that_is_lost_while_others_come_is_not_waited_for() {
    let mut sent = vec![on_time(false); 100];
    sent[40].lost = true;
    let given = play(adaptive(), &sent).unwrap();
    assert_eq!(given.gaps, [(40, 1)]);
    assert!(given.depth.iter().all(|depth| *depth == LEAST));
}

#[test]
fn when_nothing_comes_any_more_it_waits_to_its_end_and_then_counts() {
    let mut sent = vec![on_time(false); 100];
    sent[50..].iter_mut().for_each(|sent| sent.lost = true);
    let given = play(adaptive(), &sent).unwrap();
    assert_eq!(given.depth.last(), Some(&MOST));
    // Slot 50 is given up 200 ms after it was due, and then one each 20 ms.
    assert_eq!(given.gaps.len(), (50 * 20 - 200) / 20);
    assert!(given.gaps.iter().all(|(_, count)| *count == 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_calm_it_plays_each_slot_when_a_fixed_buffer_does(
        sent in vec(sent(0_u64..55, 0.0), 5..200),
    ) {
        prop_assert_eq!(play(adaptive(), &sent)?, play(Playout::new(LEAST), &sent)?);
    }

    #[test]
    fn what_is_late_by_less_than_the_most_is_played(
        sent in vec(sent(prop_oneof![4 => 0_u64..20, 1 => 0..HIDDEN_MS], 0.0), 5..300),
    ) {
        let mut sent = sent;
        // The base is known.
        sent[0].late_ms = 0;
        prop_assert_eq!(play(adaptive(), &sent)?.gaps, []);
    }

    #[test]
    fn whatever_comes_slots_come_once_and_it_never_misses_more_than_a_fixed_one(
        sent in vec(sent(prop_oneof![4 => 0_u64..20, 1 => 0_u64..900], 0.1), 5..300),
    ) {
        let missed = |given: &Given| given.gaps.iter().map(|(_, count)| count).sum::<u64>();
        // Every slot is given out by then, by both.
        let mut sent = sent;
        sent.extend([on_time(true); 80]);
        let (adaptive, fixed) = (play(adaptive(), &sent)?, play(Playout::new(LEAST), &sent)?);
        prop_assert!(missed(&adaptive) <= missed(&fixed), "{:?} {:?}", adaptive.gaps, fixed.gaps);
    }

    #[test]
    fn a_silence_that_is_long_enough_gives_all_back(
        sent in vec(sent(0_u64..400, 0.05), 5..100),
    ) {
        let mut sent = sent;
        sent.extend([on_time(true); 200]);
        prop_assert_eq!(play(adaptive(), &sent)?.depth.pop(), Some(LEAST));
    }
}
