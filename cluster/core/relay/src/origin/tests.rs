use bytes::Bytes;
use stentor_ids::SLOTS_PER_SECOND;

use super::*;
use crate::EPOCHS_AHEAD;

/// Where the other origin is reached.
const OTHER: &str = "other";

const fn at(millis: u64) -> Time {
    Time::from_millis(100_000 + millis)
}

const fn term(epoch: u64, from: u64, side: Side) -> Term {
    Term { epoch: Epoch(epoch), from: Slot(from), side }
}

fn frame(epoch: u64, lineage: Lineage, slot: u64) -> Frame {
    let captured = WallTime::default();
    Frame { epoch: Epoch(epoch), lineage, slot: Slot(slot), opus: Bytes::new(), captured }
}

/// The first lineage of an epoch, and those that follow.
const fn line(epoch: u64, count: u64) -> Lineage {
    Lineage(Lineage::of(Epoch(epoch)).0 + count)
}

fn begin(slot: u64, epoch: u64, line: Option<(u64, u64)>) -> Begin {
    let line = line.map(|(slot, due)| (Slot(slot), at(due)));
    Begin { slot: Slot(slot), lineage: Lineage::of(Epoch(epoch)), since: WallTime::from_millis(5_000), line }
}

/// The mirror of epoch 1 in a room that went live at `at(0)`, which has heard slots 0 to 9 on time.
fn mirror() -> Origin<&'static str> {
    let mut origin = Origin::new(term(1, 0, Side::Mirror), Some(OTHER));
    origin.become_live(at(0), Duration::ZERO);
    for slot in 0..10 {
        assert_eq!(hears(&mut origin, 20 * slot, frame(1, line(1, 0), slot)), vec![]);
    }
    assert_eq!(acts(&mut origin, 180), "follow:other@1 say");
    origin
}

/// The owner of epoch 1, in the same room, which has emitted slots 0 to 9.
fn owner() -> Origin<&'static str> {
    let mut origin = Origin::new(term(1, 0, Side::Owner), Some(OTHER));
    origin.begin(at(0), WallTime::from_millis(5_000), begin(0, 1, None));
    assert!(acts(&mut origin, 180).contains("E9@1"));
    origin
}

/// A frame that is to be passed on comes at a moment and is.
#[track_caller]
fn hears(origin: &mut Origin<&'static str>, millis: u64, frame: Frame) -> Vec<Effect<&'static str>> {
    assert_eq!(origin.judge(at(millis), &frame, || None), Verdict::Pass, "{frame:?}");
    origin.heard(at(millis), &frame, Inserted::New)
}

/// What it does at a moment, by a driver that does as it is asked: `T` takes over, `E` emits a slot of an epoch.
fn acts(origin: &mut Origin<&'static str>, millis: u64) -> String {
    let mut told = Vec::new();
    while let Some(act) = origin.poll(at(millis)) {
        told.push(match act {
            Act::Read => {
                origin.has_read();
                continue;
            }
            Act::TakeOver { slot, .. } => format!("T{slot}"),
            Act::Emit { due, epoch, lineage } => {
                let mixed = frame(epoch.0, lineage, due.slot.0);
                let leads = origin.emitted(at(millis), &mixed, Inserted::New);
                let news = leads.map(|_| origin.say(at(millis), true));
                format!("E{}@{epoch}{}", due.slot, if news.is_some() { "!" } else { "" })
            }
            Act::Yield => "yield".to_owned(),
            Act::Follow { peer, epoch, another } => {
                format!("follow:{}@{epoch}{}", peer.unwrap_or("none"), if another { "" } else { " again" })
            }
            Act::Say => {
                origin.say(at(millis), true);
                "say".to_owned()
            }
            Act::Over => {
                told.push("over".to_owned());
                break;
            }
        });
    }
    told.join(" ")
}

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
fn slots_below_a_terms_first_are_of_the_epoch_before() {
    let mut origin = mirror();
    origin.enter(term(2, 12, Side::Owner));
    origin.begin(at(190), WallTime::default(), begin(12, 2, None));
    // The former owner has fallen silent before.
    assert_eq!(acts(&mut origin, 240), "T10 E10@1! E11@1 E12@2 follow:other@2 again");
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
fn a_new_term_lifts_what_is_begun_next() {
    let mut origin = mirror();
    origin.enter(term(2, 10, Side::Mirror));
    acts(&mut origin, 230);
    assert_eq!(origin.leads(), Some(line(2, 1)));
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
    assert_eq!(acts(&mut origin, 240), "E12@1 follow:other@2 again");
    origin.say(at(241), true);
    assert_eq!(acts(&mut origin, 280), "E13@1 E14@2!");
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
