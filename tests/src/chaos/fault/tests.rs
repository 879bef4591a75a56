//! What every plan keeps, and what some say.

use rand::SeedableRng;

use super::*;

fn scene() -> Scene {
    let names = |tier: &str, count: u8| -> Vec<String> {
        (0..count).map(|index| format!("{tier}-{}", (b'a' + index) as char)).collect()
    };
    Scene {
        owner: "origin-b".into(),
        leader: "origin-c".into(),
        mirror: Some("origin-c".into()),
        origins: names("origin", 3),
        relays: names("relay", 2),
        edges: names("edge", 2),
        members: 1,
    }
}

fn plan(fault: Fault, seed: u64) -> Plan {
    fault.plan(&scene(), secs(8), &mut StdRng::seed_from_u64(seed))
}

#[test]
fn a_seed_gives_the_same_plan_again() {
    for fault in Fault::ALL {
        assert_eq!(plan(*fault, 5), plan(*fault, 5), "{fault}");
        assert_eq!(fault.as_str().parse::<Fault>().unwrap(), *fault);
    }
}

#[test]
fn every_plan_starts_at_once_keeps_its_order_and_mends_what_it_breaks() {
    for (fault, seed) in Fault::ALL.iter().flat_map(|fault| (0..20).map(move |seed| (*fault, seed))) {
        let Plan(steps) = plan(fault, seed);
        assert_eq!(steps[0].0, Duration::ZERO, "{fault}");
        assert!(steps.is_sorted_by_key(|(at, _)| *at), "{fault}: {steps:?}");
        for (at, step) in &steps {
            let mended = |(later, other): &(Duration, Step)| {
                let fits = match (step, other) {
                    (Step::Kill(a) | Step::Leave(a), Step::Start(b)) | (Step::Pause(a), Step::Resume(b)) => {
                        a == b
                    }
                    (Step::Clock(a, _), Step::Clock(b, Jump(0))) => a == b,
                    (Step::Wire(a, b, _), Step::Mend(c, d)) => (a, b) == (c, d),
                    (Step::Split(a), Step::Heal(b)) => a == b,
                    (Step::KillEtcd | Step::WipeEtcd | Step::KillMember(_), Step::StartEtcd) => true,
                    _ => false,
                };
                fits && later > at
            };
            let harms = !matches!(
                step,
                Step::Start(_)
                    | Step::Resume(_)
                    | Step::Mend(..)
                    | Step::Clock(_, Jump(0))
                    | Step::StartEtcd
                    | Step::Heal(_)
                    | Step::Mute
                    | Step::Join
                    | Step::Wait
                    | Step::Recycle(_)
            );
            assert!(!harms || steps.iter().any(mended), "{fault} leaves {step:?}");
        }
    }
}

#[test]
fn an_owner_that_is_cut_off_one_way_still_hears_or_still_speaks() {
    let ways = |fault| -> Vec<bool> {
        let wires = plan(fault, 1).0.into_iter().filter_map(|(_, step)| match step {
            Step::Wire(from, _, Rule::Hole) => Some(from == "origin-b"),
            _ => None,
        });
        wires.collect()
    };
    assert_eq!(ways(Fault::CutOwnerOut), [true; 7]);
    assert_eq!(ways(Fault::CutOwnerIn), [false; 7]);
    assert_eq!(ways(Fault::CutOwner).len(), 14);
}

#[test]
fn two_zones_have_an_origin_and_a_relay_each_and_the_edges_are_with_one_of_them() {
    let mut sides = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let plan = plan(Fault::CutZones, seed);
        let [owner, mirror] = ["origin-b", "origin-c"].map(|origin| plan.strands(origin));
        assert_ne!(owner, mirror, "seed {seed}");
        assert_eq!(["relay-a", "relay-b"].map(|relay| plan.strands(relay)), [false, true]);
        assert_eq!(["edge-a", "edge-b", "edge-c"].map(|edge| plan.strands(edge)), [false; 3]);
        sides.insert(owner);
    }
    assert_eq!(sides.len(), 2, "each of the two is on the smaller side at times");
}
