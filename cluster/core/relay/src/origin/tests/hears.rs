//! What is believed of the other origin and of children, and what follows from it.

use super::*;

#[test]
fn nothing_is_missing_before_all_that_came_was_read() {
    let mut origin = mirror();
    assert_eq!(origin.poll(at(230)), Some(Act::Read));
    assert_eq!(origin.poll(at(230)), Some(Act::Read), "it was not");
    hears(&mut origin, 230, frame(1, line(1, 0), 10));
    origin.has_read();
    assert_eq!(origin.poll(at(231)), None, "slot 11 is due 30 ms after its time");
    // What was read before does not count for what is missing later.
    assert_eq!(origin.poll(at(260)), Some(Act::Read));
    origin.has_read();
    assert!(matches!(origin.poll(at(260)), Some(Act::TakeOver { slot: Slot(11), .. })));
}

#[test]
fn one_that_leads_reads_nothing_first() {
    let mut origin = owner();
    assert!(matches!(origin.poll(at(200)), Some(Act::Emit { .. })));
}

#[test]
fn a_pause_of_ones_own_says_nothing_of_the_other() {
    let mut origin = mirror();
    origin.stood_still(at(5_000));
    assert_eq!(acts(&mut origin, 5_000), "say");
    assert_eq!(origin.next_deadline(), Deadline::new(at(5_030), Wake::Missing));
}

#[test]
fn a_frame_of_an_older_epoch_at_or_above_the_terms_first_slot_is_not_taken() {
    let mut origin = mirror();
    origin.enter(term(2, 15, Side::Mirror));
    let judge = |origin: &mut Origin<_>, slot| origin.judge(at(200), &frame(1, line(1, 0), slot), || None);
    assert_eq!(judge(&mut origin, 14), Verdict::Pass);
    assert_eq!(judge(&mut origin, 15), Verdict::Drop);
    assert_eq!(judge(&mut origin, 16), Verdict::Drop);
    assert_eq!(origin.judge(at(200), &frame(2, line(2, 0), 15), || None), Verdict::Pass);
}

#[test]
fn a_frame_of_a_higher_epoch_is_a_claim_by_itself() {
    let mut origin = mirror();
    let effects = hears(&mut origin, 200, frame(2, line(2, 0), 10));
    assert_eq!(effects, [Effect::Fence { epoch: Epoch(2), from: Slot(10) }]);
    assert_eq!(origin.term(), term(2, 10, Side::Mirror));
    assert_eq!(acts(&mut origin, 200), "follow:other@2 again");
}

#[test]
fn an_owner_that_hears_of_a_claim_tells_whose_room_it_is_and_goes_on_until_it_is_told_to_end() {
    let mut origin = owner();
    let claimed = [
        Effect::Fence { epoch: Epoch(2), from: Slot(20) },
        Effect::Claimed { by: OTHER, epoch: Epoch(2), from: Slot(20) },
    ];
    assert_eq!(origin.fence(Epoch(2), Slot(20)), claimed);
    assert_eq!(origin.term(), term(1, 0, Side::Owner));
    origin.end_at(Slot(12));
    assert_eq!(acts(&mut origin, 280), "E10@1 E11@1 yield over");
}

#[test]
fn a_claim_that_is_known_is_no_news() {
    let mut origin = mirror();
    assert_eq!(origin.fence(Epoch(1), Slot(5)), []);
    assert_eq!(origin.fence(Epoch(0), Slot(5)), []);
    assert_eq!(origin.term(), term(1, 0, Side::Mirror));
}

#[test]
fn a_frame_that_the_ring_refuses_as_fenced_tells_nothing() {
    let mut origin = mirror();
    assert_eq!(origin.heard(at(200), &frame(2, line(2, 0), 10), Inserted::Fenced), []);
    assert_eq!((origin.term().epoch, origin.next()), (Epoch(1), Some(Slot(10))));
}

#[test]
fn an_epoch_or_a_lineage_that_cannot_be_is_refused() {
    let mut origin = mirror();
    let far = 1 + EPOCHS_AHEAD;
    let judge =
        |origin: &mut Origin<_>, epoch, lineage| origin.judge(at(200), &frame(epoch, lineage, 10), || None);
    assert_eq!(judge(&mut origin, far, line(far, 0)), Verdict::Pass);
    assert_eq!(judge(&mut origin, far + 1, line(1, 0)), Verdict::Refuse);
    assert_eq!(judge(&mut origin, 1, line(far + 1, 0)), Verdict::Refuse);
    assert_eq!(judge(&mut origin, u64::MAX, Lineage(u64::MAX)), Verdict::Refuse);
    assert_eq!(origin.fence(Epoch(far + 1), Slot(10)), [Effect::Refused]);
    let state = |lineage| State { leads: true, lineage, ready: true };
    assert_eq!(origin.told(state(line(far + 1, 0))), Word::Refused);
    assert_eq!(origin.told(state(line(1, 0))), Word::Changed);
    assert_eq!(origin.term(), term(1, 0, Side::Mirror));
}

#[test]
fn a_slot_that_cannot_be_true_by_now_is_dropped() {
    let mut origin = mirror();
    let far = 10 + 60 * SLOTS_PER_SECOND;
    assert_eq!(origin.judge(at(200), &frame(1, line(1, 0), far), || None), Verdict::Drop);
    // What is emitted here counts as much as what is heard.
    let mut origin = owner();
    assert_eq!(origin.judge(at(200), &frame(1, line(1, 1), far), || None), Verdict::Drop);
}

#[test]
fn a_claim_that_is_told_twice_leaves_what_was_before_it() {
    let mut origin = mirror();
    hears(&mut origin, 200, frame(2, line(2, 0), 10));
    // Who decides here learns of the claim later, and knows its first slot better.
    origin.enter(term(2, 12, Side::Mirror));
    assert_eq!(origin.epoch_of(Slot(11)), Epoch(1));
    assert_eq!(origin.epoch_of(Slot(12)), Epoch(2));
}

#[test]
fn a_child_that_has_seen_more_lifts_one_that_begins_by_any_slot_and_later_only_by_many() {
    let fresh = || {
        let mut origin = Origin::<&str>::new(term(1, 0, Side::Owner), None);
        origin.begin(at(0), WallTime::from_millis(5_000), begin(5, 1, None));
        origin
    };
    assert_eq!(fresh().lift(Slot(4), Lineage(0)), None);
    assert_eq!(fresh().lift(Slot(7), Lineage(0)), Some(3));
    assert_eq!(fresh().lift(Slot(4 + FURTHEST_LIFT), Lineage(0)), Some(FURTHEST_LIFT));
    assert_eq!(fresh().lift(Slot(5 + FURTHEST_LIFT), Lineage(0)), None);
    let mut origin = owner();
    assert_eq!(origin.lift(Slot(9 + CLOCKS_DIFFER), Lineage(0)), None);
    assert_eq!(origin.lift(Slot(10 + CLOCKS_DIFFER), Lineage(0)), Some(CLOCKS_DIFFER + 1));
    assert_eq!(origin.next(), Some(Slot(11 + CLOCKS_DIFFER)));
}

#[test]
fn a_child_lifts_a_lineage_by_one_of_a_higher_epoch_alone() {
    let mut origin = owner();
    origin.lift(Slot(0), line(1, 7));
    assert_eq!(origin.leads(), Some(line(1, 0)), "the two origins settle that");
    origin.lift(Slot(0), line(3, 0));
    assert_eq!(origin.leads(), Some(line(3, 1)));
}

#[test]
fn one_that_keeps_is_lifted_by_no_child() {
    let mut origin = mirror();
    assert_eq!(origin.lift(Slot(500), line(3, 0)), None);
    assert_eq!(origin.next(), Some(Slot(10)));
}

#[test]
fn what_a_child_has_seen_is_not_begun_a_second_time_by_one_that_keeps() {
    let mut origin = mirror();
    origin.lift(Slot(5), line(1, 1));
    acts(&mut origin, 230);
    assert_eq!(origin.leads(), Some(line(1, 3)));
}

#[test]
fn one_that_leads_alone_goes_on_above_who_is_stuck_and_is_lifted_by_no_other() {
    let mut origin = owner();
    for other in [line(1, 0), line(0, 9), line(2, 0), line(9, 1), Lineage(u64::MAX), line(1, 0x7fff)] {
        assert_eq!(origin.lift_above_stuck(at(190), other), None, "{other}");
    }
    assert_eq!(origin.lift_above_stuck(at(190), line(1, 1)), Some(line(1, 2)));
    assert_eq!(origin.lift_above_stuck(at(191), line(1, 1)), None, "it is said again until it is heard");
    assert_eq!(acts(&mut origin, 200), "E10@1!", "the next slot is of that lineage, and that is told");
    assert_eq!(origin.leads(), Some(line(1, 2)));
}

#[test]
fn which_of_two_that_lead_counts_is_settled_between_them_while_they_hear_each_other() {
    let state = |leads| State { leads, lineage: line(1, 0), ready: true };
    let mut origin = owner();
    acts(&mut origin, 190);
    origin.opened();
    origin.told(state(true));
    assert_eq!(origin.lift_above_stuck(at(190), line(1, 1)), None);
    origin.lost();
    assert_eq!(origin.lift_above_stuck(at(190), line(1, 1)), Some(line(1, 2)), "it is not heard any more");
    origin.opened();
    origin.told(state(false));
    assert_eq!(origin.lift_above_stuck(at(190), line(1, 3)), Some(line(1, 4)), "it keeps");
}

#[test]
fn one_that_keeps_says_on_what_somebody_is_stuck_and_begins_nothing_below() {
    let mut origin = mirror();
    assert_eq!(origin.lift_above_stuck(at(190), line(1, 5)), None);
    assert_eq!(origin.say(at(190), true).lineage, line(1, 5));
    acts(&mut origin, 230);
    assert_eq!(origin.leads(), Some(line(1, 7)));
}

#[test]
fn a_child_that_lies_lifts_nobody_in_a_loop() {
    let mut origin = owner();
    let mut lifts = 0;
    for n in 0..1_000 {
        let lie = Lineage(origin.leads().unwrap().0 + 1);
        lifts += u64::from(origin.lift_above_stuck(at(190 + n * 20), lie).is_some());
    }
    assert_eq!(lifts, 8);
    assert_eq!(origin.leads(), Some(line(1, 2 * lifts)));
}

#[test]
fn who_yields_to_a_new_epoch_or_mixes_up_to_its_own_is_not_lifted() {
    let mut origin = owner();
    origin.enter(term(2, 20, Side::Owner));
    assert_eq!(origin.lift_above_stuck(at(190), line(1, 1)), None);
    assert_eq!(origin.leads(), Some(line(1, 0)));
}

#[test]
fn what_the_other_has_led_is_not_begun_a_second_time_by_one_that_keeps() {
    let state = State { leads: true, lineage: line(1, 4), ready: true };
    let (mut keeps, mut leads) = (mirror(), owner());
    keeps.told(state);
    leads.told(state);
    acts(&mut keeps, 230);
    assert_eq!((keeps.leads(), leads.leads()), (Some(line(1, 5)), Some(line(1, 0))));
}

#[test]
fn a_former_owner_begins_no_lineage_that_is_the_next_ones() {
    let mut origin = owner();
    hears(&mut origin, 201, frame(1, line(1, 1), 10));
    // The heir, which leads already, knows of its own epoch before its first slot.
    origin.told(State { leads: true, lineage: line(2, 0), ready: true });
    acts(&mut origin, 260);
    assert_eq!(origin.leads(), Some(line(2, 1)));
}

#[test]
fn one_that_leads_goes_on_above_what_somebody_led_who_is_gone() {
    let told = |leads, lineage| {
        let mut origin = owner();
        origin.told(State { leads, lineage, ready: true });
        origin.leads()
    };
    assert_eq!(told(false, line(1, 1)), Some(line(1, 2)));
    assert_eq!(told(true, line(1, 1)), Some(line(1, 0)), "its slots tell whether that counts");
    // An heir knows of its own epoch before its first slot, and the lineages of that are its to begin.
    assert_eq!(told(false, line(2, 0)), Some(line(1, 0)));
}

#[test]
fn a_word_of_the_other_is_news_if_it_leads_keeps_or_is_ready_other_than_before() {
    let mut origin = owner();
    let mut told = |leads, ready, count| origin.told(State { leads, ready, lineage: line(1, count) });
    assert_eq!(told(false, false, 0), Word::Changed, "the first");
    assert_eq!(told(false, false, 1), Word::Same);
    assert_eq!(told(false, true, 1), Word::Changed);
    assert_eq!(told(true, true, 1), Word::Changed);
    origin.meet(Some("third"));
    assert_eq!(acts(&mut origin, 185), "follow:third@1");
    assert_eq!(origin.told(State { leads: true, ready: true, lineage: line(1, 1) }), Word::Changed);
}
