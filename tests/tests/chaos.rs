//! No single failure is heard: a short run of faults by a fixed seed. `make chaos` does more of them, more often.

use stentor_tests::chaos::{Fault, Setting, Table, World};

/// Which faults, and how often.
const ROUNDS: [(Fault, u64); 5] = [
    (Fault::KillOwner, 3),
    (Fault::PauseOwnerShort, 1),
    (Fault::PauseOwnerLong, 1),
    (Fault::KillRelay, 1),
    (Fault::CutOrigins, 1),
];
const SEED: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn no_single_failure_is_heard() {
    let mut world = World::start(Setting::unhurried(SEED)).await.unwrap();
    assert!(world.mirrored(), "the room has no ready mirror");
    let mut table = Table::default();
    for (fault, rounds) in ROUNDS {
        for round in 0..rounds {
            let outcome = world.round(fault, SEED + round).await.unwrap();
            println!("{outcome}");
            table.add(outcome);
        }
    }
    println!("{table}");
    assert!(table.wrong().is_empty(), "against the aims: {:#?}\n{table}", table.wrong());
    let mut killed = table.outcomes().filter(|outcome| outcome.fault == Fault::KillOwner);
    assert!(killed.all(|outcome| outcome.takeover.is_some()), "nobody took over:\n{table}");
}
