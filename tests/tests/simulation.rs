//! Worlds in virtual time: what must hold whatever fails, for a thousand seeds; and seeds that once broke it.

use stentor_tests::sim::{self, Stats};

/// Seeds that every run goes through. `make sim` goes through more.
const SEEDS: u64 = 1_000;

/// Goes through seeds from `first` on, and tells all that broke something.
fn worlds(first: u64, count: u64) -> Stats {
    let mut stats = Stats::default();
    let mut broken = Vec::new();
    for seed in first..first + count {
        match sim::check(seed) {
            Ok(run) => stats.add(&run.stats),
            Err(account) => broken.push(account),
        }
    }
    assert!(
        broken.is_empty(),
        "{} seeds of {count} broke something; the first:\n{}",
        broken.len(),
        broken[0]
    );
    stats
}

#[test]
fn whatever_fails_the_invariants_hold_in_every_world() {
    println!("{}", worlds(0, SEEDS));
}

#[test]
fn a_seed_is_a_world() {
    for seed in [0, 1, 7, 49] {
        let [one, other] = [false, true].map(|trace| sim::run(seed, trace));
        assert_eq!((one.hash, &one.stats), (other.hash, &other.stats), "seed {seed}");
    }
    assert_ne!(sim::run(1, false).hash, sim::run(2, false).hash);
}

/// An owner was cut off for 144 ms. When the link was back, the first slots of the mirror came with what it had held up; the
/// owner kept, set its grid by them, and led again 150 ms too late.
#[test]
fn seed_210_slots_that_a_cut_held_up_do_not_shift_the_grid() {
    worlds(210, 1);
}

/// A mirror was cut off for 227 ms and led alone. When the link was back, the owner stepped down for slots that it had mixed
/// itself long before, and nobody whom listeners heard mixed the next.
#[test]
fn seed_213_a_leader_does_not_step_down_for_what_is_long_past() {
    worlds(213, 1);
}

/// The directory came back empty while owners had no lease yet: that a lease is gone is no claim by another.
#[test]
fn seed_77_an_owner_without_a_lease_goes_on() {
    worlds(77, 1);
}

/// An owner decided who is muted while the directory was away, and died. The versions of its successor's stages were lower,
/// and the mirror held on to the old ones.
#[test]
fn seed_1891_a_stage_that_goes_back_with_its_record_is_taken() {
    worlds(1_891, 1);
}

/// The actor of an owner failed and was restarted just when a slot was due: it began with the one after that, which its
/// mirror took for all that was to come.
#[test]
fn seed_2_a_room_that_is_restarted_goes_on_with_the_slot_that_is_due() {
    worlds(2, 1);
}

/// A room was moved, and the heir's claim was not answered for long. The former owner saw the claim and became the mirror;
/// each heard the other, and nobody owned the room.
#[test]
fn seed_362_a_claim_whose_answer_is_lost_is_claimed_over_though_the_former_owner_is_heard() {
    worlds(362, 1);
}

/// The same of a room that was claimed from a dead owner, by a call that never ended.
#[test]
fn seed_474_a_claim_that_never_ends_is_claimed_over() {
    worlds(474, 1);
}

/// A mirror that led was cut off for a second, and its owner led on under the next lineage. The mirror's claim, a second ahead,
/// came just after the cut: it let the former owner go at once instead of at the claim's first slot, went on under its own
/// lineage below that, to which listeners of the owner's were deaf, and the relays left the owner.
#[test]
fn seed_1724_a_claimant_that_leads_hears_the_former_owner_up_to_its_first_slot() {
    worlds(1_724, 1);
}

/// A mirror was cut off and claimed, and an owner of a newer build wrote the room's record. When the link was back the mirror
/// stepped aside, as it could not read the record, and then its claim was won: the directory named an owner that nobody was.
#[test]
fn seed_5567_a_claim_that_is_won_after_its_mirror_left_is_given_up() {
    worlds(5_567, 1);
}

/// A mirror was cut off for so long that its key was gone, and its claim came after the cut. The owner, which had no mirror any
/// more, mixed up to the claim's first slot and heard nobody: whom the new owner muted meanwhile was heard.
#[test]
fn seed_1619_an_owner_that_gives_way_hears_its_successor() {
    worlds(1_619, 1);
}

/// A room's two origins did not hear each other; its edges went over to the mirror's lineage when the owner stood still for a
/// moment, and the mirror died. The owner's lineage was the lower one, and no other mirror came that had heard of theirs.
#[test]
fn seed_5_who_heard_a_mirror_that_dies_hears_the_owner_again() {
    worlds(5, 1);
}

/// The same of a mirror that drained.
#[test]
fn seed_198_who_heard_a_mirror_that_drains_hears_the_owner_again() {
    worlds(198, 1);
}

/// A mirror was cut off, claimed, and its claim was held up by the cut. When the link was back it pre-empted an owner that
/// all relays heard, from a slot that was long past; the owner left at once, and no relay had the mirror's stream yet.
#[test]
fn seed_357_a_claim_that_a_cut_held_up_takes_no_room_off_the_air() {
    worlds(357, 1);
}

/// A room's origins were cut from each other. The mirror mixed for half the audience, and heard that somebody was muted only
/// when its stream stood again.
#[test]
fn seed_705_who_is_muted_while_origins_are_cut_is_muted_by_both() {
    worlds(705, 1);
}

/// The same, and the mirror took the stream for one that stood for a second and a half after the cut.
#[test]
fn seed_608_who_is_muted_just_after_a_cut_is_muted_by_both() {
    worlds(608, 1);
}

/// A room was moved to a node that did not mirror it. The mirror until then led, so that it was ready; the owner took that for the
/// heir's word when its view showed the heir, which had heard nothing yet: half a second was not heard.
#[test]
fn seed_98_that_the_mirror_before_it_is_ready_says_nothing_of_the_heir() {
    worlds(98, 1);
}

/// The owner was not heard by its mirror for a second and a half. Somebody was muted when the link was well again and the
/// stream did not stand yet.
#[test]
fn seed_6293_who_is_muted_before_a_stream_stands_again_is_muted_by_both() {
    worlds(6_293, 1);
}

/// An owner was cut off while its room was claimed twice, and the mirror that it would have heard of it from died. The directory came
/// back empty, and the owner put its key back before the one of the last claim did. Neither it nor the directory could know.
#[test]
fn seed_100489_an_owner_that_could_not_hear_of_a_claim_that_was_forgotten_puts_its_key_back() {
    worlds(100_489, 1);
}

/// A commit never ended, and nothing was committed any more: long after, a mirror that was cut off from its owner could not know by
/// the record who was muted.
#[test]
fn seed_105180_a_commit_that_does_not_end_is_given_up() {
    worlds(105_180, 1);
}

/// The same as of seed 357, after cuts of other nodes and lengths: the claim came late, and no relay heard the claimant.
#[test]
fn seeds_of_claims_that_a_cut_held_up() {
    for seed in [2_152, 5_477, 6_088, 6_171, 7_505, 50_262, 100_343, 102_559] {
        worlds(seed, 1);
    }
}
