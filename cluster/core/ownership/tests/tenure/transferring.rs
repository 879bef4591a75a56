//! An owner that hands its room over.

use stentor_ids::{Code, Fault};
use stentor_ownership::{Books, End, Event};

use crate::story::{Story, Told, away, ms, node, owner_key, shown, successor};

fn transfer(to: Option<&str>) -> Event<Told> {
    let ranked = ["they", "you"].map(node).to_vec();
    Event::Transfer { to: to.map(node), ranked, asker: "ann" }
}

#[test]
fn a_mirror_that_is_ready_is_offered_the_room_a_second_ahead() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(transfer(None)), "close offer:you+250", "its mirror before a better one");
    let gone = "ann=you@4+251 goes:you abandon:not_owner follow:you end-at:251";
    assert_eq!(story.end("offer", End::Offered(Ok(successor("you", 4, 251)))), gone);
}

#[test]
fn nothing_is_handed_over_before_it_is_committed() {
    let mut story = Story::of_owner();
    story.here.books = Books::Busy;
    assert_eq!(story.tell(transfer(None)), "close");
    assert_eq!(story.wait(ms(5_000)), "");
    assert_eq!(story.books(Books::Settled), "offer:you+250");
}

#[test]
fn a_room_stays_when_the_directory_goes_away_before_it_is_settled() {
    let mut story = Story::of_owner();
    story.here.books = Books::Busy;
    story.tell(transfer(None));
    assert_eq!(story.books(Books::Away(away())), "reopen ann=directory_unavailable");
    assert_eq!(story.tell(transfer(None)), "ann=directory_unavailable", "nor is it tried");
}

#[test]
fn a_mirror_that_is_not_ready_is_waited_for_and_then_asked_all_the_same() {
    let mut story = Story::of_owner();
    story.here.ready = None;
    assert_eq!(story.tell(transfer(None)), "close");
    assert_eq!(story.wait(ms(2_499)), "");
    assert_eq!(story.wait(ms(1)), "offer:you+250");
    let mut story = Story::of_owner();
    story.here.ready = None;
    story.tell(transfer(None));
    story.wait(ms(100));
    story.here.ready = Some(node("you"));
    assert_eq!(story.wait(ms(50)), "offer:you+250", "as soon as it is");
}

#[test]
fn a_room_that_is_not_live_needs_no_mirror_that_is_ready() {
    let mut story = Story::of_owner();
    (story.here.ready, story.here.live) = (None, false);
    assert_eq!(story.tell(transfer(None)), "close offer:you+0");
}

#[test]
fn a_named_node_is_made_the_mirror_first() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(transfer(Some("they"))), "close prepare:they");
    assert_eq!(story.end("prepare", End::Prepared(Ok(()))), "");
    let view = shown(12, Some(owner_key("me", 3, 10)), Some(("they", 12)));
    let told = story.tell(Event::Shown(view));
    assert_eq!(
        told, "follow:they mirror:they peer",
        "that the mirror before it was ready says nothing of the heir"
    );
    story.here.ready = Some(node("they"));
    assert_eq!(story.wait(ms(50)), "offer:they+250");
}

#[test]
fn an_heir_that_refuses_or_vanishes_leaves_the_room_where_it_is() {
    let refused = || End::Prepared(Err(Fault::new(Code::Draining, "no")));
    let mut story = Story::of_owner();
    story.tell(transfer(Some("they")));
    assert_eq!(story.end("prepare", refused()), "reopen ann=draining");
    assert_eq!(story.end("prepare", refused()), "", "once");

    let mut story = Story::of_owner();
    story.tell(transfer(Some("they")));
    assert_eq!(story.end("prepare", End::Failed), "reopen ann=node_unavailable");

    let mut story = Story::of_owner();
    story.tell(transfer(Some("they")));
    assert_eq!(story.wait(ms(2_500)), "reopen ann=node_unavailable", "it says nothing");
    assert!(story.tenure.is_owner());
}

#[test]
fn an_heir_that_is_lost_when_it_is_the_mirror_is_no_heir_any_more() {
    let mut story = Story::of_owner();
    story.here.ready = None;
    story.tell(transfer(None));
    story.tell(Event::Shown(shown(12, Some(owner_key("me", 3, 10)), None)));
    assert_eq!(story.wait(ms(2_500)), "reopen ann=node_unavailable");
}

#[test]
fn an_offer_that_fails_is_looked_up_as_the_heir_may_have_claimed_all_the_same() {
    let failed = || End::Offered(Err(Fault::new(Code::Internal, "lost")));
    let mut story = Story::of_owner();
    story.tell(transfer(None));
    assert_eq!(story.end("offer", failed()), "look-up");
    let found = End::LookedUp(Some(owner_key("you", 4, 30)));
    assert!(story.end("look-up", found).starts_with("ann=you@4+100 goes:you"));

    for found in [Some(owner_key("me", 3, 10)), None] {
        let mut story = Story::of_owner();
        story.tell(transfer(None));
        story.end("offer", failed());
        assert_eq!(story.end("look-up", End::LookedUp(found)), "reopen ann=internal");
        assert!(story.tenure.is_owner());
    }

    let mut story = Story::of_owner();
    story.tell(transfer(None));
    assert_eq!(story.wait(ms(15_000)), "look-up", "no answer at all");
    assert_eq!(story.wait(ms(15_000)), "reopen ann=node_unavailable", "nor from the directory");
}

#[test]
fn a_view_that_is_faster_than_the_heirs_answer_is_as_good() {
    let mut story = Story::of_owner();
    story.tell(transfer(None));
    let view = shown(30, Some(owner_key("you", 4, 30)), None);
    assert!(story.tell(Event::Shown(view)).starts_with("ann=you@4+100 goes:you"));
    let late = End::Offered(Ok(successor("you", 4, 251)));
    assert_eq!(story.end("offer", late), "", "its answer comes late");
}

#[test]
fn another_nodes_claim_ends_a_transfer() {
    let mut story = Story::of_owner();
    story.tell(transfer(None));
    assert!(story.tell(Event::Claimed(successor("they", 4, 251))).starts_with("ann=not_owner goes:they"));
    let mut story = Story::of_owner();
    story.tell(transfer(None));
    assert!(story.tell(Event::Stop).contains("ann=no_owner"));
}

#[test]
fn one_transfer_at_a_time_and_none_without_a_key_or_an_heir() {
    let mut story = Story::of_owner();
    story.tell(transfer(None));
    assert_eq!(story.tell(transfer(None)), "ann=wrong_state");
    story.tell(Event::Claimed(successor("you", 4, 251)));
    assert_eq!(story.tell(transfer(None)), "ann=wrong_state", "it retires");

    let mut story = Story::of_owner();
    story.tell(Event::NewLease);
    assert_eq!(story.tell(transfer(None)), "ann=directory_unavailable");

    let mut story = Story::of_owner();
    let nobody = Event::Transfer { to: None, ranked: Vec::new(), asker: "ann" };
    assert_eq!(story.tell(nobody), "ann=node_unavailable");
    let unknown = Event::Transfer { to: Some(node("nobody")), ranked: vec![node("you")], asker: "ann" };
    assert_eq!(story.tell(unknown), "ann=unknown_node");
}

#[test]
fn a_key_that_goes_while_a_room_is_handed_over_is_put_back_if_it_stays() {
    let mut story = Story::of_owner();
    story.here.ready = None;
    story.tell(transfer(None));
    assert_eq!(story.tell(Event::NewLease), "", "it is the heir's to hold");
    story.tell(Event::Shown(shown(12, None, None)));
    assert_eq!(story.wait(ms(2_500)), "offer:you+250");
    story.end("offer", End::Offered(Err(away())));
    assert_eq!(story.end("look-up", End::LookedUp(None)), "reopen ann=directory_unavailable put-back");
}
