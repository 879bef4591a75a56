//! When a mirror takes control over, and when it does not: told as stories; `courses` has any course of events.

mod courses;

use std::time::Duration;

use stentor_ownership::{Act, Answer, Detector, DetectorWake as Wake};
use stentor_pace::{Deadline, Time};

const fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The owner's process is gone, and no relay has heard it.
const DEAD: Answer = Answer { runs: false, gone: true, heard: None };
/// The owner does not answer, and no relay has heard it.
const SILENT: Answer = Answer { runs: false, gone: false, heard: None };
const RUNS: Answer = Answer { runs: true, gone: false, heard: None };

const CLAIM: Act = Act::Claim { contested: false };

const fn heard_ago(millis: u64) -> Answer {
    Answer { runs: false, gone: false, heard: Some(ms(millis)) }
}

/// A detector that is polled whenever it wants to be.
struct Story {
    detector: Detector,
    now: Time,
}

impl Story {
    fn begin() -> Self {
        let mut detector = Detector::new(at(0));
        detector.heard(at(0));
        Self { detector, now: at(0) }
    }

    /// Goes on to this moment, in which nothing is to be done.
    fn quiet_until(&mut self, millis: u64) {
        let next = self.next(millis);
        assert_eq!(next, None);
    }

    /// The first thing to be done up to this moment, and when.
    fn next(&mut self, millis: u64) -> Option<(u64, Act)> {
        while let Some(deadline) = self.detector.next_deadline().filter(|deadline| deadline.at <= at(millis))
        {
            self.now = self.now.max(deadline.at);
            if let Some(act) = self.detector.poll(self.now) {
                return Some((self.now.as_millis(), act));
            }
        }
        self.now = self.now.max(at(millis));
        None
    }

    /// The same, with all questions answered so after 10 ms.
    fn next_claim(&mut self, answer: Answer, millis: u64) -> Option<u64> {
        while let Some((when, act)) = self.next(millis) {
            match act {
                Act::Claim { .. } => return Some(when),
                Act::Contest => self.detector.bid(self.now, true),
                Act::Ask => {
                    self.now = at(when + 10);
                    self.detector.answered(self.now, answer);
                }
            }
        }
        None
    }
}

#[test]
fn an_owner_that_is_heard_is_not_asked_about() {
    let mut story = Story::begin();
    for millis in (0..20_000).step_by(990) {
        story.quiet_until(millis);
        story.detector.heard(at(millis));
    }
    assert_eq!(story.detector.since(), None);
}

#[test]
fn an_owner_that_died_is_asked_about_at_once_and_claimed_from() {
    let mut story = Story::begin();
    story.detector.lost(at(300));
    assert_eq!(story.next(5_000), Some((400, Act::Ask)));
    story.detector.answered(at(410), heard_ago(110));
    assert_eq!(story.next(5_000), Some((1_410, Act::Ask)), "the relays have heard it a moment ago");
    story.detector.answered(at(1_420), Answer { gone: true, ..heard_ago(1_120) });
    assert_eq!(story.next(5_000), Some((1_420, CLAIM)));
    assert_eq!(story.detector.since(), Some(at(300)));
    story.quiet_until(60_000);
}

#[test]
fn an_owner_that_fell_silent_is_asked_about_after_a_second() {
    let mut story = Story::begin();
    story.detector.heard(at(500));
    assert_eq!(story.detector.next_deadline(), Some(Deadline::new(at(1_500), Wake::Silent)));
    assert_eq!(story.next(5_000), Some((1_500, Act::Ask)));
    story.detector.answered(at(1_700), DEAD);
    assert_eq!(story.next(5_000), Some((1_700, CLAIM)));
    assert_eq!(story.detector.since(), Some(at(500)), "the silence began when it was last heard");
}

#[test]
fn a_stream_that_is_back_in_a_moment_was_not_lost() {
    let mut story = Story::begin();
    for millis in (0..10_000).step_by(200) {
        story.detector.lost(at(millis));
        story.quiet_until(millis + 90);
        story.detector.heard(at(millis + 90));
    }
}

#[test]
fn an_owner_that_lives_is_left_alone_for_ever_and_asked_about_once_a_second() {
    for answer in [RUNS, heard_ago(499), Answer { runs: true, gone: false, heard: Some(ms(9_000)) }] {
        let mut story = Story::begin();
        story.detector.lost(at(0));
        let mut asked = 0;
        while let Some((when, act)) = story.next(60_000) {
            assert_eq!(act, Act::Ask);
            asked += 1;
            story.now = at(when + 10);
            story.detector.answered(story.now, answer);
        }
        assert!((55..=61).contains(&asked), "{asked}");
    }
}

#[test]
fn an_owner_that_is_heard_while_it_is_asked_about_is_left_alone() {
    let mut story = Story::begin();
    assert_eq!(story.next(1_000), Some((1_000, Act::Ask)));
    story.detector.heard(at(1_010));
    story.detector.answered(at(1_020), DEAD);
    story.quiet_until(2_000);
    assert_eq!(story.detector.since(), None);
}

#[test]
fn a_living_owner_whose_key_is_gone_has_ten_seconds_to_put_it_back() {
    let mut story = Story::begin();
    let keep = |story: &mut Story, until| {
        // Its stream stands all the time.
        while story.now < at(until) {
            let now = story.now;
            story.detector.heard(now);
            if let Some(claim) = story.next_claim(RUNS, now.as_millis() + 400) {
                return Some(claim);
            }
        }
        None
    };
    story.detector.unowned(at(0));
    assert_eq!(keep(&mut story, 9_500), None);
    story.detector.owned(story.now);
    assert_eq!(keep(&mut story, 30_000), None, "it has put it back");
    let gone = story.now;
    story.detector.unowned(gone);
    let claim = keep(&mut story, 60_000).map(|claim| at(claim).since(gone));
    assert!(claim.is_some_and(|after| (ms(10_000)..ms(11_500)).contains(&after)), "{claim:?}");
    assert_eq!(story.detector.since(), Some(gone));
}

#[test]
fn an_owner_whose_key_is_gone_and_who_is_heard_at_the_last_moment_is_left_alone() {
    let mut story = Story::begin();
    story.detector.unowned(at(0));
    assert_eq!(story.next(1_000), Some((0, Act::Ask)));
    story.detector.lost(at(900));
    story.detector.answered(at(950), DEAD);
    story.detector.heard(at(950));
    assert_eq!(story.next(5_000), Some((1_950, Act::Ask)));
}

#[test]
fn a_dead_owner_whose_key_is_gone_is_claimed_from_at_once() {
    let mut story = Story::begin();
    story.detector.lost(at(2));
    story.detector.unowned(at(3));
    assert_eq!(story.next_claim(DEAD, 5_000), Some(13));
    assert_eq!(story.detector.since(), Some(at(2)));
}

#[test]
fn a_claim_that_was_refused_is_tried_again_after_longer_and_longer_pauses_with_a_new_question() {
    let mut story = Story::begin();
    story.detector.lost(at(0));
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let claim = story.next_claim(DEAD, 100_000).expect("it claims again");
        story.detector.refused(at(claim));
        pauses.push(story.detector.next_deadline().map(|deadline| deadline.at.as_millis() - claim));
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 5000, 5000].map(Some));
    story.detector.heard(story.now);
    story.detector.lost(story.now);
    let claim = story.next_claim(DEAD, 100_000).expect("it claims");
    story.detector.refused(at(claim));
    assert_eq!(
        story.detector.next_deadline().map(|deadline| deadline.at),
        Some(at(claim + 500)),
        "it was heard"
    );
}

#[test]
fn an_answer_that_does_not_come_is_asked_for_again() {
    let mut story = Story::begin();
    story.detector.lost(at(0));
    assert_eq!(story.next(500), Some((100, Act::Ask)));
    assert_eq!(story.detector.next_deadline(), Some(Deadline::new(at(1_100), Wake::Unanswered)));
    assert_eq!(story.next(5_000), Some((1_100, Act::Ask)));
}

/// The stream breaks at 0, nobody answers, and the bid is made at 420.
fn contesting() -> Story {
    let mut story = Story::begin();
    story.detector.lost(at(0));
    assert_eq!(story.next(5_000), Some((100, Act::Ask)));
    story.detector.answered(at(400), SILENT);
    assert_eq!(story.next(5_000), Some((400, Act::Contest)));
    assert_eq!(story.detector.next_deadline(), None, "the bid is not made yet");
    story.detector.bid(at(420), true);
    assert!(story.detector.contests());
    story
}

#[test]
fn an_owner_that_is_silent_is_contested_for_a_second_and_asked_about_again() {
    let mut story = contesting();
    assert_eq!(story.next(5_000), Some((1_120, Act::Ask)));
    story.detector.answered(at(1_400), SILENT);
    assert_eq!(story.next(5_000), Some((1_420, Act::Claim { contested: true })));
    assert_eq!(story.detector.since(), Some(at(0)));
    assert!(!story.detector.contests());
}

#[test]
fn a_contest_is_called_off_when_the_owner_is_heard_by_whomever() {
    for answer in [RUNS, heard_ago(300)] {
        let mut story = contesting();
        assert_eq!(story.next(5_000), Some((1_120, Act::Ask)));
        story.detector.answered(at(1_130), answer);
        assert!(!story.detector.contests());
        assert_eq!(story.next(5_000), Some((2_130, Act::Ask)), "it rests");
    }
    let mut story = contesting();
    story.detector.heard(at(900));
    assert!(!story.detector.contests());
    story.quiet_until(1_899);
}

#[test]
fn a_contest_is_over_when_there_is_nothing_to_contest() {
    let mut story = contesting();
    story.next(5_000);
    story.detector.answered(at(1_130), DEAD);
    assert_eq!(story.next(5_000), Some((1_130, CLAIM)), "its process is gone");

    let mut story = contesting();
    story.quiet_until(700);
    story.detector.unowned(at(700));
    assert!(!story.detector.contests());
    assert_eq!(story.next_claim(SILENT, 5_000), Some(710), "its key is gone");
}

#[test]
fn a_contest_without_a_second_answer_or_a_bid_comes_to_nothing() {
    let mut story = contesting();
    assert_eq!(story.next(5_000), Some((1_120, Act::Ask)));
    assert_eq!(story.next(5_000), Some((3_120, Act::Ask)), "unanswered for a second, and rested");

    let mut story = contesting();
    story.detector.bid(at(500), false);
    assert_eq!(story.next(5_000), Some((1_500, Act::Ask)));
    story.detector.bid(at(1_600), true);
    story.detector.answered(at(1_700), SILENT);
    assert_eq!(story.next(5_000), Some((1_700, Act::Contest)), "a bid that comes late is none");
}

#[test]
fn a_pause_of_this_node_proves_nothing() {
    let mut asleep = contesting();
    assert_eq!(asleep.detector.poll(at(10_000)), None);
    assert!(!asleep.detector.contests());
    // Asleep while listening, while an answer is on its way, and with the decision made.
    for asleep_in in ["hearing", "asking", "decided"] {
        let mut detector = Detector::new(at(0));
        if asleep_in != "hearing" {
            detector.lost(at(0));
            assert_eq!(detector.poll(at(100)), Some(Act::Ask));
        }
        if asleep_in == "decided" {
            detector.answered(at(110), DEAD);
        }
        detector.answered(at(10_000), DEAD);
        assert_eq!(detector.poll(at(10_000)), None, "{asleep_in}");
        assert_eq!(detector.since(), None);
        let mut story = Story { detector, now: at(10_000) };
        let (when, act) = story.next(20_000).expect("it asks");
        assert_eq!(act, Act::Ask);
        assert!(when >= 10_100, "{asleep_in}: {when}");
    }
}
