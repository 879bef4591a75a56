use stentor_ids::Epoch;

use super::*;

const fn at(millis: u64) -> Time {
    Time::from_millis(100_000 + millis)
}

/// A mirror of a room that went live at `at(0)`, which has heard slots 0 to 9 on time.
fn mirror() -> Leadership {
    let mut leadership = Leadership::keeping(Side::Mirror, at(0), Duration::ZERO);
    for slot in 0..10 {
        assert_eq!(leadership.heard(at(20 * slot), Slot(slot), Lineage(2)), Heard::Follow);
    }
    leadership
}

/// What it does at a moment: `T` takes over, `E` emits a slot under a lineage, `Y` has yielded.
fn acts(leadership: &mut Leadership, millis: u64) -> String {
    let acts = std::iter::from_fn(|| leadership.poll(at(millis))).map(|act| match act {
        Act::TakeOver { slot, .. } => format!("T{slot}"),
        Act::Emit { due, lineage } => format!("E{}:{lineage}", due.slot),
        Act::Yielded => "Y".to_owned(),
    });
    acts.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_two_sides_never_begin_the_same_lineage() {
    for seen in 0..100 {
        let [owner, mirror] = [Side::Owner, Side::Mirror].map(|side| side.after(Lineage(seen)).0);
        assert!(owner > seen && owner % 2 == 0 && mirror > seen && mirror % 2 == 1);
    }
    assert_eq!(Lineage::of(Epoch(7)).epoch(), Epoch(7));
}

#[test]
fn a_keeper_goes_on_from_the_slot_that_did_not_come_and_on_the_same_grid() {
    let mut leadership = mirror();
    assert_eq!(leadership.deadline(), Some(Deadline::new(at(230), Wake::Missing)));
    assert_eq!(acts(&mut leadership, 229), "");
    assert_eq!(acts(&mut leadership, 230), "T10 E10:3 E11:3");
    assert_eq!(acts(&mut leadership, 239), "");
    assert_eq!(acts(&mut leadership, 240), "E12:3");
}

#[test]
fn a_keeper_that_has_heard_nothing_waits() {
    let mut leadership = Leadership::keeping(Side::Mirror, at(0), Duration::ZERO);
    assert_eq!((leadership.deadline(), acts(&mut leadership, 60_000)), (None, String::new()));
}

#[test]
fn a_broken_stream_shortens_the_grace() {
    let mut leadership = mirror();
    leadership.lost();
    assert_eq!(acts(&mut leadership, 209), "");
    assert_eq!(acts(&mut leadership, 210), "T10 E10:3");
}

#[test]
fn one_that_was_paused_itself_does_not_judge_the_other() {
    let mut leadership = mirror();
    leadership.stood_still(at(5_000));
    assert_eq!(acts(&mut leadership, 5_000), "");
    for slot in 10..251 {
        assert_eq!(leadership.heard(at(5_001), Slot(slot), Lineage(2)), Heard::Follow);
    }
    assert_eq!(acts(&mut leadership, 5_002), "");
    assert_eq!(acts(&mut leadership, 5_060), "T251 E251:3 E252:3 E253:3");
}

#[test]
fn a_pause_is_waited_for_once_however_often_it_is_told() {
    let mut leadership = mirror();
    for now in [1_000, 1_010, 1_020] {
        leadership.stood_still(at(1_000));
        assert_eq!(acts(&mut leadership, now), "");
    }
    leadership.stood_still(at(1_000));
    assert!(acts(&mut leadership, 1_030).starts_with("T10 E51:3"));
}

#[test]
fn one_whose_turn_comes_late_because_others_were_served_first_goes_on_at_once() {
    for late in [45, 70, 150] {
        let mut leadership = mirror();
        let told = acts(&mut leadership, 230 + late);
        assert!(told.starts_with("T10 E10:3 E11:3 E12:3"), "{late} ms late: {told}");
    }
}

#[test]
fn a_take_over_says_when_its_slot_was_due() {
    let mut leadership = mirror();
    assert_eq!(leadership.poll(at(275)), Some(Act::TakeOver { slot: Slot(10), due: at(200) }));
}

#[test]
fn what_a_cut_link_held_up_does_not_shift_the_grid_and_a_grid_that_shifts_is_followed() {
    let mut leadership = Leadership::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0)));
    assert_eq!(acts(&mut leadership, 140), "E0:2 E1:2 E2:2 E3:2 E4:2 E5:2 E6:2 E7:2");
    // The first slots of one that took over while the link was cut, and then those of now.
    assert_eq!(leadership.heard(at(150), Slot(2), Lineage(3)), Heard::Behind);
    assert_eq!(leadership.heard(at(155), Slot(3), Lineage(3)), Heard::Behind);
    assert_eq!(acts(&mut leadership, 160), "E8:2");
    assert_eq!(leadership.heard(at(165), Slot(7), Lineage(3)), Heard::StepDown);
    assert_eq!(acts(&mut leadership, 189), "");
    // One whose grid is 100 ms later.
    for slot in 8..60 {
        leadership.heard(at(100 + 20 * slot), Slot(slot), Lineage(5));
        acts(&mut leadership, 100 + 20 * slot);
    }
    assert_eq!(acts(&mut leadership, 1_319), "");
    assert!(acts(&mut leadership, 1_320).starts_with("T60 E60:6"));
}

#[test]
fn what_is_read_after_a_pause_of_ones_own_does_not_shift_the_grid() {
    let mut leadership = Leadership::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0)));
    assert_eq!(acts(&mut leadership, 20), "E0:2 E1:2");
    // Paused for two seconds, of which the first half has come; then the link breaks too.
    for slot in 2..50 {
        assert_eq!(leadership.heard(at(2_020), Slot(slot), Lineage(3)), Heard::Behind);
    }
    assert_eq!(acts(&mut leadership, 2_020), "E101:2");
    assert_eq!(leadership.heard(at(2_025), Slot(50), Lineage(3)), Heard::Behind);
    assert_eq!(acts(&mut leadership, 2_040), "E102:2");
    // It does not, and this one hears what is mixed now.
    assert_eq!(leadership.heard(at(2_055), Slot(102), Lineage(3)), Heard::StepDown);
    assert_eq!(acts(&mut leadership, 2_100), "T103 E103:4 E104:4");
}

#[test]
fn who_leads_steps_down_for_a_higher_lineage_and_only_for_that() {
    let mut leadership = Leadership::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0)));
    assert_eq!(acts(&mut leadership, 20), "E0:2 E1:2");
    assert_eq!(leadership.heard(at(21), Slot(1), Lineage(1)), Heard::Behind);
    assert_eq!(leadership.heard(at(41), Slot(2), Lineage(3)), Heard::StepDown);
    assert_eq!(leadership.heard(at(61), Slot(3), Lineage(3)), Heard::Follow);
    assert_eq!(acts(&mut leadership, 70), "");
    // And goes on when that one is gone, above it.
    assert_eq!(acts(&mut leadership, 111), "T4 E4:4 E5:4");
    assert_eq!(leadership.heard(at(112), Slot(4), Lineage(3)), Heard::Behind);
}

#[test]
fn one_that_keeps_goes_on_keeping_a_lineage_below_what_somebody_has_seen() {
    let mut leadership = mirror();
    leadership.saw(Lineage::of(Epoch(2)));
    assert_eq!(leadership.heard(at(200), Slot(10), Lineage(2)), Heard::Follow);
    assert_eq!(acts(&mut leadership, 249), "");
    assert_eq!(acts(&mut leadership, 250), format!("T11 E11:{0} E12:{0}", Lineage(131_073)));
}

#[test]
fn what_was_seen_during_a_pause_of_ones_own_lifts_it_no_further_than_to_now() {
    let mut leadership = Leadership::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0)));
    assert_eq!(acts(&mut leadership, 0), "E0:2");
    leadership.lift(Slot(250), Lineage(2));
    assert_eq!(leadership.next(), Some(Slot(250)));
    assert_eq!(acts(&mut leadership, 5_000), "E250:2");
    leadership.lift(Slot(300), Lineage(2));
    assert_eq!(acts(&mut leadership, 5_020), "E300:2");
}

#[test]
fn a_planned_change_happens_at_its_slot_without_a_grace() {
    let (mut old, mut new) =
        (Leadership::leading(Side::Owner, Lineage(2), Grid::resumed(Slot(0), at(0))), mirror());
    old.yield_at(Slot(10));
    assert!(acts(&mut old, 200).ends_with("E9:2 Y"));
    let next = Lineage::of(Epoch(2));
    new.become_side(Side::Owner);
    new.lead_from(Slot(10), next);
    assert_eq!(new.deadline(), Some(Deadline::new(at(200), Wake::Begin)));
    assert_eq!(acts(&mut new, 200), format!("T10 E10:{next}"));
    assert_eq!(old.heard(at(201), Slot(10), next), Heard::Follow);
    assert_eq!(acts(&mut old, 220), "");
}

#[test]
fn a_planned_change_that_comes_too_late_goes_on_where_the_old_one_fell_silent() {
    let mut leadership = mirror();
    leadership.lead_from(Slot(12), Lineage::of(Epoch(2)));
    assert_eq!(acts(&mut leadership, 229), "");
    assert!(acts(&mut leadership, 230).starts_with("T10 E10:3 E11:3"));
    assert_eq!(acts(&mut leadership, 240), format!("E12:{}", Lineage::of(Epoch(2))));
}

#[test]
fn one_that_leads_changes_its_lineage_with_its_epoch_and_loses_no_slot() {
    let mut leadership = mirror();
    acts(&mut leadership, 230);
    leadership.lead_from(Slot(13), Lineage::of(Epoch(2)));
    assert_eq!(acts(&mut leadership, 260), format!("E12:3 E13:{}", Lineage::of(Epoch(2))));
}
