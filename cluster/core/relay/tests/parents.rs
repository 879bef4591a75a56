//! Which parents a room is taken from while candidates come and go, fail, stall and return.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use stentor_pace::{Time, check};
use stentor_relay::{Action, PARENTS, Parents, SILENT, STALL, Why};

type Name = &'static str;

/// A room's parents with a clock, and the actions since last asked as text.
struct Bench {
    parents: Parents<Name>,
    now: Time,
}

impl Bench {
    fn new(ranked: &[Name]) -> Self {
        let mut bench = Self { parents: Parents::default(), now: Time::from_millis(1000) };
        bench.parents.rank(ranked.to_vec());
        bench.parents.become_live(bench.now, true);
        bench
    }

    fn poll(&mut self) -> String {
        let mut actions = Vec::new();
        self.parents.poll(self.now, u64::MAX, &mut actions);
        let told = actions.iter().map(|action| match action {
            Action::Connect(parent) => format!("+{parent}"),
            Action::Drop(parent, why) => format!("-{parent} {why:?}"),
        });
        told.collect::<Vec<_>>().join(", ")
    }

    fn open(&mut self, names: &[Name]) {
        for name in names {
            self.parents.opened(self.now, name);
        }
    }

    /// Lets time pass while these deliver a slot every 20 ms; tells what was done and when.
    fn deliver(&mut self, names: &[Name], millis: u64) -> String {
        let end = self.now + Duration::from_millis(millis);
        let mut told = String::new();
        while self.now < end {
            self.now = self.now + Duration::from_millis(20);
            for name in names {
                self.parents.delivered(self.now, name);
            }
            let actions = self.poll();
            if !actions.is_empty() {
                told += &format!("[{}] {actions} ", self.now.as_millis());
            }
        }
        told.trim_end().to_owned()
    }
}

#[test]
fn the_best_two_are_taken_and_a_lost_one_is_replaced_at_once() {
    let mut bench = Bench::new(&["a", "b", "c"]);
    assert_eq!(bench.poll(), "+a, +b");
    assert_eq!(bench.poll(), "");
    bench.open(&["a", "b"]);
    assert_eq!(bench.deliver(&["a", "b"], 1000), "");
    assert_eq!(bench.parents.best(), Some(&"a"));
    bench.parents.lost(bench.now, &"a", u64::MAX);
    assert_eq!(bench.poll(), "+c");
    assert_eq!(bench.parents.best(), Some(&"b"));
    bench.open(&["c"]);
    // After its rest the better one is tried again, and the replacement goes once it delivers.
    assert_eq!(bench.deliver(&["b", "c"], 400), "[2260] +a");
    bench.open(&["a"]);
    assert_eq!(bench.deliver(&["a", "b", "c"], 1000), "[2900] -c Replaced");
}

#[test]
fn a_stalled_parent_is_noticed_by_the_slots_that_the_other_brings() {
    let mut bench = Bench::new(&["a", "b"]);
    bench.poll();
    bench.open(&["a", "b"]);
    bench.deliver(&["a", "b"], 1000);
    let stalled_at = bench.now + STALL;
    assert_eq!(bench.deliver(&["b"], 600), format!("[{}] -a Stalled", stalled_at.as_millis()));
}

#[test]
fn while_candidates_change_faster_than_they_open_those_that_deliver_are_kept() {
    let mut bench = Bench::new(&["a", "b"]);
    bench.poll();
    bench.open(&["a", "b"]);
    bench.deliver(&["a", "b"], 600);
    for ranked in [["c", "d"], ["e", "f"], ["g", "h"], ["c", "e"], ["d", "f"]] {
        bench.parents.rank(ranked.to_vec());
        let told = bench.deliver(&["a", "b"], 40);
        assert!(!told.contains("-a") && !told.contains("-b"), "{told}");
    }
    assert!(bench.parents.links() <= 2 * PARENTS);
}

#[test]
fn while_nobody_delivers_links_are_kept_and_seldom_made_anew() {
    let mut bench = Bench::new(&["a", "b"]);
    bench.poll();
    bench.open(&["a", "b"]);
    bench.deliver(&["a", "b"], 1000);
    let silent = u64::try_from(SILENT.as_millis()).unwrap();
    assert_eq!(bench.deliver(&[], silent - 20), "");
    assert_eq!(bench.deliver(&[], 20), "[6000] -a Silent, -b Silent, +a, +b");
}

#[test]
fn a_room_that_is_not_on_the_air_stalls_nowhere() {
    let mut bench = Bench::new(&["a"]);
    bench.parents.become_live(bench.now, false);
    bench.poll();
    bench.open(&["a"]);
    assert_eq!(bench.deliver(&[], 60_000), "");
    assert_eq!(bench.parents.next_deadline(bench.now), None);
}

#[test]
fn an_old_owner_is_kept_until_the_new_one_delivers() {
    let mut bench = Bench::new(&["old"]);
    bench.poll();
    bench.open(&["old"]);
    bench.deliver(&["old"], 1000);
    bench.parents.rank(vec!["new"]);
    assert_eq!(bench.poll(), "+new");
    bench.open(&["new"]);
    assert_eq!(bench.deliver(&["old"], 1000), "");
    assert_eq!(bench.deliver(&["new"], 100), "[3020] -old Replaced");
}

#[test]
fn with_no_candidate_left_what_delivers_is_kept() {
    let mut bench = Bench::new(&["owner"]);
    bench.poll();
    bench.open(&["owner"]);
    bench.parents.rank(vec![]);
    assert_eq!(bench.deliver(&["owner"], 20_000), "");
    assert_eq!(bench.deliver(&[], 5000), "[25000] -owner Silent");
}

#[test]
fn a_parent_that_does_not_open_is_given_up_and_rests() {
    let mut bench = Bench::new(&["a"]);
    assert_eq!(bench.poll(), "+a");
    assert_eq!(bench.deliver(&[], 2100), "[3000] -a TimedOut");
    assert_eq!(bench.deliver(&[], 300), "[3260] +a");
}

#[test]
fn a_parent_that_leaves_is_replaced_before_it_goes() {
    let mut bench = Bench::new(&["a", "b", "c"]);
    bench.poll();
    bench.open(&["a", "b"]);
    bench.deliver(&["a", "b"], 1000);
    bench.parents.moves(bench.now, &"a");
    assert_eq!(bench.poll(), "+c");
    bench.open(&["c"]);
    assert_eq!(bench.deliver(&["a", "b", "c"], 600), "[2500] -a Replaced");
}

#[derive(Debug, Clone)]
enum Step {
    Rank(Vec<Name>),
    Live(bool),
    Opened(Name),
    Delivered(Name),
    Lost(Name),
    Moves(Name),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let names = ["a", "b", "c", "d", "e"];
    let name = prop::sample::select(names.to_vec());
    prop_oneof![
        1 => prop::sample::subsequence(names.to_vec(), 0..=5).prop_shuffle().prop_map(Step::Rank),
        1 => any::<bool>().prop_map(Step::Live),
        1 => name.clone().prop_map(Step::Opened),
        4 => name.clone().prop_map(Step::Delivered),
        1 => name.clone().prop_map(Step::Lost),
        1 => name.prop_map(Step::Moves),
        6 => (1_u64..3000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn links_are_bounded_and_every_wake_does_what_it_was_for(
        steps in vec(step(), 1..80), random: u64,
    ) {
        let mut parents = Parents::default();
        let (mut now, mut linked) = (Time::from_millis(1), Vec::new());
        for step in steps {
            match step {
                Step::Rank(ranked) => parents.rank(ranked),
                Step::Live(live) => parents.become_live(now, live),
                Step::Opened(name) => parents.opened(now, &name),
                Step::Delivered(name) => parents.delivered(now, &name),
                Step::Lost(name) => {
                    linked.retain(|linked| *linked != name);
                    parents.lost(now, &name, random);
                }
                Step::Moves(name) => parents.moves(now, &name),
                Step::Wait(millis) => now = now + Duration::from_millis(millis),
            }
            let mut actions = Vec::new();
            parents.poll(now, random, &mut actions);
            for action in actions {
                match action {
                    Action::Connect(name) => {
                        prop_assert!(!linked.contains(&name), "{name} is connected already");
                        linked.push(name);
                    }
                    Action::Drop(name, why) => {
                        prop_assert!(linked.contains(&name), "{name} is not connected: {why:?}");
                        prop_assert!(why != Why::Silent || !linked.is_empty());
                        linked.retain(|linked| *linked != name);
                    }
                }
            }
            prop_assert_eq!(check::bounded("links", parents.links(), 2 * PARENTS), Ok(()));
            prop_assert_eq!(linked.len(), parents.links());
            let mut again = Vec::new();
            parents.poll(now, random, &mut again);
            prop_assert!(again.is_empty(), "polling twice does {again:?}");
            if let Some(deadline) = parents.next_deadline(now) {
                prop_assert!(deadline.at > now, "{deadline:?} is past at {now:?}");
            }
        }
    }
}
