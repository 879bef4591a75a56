//! Staying the owner, and ceasing to be.

use stentor_ids::Code;
use stentor_ownership::{Books, End, Event, NotBack, Shown, Standing};

use crate::story::{Story, Told, mirrored, ms, owned, owner_key, shown, successor};

#[test]
fn an_owner_begins_to_decide_and_one_that_begins_again_saves_what_may_not_be_committed() {
    assert_eq!(Story::of_owner().begun(), "decide:kept room look");
    let story = Story::of_owner();
    let view = shown(11, None, None);
    let again = Story::begin(story.here, Standing::Owner(owned("me", 3, 10)), view, true);
    assert_eq!(again.begun(), "save decide:kept room look");
}

#[test]
fn a_view_of_another_mirror_is_told_once_and_one_of_the_same_not_at_all() {
    let mut story = Story::of_owner();
    let key = || Some(owner_key("me", 3, 10));
    assert_eq!(story.tell(Event::Shown(shown(12, key(), Some(("you", 11))))), "");
    let other = || shown(13, key(), Some(("they", 13)));
    assert_eq!(story.tell(Event::Shown(other())), "follow:they mirror:they peer");
    assert_eq!(story.tell(Event::Shown(other())), "");
    assert_eq!(story.tell(Event::Shown(shown(14, key(), None))), "follow:nobody mirror:nobody peer");
}

#[test]
fn a_view_from_before_the_claim_says_nothing() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(Event::Shown(shown(9, None, None))), "");
    assert_eq!(story.tell(Event::Shown(shown(9, Some(owner_key("you", 2, 4)), None))), "");
    assert!(!story.tenure.has_lost_its_key());
}

#[test]
fn a_key_that_is_gone_is_put_back_at_once_and_again_each_second_until_it_is_back() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(Event::Shown(shown(12, None, None))), "put-back");
    assert!(story.tenure.has_lost_its_key());
    assert_eq!(story.tell(Event::Shown(shown(13, None, None))), "", "one at a time");
    assert_eq!(story.end("put-back", End::OwnerBack(Err(NotBack::NotYet))), "");
    assert_eq!(story.wait(ms(999)), "");
    assert_eq!(story.wait(ms(1)), "put-back");
    let late = story.errand("put-back");
    assert_eq!(story.tell(Event::Done(late, End::OwnerBack(Ok(owned("me", 3, 20))))), "publish save");
    assert!(!story.tenure.has_lost_its_key());
    assert_eq!(story.tell(Event::Done(late, End::OwnerBack(Err(NotBack::Superseded)))), "", "it comes twice");
    assert_eq!(
        story.tell(Event::Shown(shown(21, Some(owner_key("me", 3, 20)), None))),
        "follow:nobody mirror:nobody peer"
    );
}

#[test]
fn a_new_lease_means_that_the_key_is_gone() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(Event::NewLease), "put-back");
}

#[test]
fn a_putting_back_that_never_ends_is_made_again_and_its_end_is_not_heard() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(Event::NewLease), "put-back");
    let first = story.errand("put-back");
    assert_eq!(story.wait(ms(14_999)), "");
    assert_eq!(story.wait(ms(1)), "put-back");
    assert_eq!(story.tell(Event::Done(first, End::OwnerBack(Err(NotBack::Superseded)))), "");
    assert!(story.tenure.is_owner());
    assert_eq!(story.end("put-back", End::Failed), "", "nor one that panicked");
    assert_eq!(story.wait(ms(1_000)), "put-back");
}

#[test]
fn an_owner_whose_key_must_not_be_put_back_gives_way_to_the_one_that_claimed_or_stops() {
    let mut story = Story::of_owner();
    story.tell(Event::NewLease);
    let claimed = NotBack::Other(owner_key("you", 4, 30));
    let gone = "goes:you abandon:not_owner redirect:you@4 fence:4+100 leave:Moved aside stop";
    assert_eq!(story.end("put-back", End::OwnerBack(Err(claimed))), gone);
    assert!(story.tenure.is_over());

    let mut story = Story::of_owner();
    story.tell(Event::NewLease);
    let stopped = "abandon:no_owner dismiss leave:Moved aside stop";
    assert_eq!(story.end("put-back", End::OwnerBack(Err(NotBack::Superseded))), stopped);
}

#[test]
fn an_owner_goes_on_up_to_the_claims_first_slot_and_sends_the_edges_on_a_little_before() {
    let mut story = Story::of_owner();
    assert_eq!(
        story.tell(Event::Claimed(successor("you", 4, 251))),
        "goes:you abandon:not_owner follow:you end-at:251"
    );
    assert!(matches!(story.tenure.standing(), Some(Standing::Owner(_))), "until its last slot is out");
    assert_eq!(story.wait(ms(939)), "");
    assert_eq!(story.wait(ms(1)), "redirect:you@4");
    let left = "redirect:you@4 fence:4+251 leave:Moved aside stop";
    assert_eq!(story.tell(Event::AudioDone), left);
    assert_eq!(story.tell(Event::AudioDone), "");
}

#[test]
fn an_owner_that_gives_way_follows_its_successor_also_where_it_has_no_mirror() {
    let mut story = Story::of_owner();
    story.tell(Event::Shown(shown(20, Some(owner_key("me", 3, 10)), None)));
    let goes = "goes:you abandon:not_owner follow:you end-at:251";
    assert_eq!(story.tell(Event::Claimed(successor("you", 4, 251))), goes);
    assert_eq!(story.tenure.other().map(ToString::to_string).as_deref(), Some("you"));
}

#[test]
fn an_owner_whose_audio_fails_on_its_way_out_lets_everyone_go_at_once() {
    let mut story = Story::of_owner();
    story.tell(Event::Claimed(successor("you", 4, 251)));
    let left = "redirect:you@4 fence:4+251 leave:Moved aside stop";
    assert_eq!(story.tell(Event::AudioFailed("a panic".to_owned())), left);
}

#[test]
fn an_owner_does_not_wait_for_a_slot_that_is_past_or_of_a_clock_gone_wrong_or_of_a_room_that_is_not_live() {
    let left = "redirect:you@4 fence:4+200 leave:Moved aside stop";
    let gone = |slot: u64, live: bool| {
        let mut story = Story::of_owner();
        story.here.live = live;
        story.tell(Event::Claimed(successor("you", 4, slot)))
    };
    assert_eq!(gone(200, true), format!("goes:you abandon:not_owner {left}"));
    assert!(gone(202, true).ends_with("end-at:202 redirect:you@4"), "the next is 201");
    assert!(gone(451, true).ends_with("end-at:451"), "250 ahead");
    assert!(gone(452, true).ends_with("stop"));
    assert!(gone(251, false).ends_with("stop"));
}

#[test]
fn a_claim_of_an_epoch_that_is_not_higher_is_none() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(Event::Claimed(successor("you", 3, 251))), "");
    story.tell(Event::Claimed(successor("you", 5, 251)));
    assert_eq!(story.tell(Event::Claimed(successor("they", 4, 260))), "");
    assert_eq!(
        story.tell(Event::Claimed(successor("they", 6, 260))),
        "goes:they abandon:not_owner follow:they end-at:260"
    );
}

#[test]
fn both_believe_to_own_and_the_lower_epoch_gives_way() {
    let mut story = Story::of_owner();
    let other = shown(30, Some(owner_key("you", 4, 30)), None);
    assert!(story.tell(Event::Shown(other)).starts_with("goes:you abandon:not_owner"));
    let mut story = Story::of_owner();
    let lower = shown(30, Some(owner_key("you", 2, 30)), None);
    assert_eq!(story.tell(Event::Shown(lower)), "put-back", "the directory went back");
}

#[test]
fn a_room_that_ends_is_told_to_all_and_its_key_is_given_up() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(Event::Ended), "ended abandon:no_owner leave:Ended release");
    assert!(story.tenure.is_over() && story.tenure.standing().is_none());
    assert_eq!(story.tell(Event::Shown(shown(40, None, None))), "", "an answer to a room that is over");
    assert_eq!(story.tell(Event::Claimed(successor("you", 9, 251))), "");
    assert_eq!(story.end("release", End::Released), "aside stop");
    assert_eq!(story.end("release", End::Released), "", "once");
}

#[test]
fn a_release_that_never_ends_keeps_no_actor() {
    let mut story = Story::of_owner();
    story.tell(Event::Ended);
    assert_eq!(story.wait(ms(15_000)), "aside stop");
}

#[test]
fn a_node_that_stops_hands_nothing_over() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(Event::Stop), "abandon:no_owner dismiss leave:Moved aside stop");
    assert_eq!(story.tell(Event::Stop), "");
}

#[test]
fn an_owner_whose_audio_ends_by_itself_begins_again() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(Event::AudioDone), "fail");
    assert_eq!(story.tell(Event::AudioFailed("a panic".to_owned())), "fail");
}

#[test]
fn a_room_that_is_not_in_the_view_has_lost_its_key() {
    let mut story = Story::of_owner();
    let nothing = Shown { keys: None, ..shown(12, None, None) };
    assert_eq!(story.tell(Event::Shown(nothing)), "put-back");
}

#[test]
fn what_only_a_mirror_is_asked_for_an_owner_refuses() {
    let mut story = Story::of_owner();
    let take_over = Event::TakeOver {
        epoch: stentor_ids::Epoch(3),
        owner: None,
        from_slot: stentor_ids::Slot(9),
        asker: "ann",
    };
    assert_eq!(story.tell(take_over), format!("ann={}", Code::WrongState));
    assert_eq!(story.tell(Event::StepAside), "aside");
    assert_eq!(story.tell(Event::OwnerEnded), "");
    assert_eq!(story.books(Books::Busy), "");
    let _: Standing<Told> = Standing::Mirror { held: mirrored("me", 1), owner: owner_key("you", 1, 1) };
}
