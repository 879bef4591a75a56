//! A cluster in virtual time: nodes, links, a directory, rooms and listeners, and whatever goes wrong, drawn from a seed.
//! Who owns, mirrors, claims, leads and retires, and what a room is, the real machines decide: `ownership::{Tenure,
//! Candidacy}`, `placement`, `relay`, `room::Ledger`, `mix::History`. What is here does what they ask for, over a net and a
//! directory of its own. Every invariant of the design is checked as it goes.
//!
//! | module | holds |
//! |---|---|
//! | `plan` | what a seed stands for |
//! | `fault`, `acts` | what goes wrong, and what rooms are told |
//! | `world` | time, nodes, messages |
//! | `net`, `directory` | what lies between nodes |
//! | `control` | a node's session and its view |
//! | `tenure`, `errands` | rooms that run at a node, and what they send it on |
//! | `claims`, `drain` | rooms that nobody runs, and a node that leaves |
//! | `books` | what owners decide |
//! | `stream` | how one origin of a room hears the other |
//! | `audio`, `studio`, `tree` | watched rooms, slot by slot |
//! | `judge` | what must hold in the whole |

mod acts;
mod audio;
mod books;
mod claims;
mod control;
mod directory;
mod drain;
mod errands;
mod fault;
mod judge;
mod message;
mod net;
mod plan;
mod stats;
mod stream;
mod studio;
mod tenure;
mod tree;
mod world;

pub use stats::Stats;

use plan::Plan;
use world::{START, World};

/// Events that a failed seed shows.
const SHOWN: usize = 60;

/// How a world went.
#[derive(Debug)]
pub struct Run {
    /// Everything that happened, in 64 bits: equal for equal seeds.
    pub hash: u64,
    /// In figures.
    pub stats: Stats,
    /// The first invariant that was broken.
    pub broken: Option<String>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Lets the world of a seed go by. With `trace`, everything that happened is kept as text.
#[must_use]
pub fn run(seed: u64, trace: bool) -> Run {
    let plan = Plan::of(seed);
    let mut world = World::new(&plan, trace);
    world.run(START + plan.end_ms);
    if world.violations.is_empty() {
        world.judge_end();
    }
    let broken = world.violations.first().map(ToString::to_string);
    Run { hash: world.hash(), stats: world.stats.clone(), broken, trace: world.trace() }
}

/// The same, and an account of what went before if an invariant was broken.
///
/// # Errors
/// The seed, the invariant and the last events.
pub fn check(seed: u64) -> Result<Run, String> {
    let first = run(seed, false);
    let Some(broken) = first.broken else { return Ok(first) };
    let trace = run(seed, true).trace;
    let last = &trace[trace.len().saturating_sub(SHOWN)..];
    let plan = Plan::of(seed);
    Err(format!(
        "seed {seed}: {broken}\n{} nodes, {} rooms, {}; the last events:\n{}\nmake sim SEEDS=1 FROM={seed} shows all",
        plan.nodes.len(),
        plan.rooms,
        if plan.single { "one fault at a time" } else { "faults together" },
        last.join("\n"),
    ))
}
