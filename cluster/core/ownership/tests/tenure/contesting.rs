//! Two origins that do not hear each other, and a directory that both see.

use stentor_ids::{Code, Epoch, Fault, Revision};
use stentor_ownership::{Answer, Bid, End, Event, Reach, Shown};

use crate::story::{Story, Told, ms, node, owner_key, shown, successor};

const fn reach(listeners: u64, children: u32) -> Reach {
    Reach { listeners, children }
}

fn bid(name: &str, epoch: u64, reach: Reach, revision: u64) -> Bid {
    Bid { node: node(name), epoch: Epoch(epoch), reach, revision: Revision(revision) }
}

fn with(mut view: Shown, bids: impl IntoIterator<Item = Bid>) -> Event<Told> {
    if let Some(keys) = &mut view.keys {
        keys.bids.extend(bids);
    }
    Event::Shown(view)
}

/// What the mirror sees, with these bids.
fn seen(at: u64, bids: impl IntoIterator<Item = Bid>) -> Event<Told> {
    with(shown(at, Some(owner_key("you", 3, 10)), Some(("me", 11))), bids)
}

/// The same as the owner sees it.
fn seen_by_owner(at: u64, bids: impl IntoIterator<Item = Bid>) -> Event<Told> {
    with(shown(at, Some(owner_key("me", 3, 10)), Some(("you", 11))), bids)
}

const MADE: u64 = 20;
const CLAIM: &str = "claim:e3r10s251";

/// A mirror that reaches five listeners by two children and hears its owner no more: its bid is made.
fn contesting() -> Story {
    let mut story = Story::of_mirror();
    story.here.reach = reach(5, 2);
    story.here.connected = false;
    story.tell(Event::PeerStream);
    assert_eq!(story.wait(ms(1_000)), "ask:you");
    assert_eq!(story.asks_nobody_hears(), "bid:e3:5/2");
    assert_eq!(story.end("bid", End::Bid(Some(Revision(MADE)))), "");
    story
}

/// The rest of the contest's second, in which nobody hears the owner.
fn nobody_hears(story: &mut Story) -> String {
    assert_eq!(story.wait(ms(700)), "ask:you");
    assert_eq!(story.asks_nobody_hears(), "");
    assert_eq!(story.wait(ms(299)), "");
    story.wait(ms(1))
}

#[test]
fn an_owner_that_bids_nothing_is_claimed_from_after_a_second() {
    let mut story = contesting();
    assert_eq!(nobody_hears(&mut story), format!("preempts {CLAIM} withdraw"));
    assert!(story.claimed(4, 30).starts_with("publish aside"));
}

#[test]
fn whoever_reaches_more_has_the_room_and_an_owner_that_reaches_as_much_keeps_it() {
    for (of_owner, won) in [
        (reach(4, 9), true),
        (reach(5, 1), true),
        (reach(5, 2), false),
        (reach(5, 3), false),
        (reach(6, 0), false),
    ] {
        let mut story = contesting();
        assert_eq!(story.tell(seen(22, [bid("me", 3, reach(5, 2), MADE), bid("you", 3, of_owner, 21)])), "");
        let ended = nobody_hears(&mut story);
        assert_eq!(ended == format!("preempts {CLAIM} withdraw"), won, "{of_owner:?}: {ended}");
        assert_eq!(ended == "withdraw", !won, "{of_owner:?}: {ended}");
    }
}

#[test]
fn a_mirror_that_yields_asks_about_its_owner_each_second_and_bids_after_longer_and_longer_pauses() {
    let outbid = |story: &mut Story, revision| {
        story.tell(seen(revision, [bid("you", 3, reach(9, 1), revision)]));
        assert_eq!(nobody_hears(story), "withdraw");
    };
    let asks = |story: &mut Story| {
        assert_eq!(story.wait(ms(1_000)), "ask:you");
        story.asks_nobody_hears()
    };
    let mut story = contesting();
    outbid(&mut story, 21);
    assert_eq!(asks(&mut story), "bid:e3:5/2");
    story.end("bid", End::Bid(Some(Revision(22))));
    outbid(&mut story, 23);
    assert_eq!(asks(&mut story), "", "not yet");
    assert_eq!(asks(&mut story), "bid:e3:5/2");
    story.end("bid", End::Bid(Some(Revision(24))));
    outbid(&mut story, 25);

    // It is heard for a moment, and then cut off again: who reaches more may be another.
    story.here.heard = story.here.now;
    story.tell(Event::PeerStream);
    assert_eq!(story.wait(ms(1_000)), "ask:you");
    assert_eq!(story.asks_nobody_hears(), "bid:e3:5/2");
}

#[test]
fn who_has_claimed_a_room_so_of_late_bids_for_it_when_it_may() {
    let mut story = Story::of_mirror();
    story.here.connected = false;
    story.here.preempt_from = story.here.now + ms(1_500);
    story.tell(Event::PeerStream);
    assert_eq!(story.wait(ms(1_000)), "ask:you");
    assert_eq!(story.asks_nobody_hears(), "", "not yet");
    assert_eq!(story.wait(ms(1_000)), "ask:you");
    assert_eq!(story.asks_nobody_hears(), "bid:e3:0/0");
}

#[test]
fn an_owner_whose_process_or_key_is_gone_is_not_contested_and_no_pause_holds_that_up() {
    let deaf = || {
        let mut story = Story::of_mirror();
        story.here.preempt_from = story.here.now + ms(60_000);
        story.here.connected = false;
        story.tell(Event::PeerStream);
        assert_eq!(story.wait(ms(1_000)), "ask:you");
        story
    };
    assert_eq!(deaf().asks_finds_it_gone(), CLAIM);
    let mut story = deaf();
    story.tell(Event::Shown(shown(30, None, Some(("me", 11)))));
    assert_eq!(story.asks_nobody_hears(), CLAIM);

    let mut story = contesting();
    assert_eq!(story.wait(ms(700)), "ask:you");
    assert_eq!(story.asks_finds_it_gone(), format!("{CLAIM} withdraw"), "in the midst of a contest");
}

#[test]
fn bids_of_others_of_other_epochs_and_from_before_this_nodes_own_do_not_count() {
    let mut story = contesting();
    let more = reach(100, 100);
    let others = [bid("they", 3, more, 21), bid("you", 2, more, 21), bid("you", 3, more, 19)];
    story.tell(seen(22, others));
    assert_eq!(nobody_hears(&mut story), format!("preempts {CLAIM} withdraw"));
}

#[test]
fn a_contest_is_called_off_when_the_owner_is_heard_again() {
    let mut story = contesting();
    story.here.connected = true;
    story.here.heard = story.here.now;
    assert_eq!(story.tell(Event::PeerStream), "withdraw", "its stream is back");

    let mut story = contesting();
    assert_eq!(story.wait(ms(700)), "ask:you");
    let heard = Answer { heard: Some(ms(20)), ..Answer::default() };
    assert_eq!(story.end("ask", End::Answered(heard)), "withdraw", "a relay hears it");

    let mut story = contesting();
    let back = with(shown(30, Some(owner_key("you", 3, 30)), Some(("me", 11))), []);
    assert_eq!(story.tell(back), "publish follow:you withdraw", "it has put its key back");

    let mut story = contesting();
    let other = with(shown(30, Some(owner_key("they", 4, 30)), Some(("me", 11))), []);
    assert_eq!(story.tell(other), "publish follow:they term:they@4+100 withdraw", "the room has another");
}

#[test]
fn a_bid_that_cannot_be_written_claims_nothing() {
    let deaf = || {
        let mut story = Story::of_mirror();
        story.here.connected = false;
        story.tell(Event::PeerStream);
        story.wait(ms(1_000));
        assert_eq!(story.asks_nobody_hears(), "bid:e3:0/0");
        story
    };
    for end in [End::Bid(None), End::Failed] {
        let mut story = deaf();
        assert_eq!(story.end("bid", end), "withdraw", "it may be there all the same");
        assert_eq!(story.wait(ms(1_000)), "ask:you");
        assert_eq!(story.asks_nobody_hears(), "bid:e3:0/0");
    }
    let mut story = deaf();
    let first = story.errand("bid");
    assert_eq!(story.wait(ms(14_999)), "");
    assert_eq!(story.wait(ms(1)), "withdraw", "it never ends");
    assert_eq!(story.tell(Event::Done(first, End::Bid(Some(Revision(MADE))))), "withdraw", "or late");
}

#[test]
fn a_bid_that_is_written_when_it_is_not_wanted_any_more_is_withdrawn_then() {
    let mut story = Story::of_mirror();
    story.here.connected = false;
    story.tell(Event::PeerStream);
    story.wait(ms(1_000));
    story.asks_nobody_hears();
    (story.here.connected, story.here.heard) = (true, story.here.now);
    assert_eq!(story.tell(Event::PeerStream), "");
    assert_eq!(story.end("bid", End::Bid(Some(Revision(MADE)))), "withdraw");
    assert_eq!(story.end("bid", End::Bid(Some(Revision(MADE)))), "withdraw", "twice does no harm");
}

#[test]
fn a_bid_goes_with_the_lease_and_with_the_office() {
    let mut story = contesting();
    assert_eq!(story.tell(Event::NewLease), "put-back:r11");
    assert_eq!(nobody_hears(&mut story), "", "there is none to claim by");

    let mut story = contesting();
    assert_eq!(story.tell(Event::OwnerEnded), "withdraw leave:Ended release");

    let mut story = contesting();
    let away = Fault::new(Code::NodeUnavailable, "no");
    let refused = Event::TakeOver {
        epoch: Epoch(3),
        owner: Some(Revision(10)),
        from_slot: stentor_ids::Slot(260),
        asker: "ann",
    };
    assert_eq!(story.tell(refused), "claim:e3r10s260", "the owner asks for it");
    assert_eq!(story.end("claim", End::Claimed(Err(away))), "ann=node_unavailable");
    assert_eq!(nobody_hears(&mut story), format!("preempts {CLAIM} withdraw"));
}

#[test]
fn an_owner_answers_each_bid_once_and_withdraws_its_own_with_the_last() {
    let mut story = Story::of_owner();
    story.here.reach = reach(7, 3);
    let other = |revision| bid("you", 3, reach(5, 2), revision);
    assert_eq!(story.tell(seen_by_owner(20, [other(20)])), "bid:e3:7/3");
    assert_eq!(story.tell(seen_by_owner(21, [other(20)])), "", "once");
    assert_eq!(story.end("bid", End::Bid(Some(Revision(22)))), "");
    story.here.reach = reach(8, 3);
    assert_eq!(
        story.tell(seen_by_owner(23, [other(23), bid("me", 3, reach(7, 3), 22)])),
        "bid:e3:8/3",
        "another"
    );
    assert_eq!(story.tell(seen_by_owner(25, [other(25)])), "", "one write at a time");
    assert_eq!(story.end("bid", End::Bid(Some(Revision(26)))), "bid:e3:8/3", "then for the next");
    assert_eq!(story.end("bid", End::Bid(Some(Revision(27)))), "");
    assert_eq!(story.tell(seen_by_owner(28, [bid("me", 3, reach(8, 3), 27)])), "withdraw");
    assert_eq!(story.tell(seen_by_owner(29, [])), "");
}

#[test]
fn an_owner_does_not_answer_bids_of_other_epochs_nor_when_it_owns_no_more() {
    let mut story = Story::of_owner();
    assert_eq!(story.tell(seen_by_owner(20, [bid("you", 2, reach(5, 2), 20)])), "");
    assert_eq!(story.tell(seen_by_owner(21, [bid("you", 3, reach(5, 2), 21)])), "bid:e3:0/0");
    story.end("bid", End::Bid(Some(Revision(22))));
    assert_eq!(
        story.tell(Event::Claimed(successor("you", 4, 251))),
        "withdraw goes:you abandon:not_owner follow:you end-at:251"
    );
    assert_eq!(story.tell(seen_by_owner(25, [bid("they", 3, reach(5, 2), 25)])), "");
}

#[test]
fn a_bid_of_a_former_life_is_withdrawn() {
    let mut story = Story::of_mirror();
    let Event::Shown(view) = seen(30, [bid("me", 2, reach(1, 1), 15)]) else { unreachable!() };
    let standing = story.tenure.standing().unwrap();
    let again = Story::begin(story.here.clone(), standing, view, true);
    assert_eq!(again.begun(), "withdraw close keep:you look");
    assert_eq!(story.tell(Event::Wake), "");
}
