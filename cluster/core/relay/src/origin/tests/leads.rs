//! Where an origin begins and ends, under which term, whom it follows and what it says.

use super::*;

#[test]
fn a_mirror_goes_on_under_the_term_and_the_next_lineage_of_its_side() {
    let mut origin = mirror();
    assert_eq!(origin.next_deadline(), Deadline::new(at(230), Wake::Missing));
    assert_eq!(acts(&mut origin, 229), "");
    assert_eq!(acts(&mut origin, 230), "T10 E10@1! E11@1");
    assert_eq!(origin.leads(), Some(line(1, 1)));
    assert_eq!(origin.next_deadline(), Deadline::new(at(240), Wake::Slot));
}

#[test]
fn a_take_over_says_whether_it_was_promised() {
    for ready in [true, false] {
        let mut origin = mirror();
        origin.say(at(190), ready);
        origin.has_read();
        let act = origin.poll(at(230));
        assert_eq!(act, Some(Act::TakeOver { slot: Slot(10), due: at(200), promised: ready }));
    }
}

#[test]
fn slots_below_a_terms_first_are_of_the_epoch_before() {
    let mut origin = mirror();
    origin.enter(term(2, 12, Side::Owner));
    origin.begin(at(190), WallTime::default(), begin(12, 2, None));
    // The former owner has fallen silent before.
    assert_eq!(acts(&mut origin, 240), "T10 E10@1! E11@1 E12@2 follow:other@2 again");
}

#[test]
fn a_new_term_lifts_what_is_begun_next() {
    let mut origin = mirror();
    origin.enter(term(2, 10, Side::Mirror));
    acts(&mut origin, 230);
    assert_eq!(origin.leads(), Some(line(2, 1)));
}

#[test]
fn an_end_that_comes_while_the_other_leads_is_over_once_the_other_has_come_to_it() {
    let mut origin = mirror();
    origin.end_at(Slot(12));
    assert_eq!(acts(&mut origin, 190), "");
    for slot in 10..12 {
        assert_eq!(acts(&mut origin, 20 * slot), "");
        hears(&mut origin, 20 * slot, frame(1, line(1, 0), slot));
    }
    assert_eq!(acts(&mut origin, 221), "over");
}

#[test]
fn one_that_has_an_end_goes_on_up_to_it_if_the_other_falls_silent_before() {
    let mut origin = mirror();
    origin.end_at(Slot(12));
    assert_eq!(acts(&mut origin, 260), "T10 E10@1! E11@1 yield over");
}

#[test]
fn an_end_that_has_passed_is_over_at_once_and_so_is_that_of_a_room_that_is_not_live() {
    let mut origin = mirror();
    origin.end_at(Slot(3));
    assert_eq!(acts(&mut origin, 185), "over");
    let mut idle = Origin::<&str>::new(term(1, 0, Side::Mirror), None);
    idle.end_at(Slot(3));
    assert_eq!(acts(&mut idle, 0), "over");
}

#[test]
fn to_begin_anew_forgets_an_end() {
    let mut origin = owner();
    origin.end_at(Slot(12));
    origin.begin(at(190), WallTime::default(), begin(12, 2, None));
    assert_eq!(acts(&mut origin, 240), "E10@1 E11@1 E12@1!");
    assert_eq!(origin.leads(), Some(line(2, 0)));
}

#[test]
fn a_room_begins_on_the_grid_of_go_live_by_the_clock() {
    let mut origin = Origin::<&str>::new(term(1, 100, Side::Owner), None);
    // Go-live was 2.01 s ago, so that slot 100 was due 10 ms ago.
    origin.begin(at(0), WallTime::from_millis(7_010), begin(100, 1, None));
    assert_eq!(acts(&mut origin, 0), "E100@1!");
    assert_eq!(origin.next_deadline(), Deadline::new(at(10), Wake::Slot));
}

#[test]
fn where_slots_were_here_a_room_goes_on_on_their_line_and_no_clock_counts() {
    let mut origin = Origin::<&str>::new(term(1, 100, Side::Owner), None);
    origin.begin(at(0), WallTime::from_millis(999_999_999), begin(101, 1, Some((100, 3))));
    assert_eq!(acts(&mut origin, 22), "say");
    assert_eq!(acts(&mut origin, 23), "E101@1!");
}

#[test]
fn who_is_to_lead_later_hears_the_former_owner_until_then() {
    let mut origin = mirror();
    origin.enter(term(2, 12, Side::Owner));
    origin.meet(Some("next"));
    origin.begin(at(190), WallTime::default(), begin(12, 2, None));
    for slot in 10..12 {
        assert_eq!(acts(&mut origin, 20 * slot), "");
        hears(&mut origin, 20 * slot, frame(1, line(1, 0), slot));
    }
    assert_eq!(origin.next_deadline(), Deadline::new(at(240), Wake::Begin));
    assert_eq!(acts(&mut origin, 240), "T12 E12@2! follow:next@2");
}

#[test]
fn who_leads_and_is_to_lead_anew_later_hears_the_former_owner_until_then() {
    let mut origin = mirror();
    assert_eq!(acts(&mut origin, 240), "T10 E10@1! E11@1 E12@1");
    // It claims the room while a cut parts it from the owner, which leads a higher lineage.
    origin.enter(term(2, 15, Side::Owner));
    origin.meet(None);
    origin.begin(at(250), WallTime::default(), begin(15, 2, None));
    assert_eq!(acts(&mut origin, 250), "");
    let steps_down = Effect::StepDown { slot: Slot(13), lineage: line(1, 2) };
    assert_eq!(hears(&mut origin, 261, frame(1, line(1, 2), 13)), [steps_down]);
    assert_eq!(acts(&mut origin, 261), "");
    hears(&mut origin, 281, frame(1, line(1, 2), 14));
    assert_eq!(acts(&mut origin, 281), "follow:none@2");
    assert_eq!(acts(&mut origin, 301), "T15 E15@2!");
}

#[test]
fn another_origin_is_followed_and_none_as_well() {
    let mut origin = mirror();
    origin.meet(Some("third"));
    assert_eq!(acts(&mut origin, 185), "follow:third@1");
    origin.meet(Some("third"));
    assert_eq!(acts(&mut origin, 186), "");
    origin.meet(None);
    assert_eq!(acts(&mut origin, 187), "follow:none@1");
    assert_eq!(acts(&mut origin, 188), "");
}

#[test]
fn how_one_stands_is_said_each_400_ms_and_when_it_changes() {
    let mut origin = Origin::<&str>::new(term(1, 0, Side::Mirror), None);
    assert_eq!(acts(&mut origin, 0), "say");
    assert_eq!(origin.next_deadline(), Deadline::new(at(400), Wake::Say));
    assert_eq!(acts(&mut origin, 399), "");
    assert_eq!(acts(&mut origin, 400), "say");
}

#[test]
fn who_leads_says_so_once_for_each_lineage_and_again_after_it_has_kept() {
    let mut origin = owner();
    assert_eq!(acts(&mut origin, 200), "E10@1");
    let effects = hears(&mut origin, 221, frame(1, line(1, 1), 11));
    assert_eq!(effects, [Effect::StepDown { slot: Slot(11), lineage: line(1, 1) }]);
    assert_eq!(origin.leads(), None);
    assert_eq!(acts(&mut origin, 270), "T12 E12@1! E13@1");
    assert_eq!(origin.leads(), Some(line(1, 2)));
}

#[test]
fn who_leads_says_so_once_also_while_a_term_of_its_own_is_to_begin() {
    let mut origin = mirror();
    assert_eq!(acts(&mut origin, 230), "T10 E10@1! E11@1");
    origin.enter(term(2, 14, Side::Owner));
    origin.begin(at(235), WallTime::default(), begin(14, 2, None));
    assert_eq!(acts(&mut origin, 240), "E12@1");
    origin.say(at(241), true);
    assert_eq!(acts(&mut origin, 280), "E13@1 E14@2! follow:other@2 again");
    assert_eq!(origin.leads(), Some(line(2, 0)));
}

#[test]
fn one_that_comes_late_to_its_end_goes_on_no_further() {
    for late in [0, 30, 5_000] {
        let mut origin = owner();
        origin.end_at(Slot(10));
        assert_eq!(acts(&mut origin, 200 + late), "yield over");
    }
}

#[test]
fn a_room_that_is_not_live_hears_and_begins_nothing() {
    let mut origin = Origin::new(term(1, 0, Side::Mirror), Some(OTHER));
    assert_eq!(hears(&mut origin, 0, frame(1, line(1, 0), 0)), []);
    origin.lost();
    origin.stood_still(at(0));
    assert_eq!(acts(&mut origin, 390), "follow:other@1 say");
    assert_eq!((origin.leads(), origin.next()), (None, None));
    // Live for 8 s: what comes next is on that grid, if nothing else is known of it.
    origin.become_live(at(400), Duration::from_secs(8));
    origin.become_live(at(400), Duration::from_secs(99));
    origin.begin(at(400), WallTime::from_millis(13_000), begin(400, 1, None));
    assert_eq!(acts(&mut origin, 400), "E400@1!");
}
