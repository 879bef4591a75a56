//! Which stage an origin mixes under, of those that come to it.

use super::*;
use crate::{Heed, Way};

const fn stage(epoch: u64, version: u64) -> StageId {
    StageId { epoch: Epoch(epoch), version }
}

#[test]
fn an_owner_obeys_who_decides_there_and_nobody_else() {
    let mut origin = owner();
    assert_eq!(origin.stage(Way::Own, stage(1, 4)), Heed::Take);
    for way in [Way::Stream, Way::Record] {
        assert_eq!(origin.stage(way, stage(1, 9)), Heed::Leave, "{way:?}");
    }
    // Its actor begins again from what it had told, which may be less than what it had decided.
    assert_eq!(origin.stage(Way::Own, stage(1, 3)), Heed::Take);
}

#[test]
fn an_owner_that_gives_way_heeds_its_successor_up_to_the_claims_first_slot() {
    let mut origin = owner();
    origin.stage(Way::Own, stage(1, 4));
    assert!(!origin.heeds(Way::Stream), "who may speak is this one's to say");
    origin.end_at(Slot(30));
    // The record that the successor decides from may lack what this one had not committed.
    assert_eq!(origin.stage(Way::Record, stage(2, 3)), Heed::Take);
    assert_eq!(origin.stage(Way::Own, stage(1, 5)), Heed::Leave, "it decides no more");
    origin.opened();
    assert_eq!(origin.stage(Way::Stream, stage(2, 4)), Heed::Take);
}

#[test]
fn a_mirror_goes_by_the_owners_stream_while_it_stands_and_by_its_record_without_it() {
    let mut origin = mirror();
    origin.opened();
    assert_eq!(origin.stage(Way::Own, stage(1, 3)), Heed::Take, "what was recorded when it began");
    assert_eq!(origin.stage(Way::Stream, stage(1, 4)), Heed::Take);
    assert_eq!(origin.stage(Way::Record, stage(1, 5)), Heed::Leave, "the stream will say so, between slots");
    origin.lost();
    assert_eq!(origin.stage(Way::Record, stage(1, 5)), Heed::Take);
    assert_eq!(origin.stage(Way::Record, stage(1, 5)), Heed::Leave, "it has it");
}

#[test]
fn a_mirror_that_leads_heeds_the_record_before_its_stream_is_found_lost() {
    let mut origin = mirror();
    origin.opened();
    assert!(!origin.heeds(Way::Record));
    assert!(acts(&mut origin, 230).starts_with("T10"));
    assert_eq!(origin.stage(Way::Record, stage(1, 5)), Heed::Take);
}

#[test]
fn an_older_stage_never_replaces_a_newer_one_whichever_way_it_comes() {
    let mut origin = mirror();
    assert_eq!(origin.stage(Way::Record, stage(1, 7)), Heed::Take);
    origin.opened();
    // What was under way on a stream that stood still.
    assert_eq!(origin.stage(Way::Stream, stage(1, 6)), Heed::Leave);
    assert_eq!(origin.stage(Way::Stream, stage(1, 7)), Heed::Take, "the owner's own word on the same");
    origin.lost();
    // A directory that came back with an older state.
    assert_eq!(origin.stage(Way::Record, stage(0, 99)), Heed::Leave);
    assert_eq!(origin.stage(Way::Record, stage(1, 6)), Heed::Leave);
    // The next owner's record lacks what the former one could not commit; it counts all the same.
    assert_eq!(origin.stage(Way::Record, stage(2, 6)), Heed::Take);
    assert_eq!(origin.stage(Way::Stream, stage(1, 8)), Heed::Leave, "the former owner's");
}

#[test]
fn what_a_build_says_that_tells_no_epoch_is_taken_in_its_order() {
    let mut origin = mirror();
    origin.opened();
    for version in [5, 6, 4] {
        assert_eq!(origin.stage(Way::Stream, stage(0, version)), Heed::Take);
    }
    origin.lost();
    assert_eq!(origin.stage(Way::Record, stage(1, 4)), Heed::Leave);
    assert_eq!(origin.stage(Way::Record, stage(1, 5)), Heed::Take);
}

#[test]
fn a_stage_of_an_epoch_that_cannot_be_is_refused() {
    let mut origin = mirror();
    for way in [Way::Own, Way::Stream, Way::Record] {
        assert_eq!(origin.stage(way, stage(2 + EPOCHS_AHEAD, 1)), Heed::Refuse, "{way:?}");
    }
    assert_eq!(origin.stage(Way::Record, stage(1, 1)), Heed::Take, "nothing of it was believed");
}

#[test]
fn another_origin_s_stream_does_not_stand_because_the_former_one_s_did() {
    let mut origin = mirror();
    origin.opened();
    origin.meet(Some("another"));
    assert!(acts(&mut origin, 190).contains("follow:another"));
    assert!(origin.heeds(Way::Record));
}
