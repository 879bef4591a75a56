//! Being a room's mirror, and becoming its owner.

use stentor_ids::{Code, Epoch, Fault, Revision, Slot};
use stentor_ownership::{Answer, Claimed, End, Event, NotBack, Standing, Wants};

use crate::story::{Story, Told, mirrored, ms, owned, owner_key, shown, successor};

/// The stream of the owner breaks, and this mirror asks.
fn deaf() -> Story {
    let mut story = Story::of_mirror();
    story.wait(ms(2_000));
    story.here.connected = false;
    assert_eq!(story.tell(Event::PeerStream), "");
    assert_eq!(story.wait(ms(100)), "ask:you");
    story
}

fn take_over() -> Event<Told> {
    Event::TakeOver { epoch: Epoch(3), owner: Some(Revision(10)), from_slot: Slot(260), asker: "ann" }
}

const OWNS: &str = "follow:nobody term:me@4+100 decide:record";

#[test]
fn a_mirror_keeps_what_the_owner_mixes_and_takes_no_commands() {
    assert_eq!(Story::of_mirror().begun(), "close keep:you look");
}

#[test]
fn an_owner_whose_process_is_gone_is_claimed_from_a_second_ahead_of_what_was_here() {
    let mut story = deaf();
    assert_eq!(story.asks_finds_it_gone(), "claim:e3r10s251");
    story.wait(ms(20));
    assert_eq!(story.claimed(4, 30), format!("publish aside {OWNS} owner-after:you/Some(120) room look"));
    assert!(story.tenure.is_owner());
}

#[test]
fn an_owner_that_a_relay_hears_is_left_alone() {
    let mut story = deaf();
    let heard = Answer { heard: Some(ms(200)), ..Answer::default() };
    assert_eq!(story.end("ask", End::Answered(heard)), "");
    assert_eq!(story.wait(ms(999)), "");
    assert_eq!(story.wait(ms(1)), "ask:you", "and asked about again");
}

#[test]
fn an_owner_that_was_never_heard_is_claimed_from_when_its_process_is_gone_or_its_key() {
    let unmet = || {
        let mut story = Story::of_unmet_mirror();
        assert_eq!(story.wait(ms(100)), "ask:you");
        story
    };
    let mut story = unmet();
    assert_eq!(story.asks_nobody_hears(), "", "it may be cut off from this node alone");
    assert_eq!(story.wait(ms(1_000)), "ask:you");
    let gone = Answer { gone: true, ..Answer::default() };
    assert!(story.end("ask", End::Answered(gone)).starts_with("claim:"));

    let mut story = unmet();
    story.tell(Event::Shown(shown(30, None, Some(("me", 11)))));
    assert!(story.asks_nobody_hears().starts_with("claim:"));
}

#[test]
fn an_owner_that_was_heard_before_its_key_was_put_back_was_heard() {
    let mut story = Story::of_mirror();
    story.wait(ms(2_000));
    story.tell(Event::Shown(shown(30, Some(owner_key("you", 3, 30)), Some(("me", 11)))));
    story.here.connected = false;
    story.tell(Event::PeerStream);
    story.wait(ms(1_000));
    assert!(story.asks_nobody_hears().starts_with("bid:"));
    let mut story = Story::of_mirror();
    story.wait(ms(2_000));
    story.here.connected = false;
    story.tell(Event::Shown(shown(30, Some(owner_key("you", 4, 30)), Some(("me", 11)))));
    story.wait(ms(1_000));
    assert_eq!(story.asks_nobody_hears(), "", "another claim is another owner");
}

#[test]
fn a_claim_goes_above_every_epoch_that_was_seen_and_over_a_claim_of_this_nodes_own() {
    let mut story = deaf();
    story.here.epoch = Epoch(7);
    (story.here.next, story.here.clock) = (None, Some(Slot(500)));
    let view = shown(30, Some(owner_key("me", 4, 30)), None);
    assert_eq!(story.tell(Event::Shown(view)), "claim:e7r30s550");
}

#[test]
fn a_claim_of_its_own_whose_answer_is_lost_is_claimed_over_though_the_former_owner_is_heard() {
    let mut story = Story::of_mirror();
    let view = || Event::Shown(shown(30, Some(owner_key("me", 4, 30)), Some(("you", 31))));
    story.tell(take_over());
    assert_eq!(story.tell(view()), "", "the answer may still come");
    // The former owner mirrors the room, and its stream stands.
    assert_eq!(story.wait(ms(15_000)), "ann=no_owner claim:e3r30s251");
    assert_eq!(story.tell(view()), "", "once");
    let refused = || End::Claimed(Err(Fault::new(Code::DirectoryUnavailable, "gone")));
    assert_eq!(story.end("claim", refused()), "", "after a pause");
    assert_eq!(story.wait(ms(500)), "claim:e3r30s251");
    assert!(story.claimed(5, 40).starts_with("publish aside"));
}

#[test]
fn a_claim_that_is_refused_is_made_again_after_a_pause_and_another_question() {
    let mut story = deaf();
    story.asks_finds_it_gone();
    let refused = || End::Claimed(Err(Fault::new(Code::DirectoryUnavailable, "gone")));
    assert_eq!(story.end("claim", refused()), "");
    assert_eq!(story.end("claim", refused()), "", "once");
    assert_eq!(story.wait(ms(500)), "ask:you");
    assert!(story.asks_finds_it_gone().starts_with("claim:"));
}

#[test]
fn a_claim_that_never_ends_or_panics_counts_as_refused_and_its_end_is_not_heard() {
    let mut story = deaf();
    story.asks_finds_it_gone();
    let first = story.errand("claim");
    assert_eq!(story.wait(ms(15_499)), "");
    assert_eq!(story.wait(ms(1)), "ask:you");
    let late = Claimed { held: owned("me", 4, 30), record: "record", ended: false };
    assert_eq!(story.tell(Event::Done(first, End::Claimed(Ok(late)))), "");
    assert!(story.tenure.is_mirror());
    story.asks_finds_it_gone();
    assert_eq!(story.end("claim", End::Failed), "");
    assert_eq!(story.wait(ms(1_000)), "ask:you", "the pause doubles");
}

#[test]
fn the_owner_names_the_slot_and_the_mirror_claims_it_once() {
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(take_over()), "claim:e3r10s260");
    assert_eq!(story.tell(take_over()), "ann=no_owner", "a claim is under way");
    let owns = format!("publish aside ann=me@4+100 {OWNS} owner-after:you/None room look");
    assert_eq!(story.claimed(4, 30), owns);

    let mut story = Story::of_mirror();
    story.tell(take_over());
    let refused = End::Claimed(Err(Fault::new(Code::NotOwner, "another was faster")));
    assert_eq!(story.end("claim", refused), "ann=not_owner");
    assert!(story.tenure.is_mirror());
}

#[test]
fn a_room_that_turns_out_to_have_ended_is_ended() {
    let mut story = deaf();
    story.asks_finds_it_gone();
    let ended = Claimed { held: owned("me", 4, 30), record: "record", ended: true };
    let over = "publish aside decide:record ended abandon:no_owner leave:Ended release";
    assert_eq!(story.end("claim", End::Claimed(Ok(ended))), over);
}

#[test]
fn another_owner_is_followed_and_has_not_failed_because_the_one_before_did() {
    let mut story = deaf();
    let view = shown(30, Some(owner_key("they", 4, 30)), Some(("me", 11)));
    assert_eq!(story.tell(Event::Shown(view)), "publish follow:they term:they@4+100");
    assert_eq!(story.asks_finds_it_gone(), "", "the answer is about another");
    story.here.connected = true;
    assert_eq!(story.wait(ms(5_000)), "");
}

#[test]
fn the_same_owner_with_its_key_back_is_no_other_term() {
    let mut story = Story::of_mirror();
    let view = shown(30, Some(owner_key("you", 3, 30)), Some(("me", 11)));
    assert_eq!(story.tell(Event::Shown(view)), "publish follow:you");
}

#[test]
fn an_owner_of_a_lower_epoch_is_none() {
    let mut story = Story::of_mirror();
    let view = shown(30, Some(owner_key("they", 2, 30)), Some(("me", 11)));
    assert_eq!(story.tell(Event::Shown(view)), "");
}

#[test]
fn a_mirror_key_that_is_gone_is_put_back_while_the_room_has_an_owner() {
    let mut story = Story::of_mirror();
    let owner = || Some(owner_key("you", 3, 10));
    assert_eq!(story.tell(Event::Shown(shown(10, owner(), None))), "", "from before the claim");
    assert_eq!(story.tell(Event::Shown(shown(30, None, None))), "ask:you", "the owner is first");
    assert_eq!(story.tell(Event::Shown(shown(31, owner(), None))), "put-back:r0");
    assert_eq!(story.end("put-back", End::MirrorBack(Err(NotBack::NotYet))), "");
    assert_eq!(story.wait(ms(1_000)), "put-back:r0");
    assert_eq!(story.end("put-back", End::MirrorBack(Ok(mirrored("me", 32)))), "publish");
    assert_eq!(story.wait(ms(5_000)), "");
}

#[test]
fn a_key_of_its_own_on_a_former_lease_is_replaced() {
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(Event::NewLease), "put-back:r11");
    let own = NotBack::Other(stentor_ownership::MirrorKey {
        node: crate::story::node("me"),
        revision: Revision(9),
    });
    assert_eq!(story.end("put-back", End::MirrorBack(Err(own))), "");
    assert_eq!(story.wait(ms(1_000)), "put-back:r11");
}

#[test]
fn a_mirror_that_was_replaced_goes_and_leaves_the_key_alone() {
    let gone = "leave:Moved aside stop";
    let mut story = Story::of_mirror();
    let view = shown(30, Some(owner_key("you", 3, 10)), Some(("they", 30)));
    assert_eq!(story.tell(Event::Shown(view)), gone);
    let mut story = Story::of_mirror();
    story.tell(Event::NewLease);
    assert_eq!(story.end("put-back", End::MirrorBack(Err(NotBack::Superseded))), gone);
}

#[test]
fn a_view_from_before_it_took_the_key_shows_the_mirror_before_it() {
    let mut story = Story::of_mirror();
    let view = shown(10, Some(owner_key("you", 3, 10)), Some(("they", 9)));
    assert_eq!(story.tell(Event::Shown(view)), "");
    assert!(story.tenure.is_mirror());
}

#[test]
fn a_mirror_whose_key_is_back_too_late_has_claimed_the_room() {
    let mut story = Story::of_mirror();
    story.tell(Event::NewLease);
    assert_eq!(story.end("put-back", End::MirrorBack(Err(NotBack::OwnsIt))), "");
    assert!(!story.tenure.has_lost_its_key());
}

#[test]
fn a_room_that_has_ended_or_is_unreadable_is_not_mirrored_any_more() {
    let view = |wants| {
        let mut view = shown(30, Some(owner_key("you", 3, 10)), Some(("me", 11)));
        view.keys.as_mut().unwrap().wants = wants;
        Event::Shown(view)
    };
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(view(Wants::Nobody)), "leave:Ended release");
    assert_eq!(story.end("release", End::Released), "aside stop");
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(view(Wants::Others)), "leave:Moved release");
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(Event::OwnerEnded), "leave:Ended release");
}

#[test]
fn a_mirror_that_leads_gives_the_audio_back_before_it_steps_aside() {
    let mut story = Story::of_mirror();
    story.here.leads = true;
    assert_eq!(story.tell(Event::StepAside), "end-at:205");
    assert_eq!(story.tell(Event::StepAside), "", "once");
    assert_eq!(story.tell(Event::AudioDone), "leave:Moved release");
    assert_eq!(story.end("release", End::Failed), "aside stop");
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(Event::StepAside), "leave:Moved release");
}

#[test]
fn a_mirror_that_comes_to_own_the_room_while_it_steps_aside_owns_it() {
    let mut story = Story::of_mirror();
    story.here.leads = true;
    story.tell(Event::StepAside);
    story.tell(take_over());
    assert!(story.claimed(4, 30).starts_with("publish aside ann=me@4+100"));
}

#[test]
fn a_mirror_has_no_successor_and_whoever_waits_for_its_claim_is_answered_when_it_goes() {
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(Event::Claimed(successor("they", 9, 251))), "");
    story.tell(take_over());
    assert_eq!(story.tell(Event::OwnerEnded), "ann=no_owner leave:Ended release");
    assert_eq!(story.end("release", End::Released), "", "the claim is waited for");
    assert_eq!(story.claimed(4, 30), "release", "its key must not name this node");
    assert_eq!(story.end("release", End::Released), "aside stop");
}

#[test]
fn a_mirror_that_goes_while_it_claims_ends_when_the_claim_has() {
    let claims = || {
        let mut story = deaf();
        story.asks_finds_it_gone();
        assert_eq!(story.tell(Event::StepAside), "leave:Moved release");
        story
    };
    let mut story = claims();
    let refused = End::Claimed(Err(Fault::new(Code::NotOwner, "another was faster")));
    assert_eq!(story.end("claim", refused), "");
    assert_eq!(story.end("release", End::Released), "aside stop");
    let mut story = claims();
    let first = story.errand("release");
    assert_eq!(story.claimed(4, 30), "release");
    assert_eq!(story.tell(Event::Done(first, End::Released)), "", "that was of the mirror key");
    assert_eq!(story.end("release", End::Failed), "aside stop");
    let mut story = claims();
    assert_eq!(story.wait(ms(15_000)), "aside stop", "what does not end has failed");
}

#[test]
fn a_mirror_that_is_replaced_while_it_claims_gives_the_claim_up_if_it_wins() {
    let mut story = deaf();
    story.asks_finds_it_gone();
    let view = shown(30, Some(owner_key("you", 3, 10)), Some(("they", 30)));
    assert_eq!(story.tell(Event::Shown(view)), "leave:Moved");
    assert_eq!(story.claimed(4, 40), "release");
    assert_eq!(story.end("release", End::Released), "aside stop");
}

#[test]
fn a_mirror_whose_audio_fails_begins_again_as_a_mirror() {
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(Event::AudioFailed("a panic".to_owned())), "fail");
    assert!(matches!(story.tenure.standing(), Some(Standing::Mirror { .. })));
}

#[test]
fn a_room_without_an_owner_key_is_claimed_when_a_living_owner_has_had_its_time() {
    let mut story = Story::of_mirror();
    assert_eq!(story.tell(Event::Shown(shown(30, None, Some(("me", 11))))), "ask:you");
    let mut asked = 1;
    while asked < 30 {
        let runs = Answer { runs: true, ..Answer::default() };
        let next = story.end("ask", End::Answered(runs));
        if !next.is_empty() {
            assert!(next.starts_with("claim:"), "{next}");
            break;
        }
        assert!(story.wait(ms(1_100)).contains("ask:you"));
        asked += 1;
    }
    assert!((9..=12).contains(&asked), "ten seconds, asked {asked} times");
}
