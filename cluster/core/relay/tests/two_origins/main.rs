//! The two origins of one room, two relays below them and an edge below these, in virtual time: links are late, lose,
//! reorder and break one way, either origin pauses or dies, rooms are handed over and taken over. There are no codecs: a
//! frame is its numbers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod drive;
mod host;
mod world;

use std::time::Duration;

use proptest::{collection::vec, prelude::*, sample::select};

use stentor_ids::Slot;
use world::{BUFFER, Fault, HOP_MS, LINKS, World};

/// From when every fault is over until exactly one leads: a state of the other, and then its slots.
const HEALED_MS: u64 = 2_000;
/// How late a room's turn may come without being heard: what the seam buffer leaves of it after two hops.
const MOST_LATE_MS: u64 = 50;

fn fault() -> impl Strategy<Value = Fault> {
    let ms = || prop_oneof![1_u64..120, 120_u64..2_500];
    let link = || 0..LINKS.len();
    prop_oneof![
        3 => (0_usize..2, ms()).prop_map(|(who, ms)| Fault::Pause(who, ms)),
        2 => (0_usize..2, 1_u64..=MOST_LATE_MS).prop_map(|(who, ms)| Fault::Late(who, ms)),
        2 => (0_usize..2, any::<bool>(), 1_600_u64..2_500)
            .prop_map(|(who, told, ms)| Fault::Kill { who, told, ms }),
        2 => (link(), ms()).prop_map(|(link, ms)| Fault::Cut(link, ms)),
        1 => ms().prop_map(Fault::Part),
        2 => (link(), ms()).prop_map(|(link, ms)| Fault::Slow(link, ms)),
        1 => Just(Fault::HandOver),
        1 => select(vec![1_u64, 30, 90, 150, 400]).prop_map(Fault::TakeOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_single_failure_of_an_origin_or_a_link_is_heard(
        faults in vec((fault(), 0_u64..20), 1..5), random: u64,
    ) {
        let mut world = World::new(random);
        world.run(500)?;
        for (fault, phase) in &faults {
            world.run(*phase)?;
            world.strike(*fault);
            world.run(4_000)?;
            prop_assert_eq!(&world.gaps, &[], "after {:?}", fault);
            prop_assert_eq!(world.leaders(), 1, "after {:?}", fault);
        }
    }

    /// The promise that the default buffer is made for: it is never used up, nor does it hide that slots come later and later.
    #[test]
    fn behind_60_ms_every_slot_is_played_at_its_deadline_whatever_fails_alone(
        fault in fault(), phase in 0_u64..20, random: u64,
    ) {
        let mut world = World::new(random);
        world.run(500 + phase)?;
        world.strike(fault);
        world.run(4_000)?;
        prop_assert_eq!(&world.gaps, &[]);
        let deadline = BUFFER + Duration::from_millis(2 * HOP_MS);
        prop_assert!(world.latest <= deadline, "{:?} after it was due", world.latest);
        // Each slot of that time, and not one of them before the buffer is over.
        let due = Duration::from_millis(4_500 + phase) - deadline;
        prop_assert!(world.played >= Slot::at(due).0, "{} are played", world.played);
        prop_assert!(world.earliest >= BUFFER, "{:?} after it was due", world.earliest);
    }

    #[test]
    fn whatever_fails_at_once_slots_come_once_and_in_the_end_one_leads(
        faults in vec((fault(), 0_u64..1_500), 1..8), random: u64,
    ) {
        let mut world = World::new(random);
        world.run(500)?;
        for (fault, after) in &faults {
            world.strike(*fault);
            world.run(*after)?;
        }
        world.run(2_600 + HEALED_MS)?;
        prop_assert_eq!(world.leaders(), 1);
        let played = world.played;
        world.run(1_000)?;
        prop_assert!(world.played - played >= 49, "the edge plays again");
    }

    #[test]
    fn a_fault_changes_the_lineage_a_bounded_number_of_times(
        faults in vec(fault(), 1..5), random: u64,
    ) {
        let mut world = World::new(random);
        world.run(500)?;
        for fault in &faults {
            let before = world.begun.len();
            world.strike(*fault);
            world.run(4_000)?;
            // A link that is slow for as long as this is a fault a slot.
            let most = if matches!(fault, Fault::Slow(..)) { usize::MAX } else { 3 };
            prop_assert!(world.begun.len() - before <= most, "{:?}: {:?}", fault, world.begun);
        }
    }
}

/// A mirror that leads becomes the owner, and the former owner does not hear it for a moment.
#[test]
fn an_heir_and_a_former_owner_begin_no_lineage_twice() {
    let mut world = World::new(17_161_360_444_927_996_738);
    world.run(500).unwrap();
    for (fault, after) in [(Fault::Late(0, 29), 490), (Fault::HandOver, 352), (Fault::Part(39), 4_000)] {
        world.strike(fault);
        world.run(after).unwrap();
    }
    assert_eq!(world.leaders(), 1);
}

/// A mirror that led while its owner stood still, and died.
#[test]
fn who_heard_a_mirror_that_is_gone_hears_the_owner_again() {
    let mut world = World::new(0);
    world.run(500).unwrap();
    world.strike(Fault::Pause(0, 441));
    world.run(39).unwrap();
    world.strike(Fault::Kill { who: 1, told: false, ms: 1_600 });
    world.run(1_600 + HEALED_MS).unwrap();
    let played = world.played;
    world.run(1_000).unwrap();
    assert!(world.played - played >= 49, "the edge plays again");
}
