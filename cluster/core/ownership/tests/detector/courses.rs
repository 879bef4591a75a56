//! What holds of a detector under any course of events.

use proptest::{collection::vec, prelude::*};
use stentor_ownership::{Act, Answer, Detector};
use stentor_pace::Time;

use crate::{Story, at, ms};

/// What happens to a mirror.
#[derive(Debug, Clone, Copy)]
enum Event {
    Heard,
    Lost,
    Unowned,
    Owned,
    /// What comes of the question, if one is open: it runs, it is gone, it was heard so long ago.
    Answer(bool, bool, Option<u16>),
    /// What comes of the bid, if one is being made.
    Bid(bool),
    /// What comes of the claim, if one is under way.
    Refused,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Heard),
        2 => Just(Event::Lost),
        1 => Just(Event::Unowned),
        1 => Just(Event::Owned),
        4 => (any::<[bool; 2]>(), proptest::option::of(0_u16..2_000))
            .prop_map(|([runs, gone], heard)| Event::Answer(runs, gone, heard)),
        4 => any::<bool>().prop_map(|gone| Event::Answer(false, gone, None)),
        3 => any::<bool>().prop_map(Event::Bid),
        1 => Just(Event::Refused),
    ]
}

/// What the rules of a detector rest on, kept beside it.
#[derive(Default)]
struct Witness {
    heard: Time,
    broken: bool,
    unowned: Option<Time>,
    asks: Vec<Time>,
    /// The last question, and its answer once it has come.
    open: bool,
    answer: Option<(Time, Answer)>,
    claiming: bool,
    bidding: bool,
    bid: Option<Time>,
}

impl Witness {
    fn check(&mut self, now: Time, act: Act) -> Result<(), TestCaseError> {
        match act {
            Act::Ask => {
                if let Some(last) = self.asks.last() {
                    prop_assert!(now.since(*last) >= ms(500), "asked at {last:?} and {now:?}");
                }
                self.asks.push(now);
                (self.open, self.answer) = (true, None);
            }
            Act::Contest => (self.bidding, self.bid) = (true, None),
            Act::Claim { contested } => {
                let (asked, (answered, answer)) =
                    (*self.asks.last().expect("it has asked"), self.answer.expect("it was answered"));
                let late = if contested { ms(500) } else { ms(200) };
                prop_assert!(answered.since(asked) <= ms(1_200) && now.since(answered) <= late);
                if contested {
                    prop_assert!(self.bid.take().is_some_and(|bid| now.since(bid) >= ms(1_000)));
                } else {
                    prop_assert!(
                        answer.gone || self.unowned.is_some(),
                        "it may live on the other side of a cut"
                    );
                }
                let waited = self.unowned.is_some_and(|since| now.since(since) >= ms(10_000));
                let alive = answer.runs || answer.heard.is_some_and(|ago| ago < ms(500));
                let hears = !self.broken && now.since(self.heard) < ms(1_000);
                prop_assert!(
                    waited || !(alive || hears),
                    "alive {alive}, heard {:?}, now {now:?}",
                    self.heard
                );
                prop_assert!(!self.claiming, "one claim at a time");
                (self.claiming, self.answer) = (true, None);
            }
        }
        Ok(())
    }
}

proptest! {
    /// Whatever happens, with the node awake or pausing: no claim without a fresh question, none from an owner that lives.
    #[test]
    fn no_claim_without_a_fresh_answer_that_the_owner_is_dead(
        events in vec((0_u64..1_500, any_event()), 1..60), sleeps in any::<u64>(),
    ) {
        let (mut detector, mut seen, mut now) = (Detector::new(at(0)), Witness::default(), at(0));
        for (number, (wait, event)) in events.into_iter().enumerate() {
            let until = now + ms(wait);
            let asleep = sleeps >> (number % 64) & 1 == 1;
            while let Some(deadline) = detector.next_deadline().filter(|deadline| !asleep && deadline.at <= until) {
                now = now.max(deadline.at);
                if let Some(act) = detector.poll(now) {
                    seen.check(now, act)?;
                }
            }
            now = until;
            match event {
                Event::Heard => {
                    detector.heard(now);
                    (seen.heard, seen.broken) = (now, false);
                }
                Event::Lost => {
                    detector.lost(now);
                    seen.broken = true;
                }
                Event::Unowned => {
                    detector.unowned(now);
                    seen.unowned.get_or_insert(now);
                }
                Event::Owned => {
                    detector.owned(now);
                    seen.unowned = None;
                }
                Event::Bid(made) => if std::mem::take(&mut seen.bidding) {
                    detector.bid(now, made);
                    seen.bid = made.then_some(now);
                },
                Event::Answer(runs, gone, heard) => if std::mem::take(&mut seen.open) {
                    let answer = Answer { runs, gone, heard: heard.map(|ago| ms(ago.into())) };
                    detector.answered(now, answer);
                    seen.answer = Some((now, answer));
                },
                Event::Refused => if std::mem::take(&mut seen.claiming) {
                    detector.refused(now);
                },
            }
        }
    }

    /// The owner dies at some moment after any course of hearing and losing it. Every question is answered within half a
    /// second, by relays that heard it last when it died.
    #[test]
    fn a_real_death_is_claimed_within_three_seconds(
        before in vec((1_u64..700, any::<bool>()), 0..20), latency in 1_u64..500, breaks in any::<bool>(),
    ) {
        let (mut story, mut answer) = (Story::begin(), None);
        let mut claim = None;
        let mut run = |story: &mut Story, until: Time, died: Option<Time>| {
            while story.now < until && claim.is_none() {
                let step: Time = answer.unwrap_or(until).min(until);
                match story.next(step.as_millis()) {
                    Some((_, Act::Claim { .. })) => claim = Some(story.now),
                    Some((_, Act::Contest)) => story.detector.bid(story.now, true),
                    Some((_, Act::Ask)) => answer = Some(story.now + ms(latency)),
                    None if answer == Some(step) => {
                        answer = None;
                        let heard = died.map_or(ms(0), |died| step.since(died));
                        story.detector.answered(step, Answer { runs: died.is_none(), gone: died.is_some(), heard: Some(heard) });
                    }
                    None => {}
                }
            }
            claim
        };
        for (wait, heard) in before {
            let until = story.now + ms(wait);
            prop_assert_eq!(run(&mut story, until, None), None, "it lives");
            if heard { story.detector.heard(until) } else { story.detector.lost(until) }
        }
        let died = story.now;
        if breaks {
            story.detector.lost(died);
        }
        let claim = run(&mut story, died + ms(3_000), Some(died));
        prop_assert!(claim.is_some());
        prop_assert!(story.detector.since().is_some_and(|since| since <= died + ms(1_000)));
    }
}
