//! A cluster in virtual time: nodes, links, a directory, rooms and listeners, and whatever goes wrong, drawn from a seed.
//! Who owns, mirrors, claims, leads and retires, and what a room is, the real machines decide: `ownership::{Tenure,
//! Candidacy, Drain}`, `placement`, `relay`, `room::Ledger`, `mix::History`. What is here does what they ask for, over a net and a
//! directory of its own. Every invariant of the design is checked as it goes.
//!
//! What is done stands above what it is done to. Each line may use those below it, and none above.
//!
//! | module | holds |
//! |---|---|
//! | `course` | what happens next, and to whom |
//! | `judge` | what must hold in the whole |
//! | `strike`, `acts` | what goes wrong, and what rooms are told |
//! | `studio`, `tree` | watched rooms, slot by slot |
//! | `stream` | how one origin of a room hears the other |
//! | `books` | what owners decide |
//! | `claims`, `drain` | rooms that nobody runs, and a node that leaves |
//! | `tenure`, `errands` | rooms that run at a node, and what they send it on |
//! | `control` | a node's session and its view |
//! | `world` | all of it, and what is to happen when |
//! | `stats`, `promise` | a world in figures, and what is to come about in its time |
//! | `tap`, `audio` | a watched room at relays and edges, and at its origins |
//! | `running`, `candidate`, `node` | a room that runs at a node, what the node claims, and the node |
//! | `message` | what nodes say to each other |
//! | `plan`, `fault` | what a seed stands for, and what may go wrong |
//! | `staged` | who may speak, as it is told and kept |
//! | `directory`, `net` | what lies between nodes |

mod acts;
mod audio;
mod books;
mod candidate;
mod claims;
mod control;
mod course;
mod directory;
mod drain;
mod errands;
mod fault;
mod judge;
mod message;
mod net;
mod node;
mod plan;
mod promise;
mod running;
mod staged;
mod stats;
mod stream;
mod strike;
mod studio;
mod tap;
mod tenure;
mod tree;
mod world;

pub use stats::Stats;

use plan::{Plan, START};
use world::World;

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
    let mut world = World::begun(&plan, trace);
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
