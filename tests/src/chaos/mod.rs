//! Faults on purpose: a cluster with people in it, whose nodes, wires and directory fail by name and seed, and a table of
//! what listeners and operators noticed.
//!
//! | module | knows |
//! |---|---|
//! | `fault` | which faults there are, and the plan of each |
//! | `plan` | who is what, and which steps are taken when |
//! | `wires` | what becomes of bytes on their way |
//! | `world` | the cluster, the people in it, and how to carry a plan out |
//! | `audience` | who listens and speaks, and what they were given |
//! | `talks` | other rooms that talk at the same time, each with a listener of its own |
//! | `cpu` | how busy the machine is |
//! | `watchers` | when an operator sees a new owner |
//! | `journal` | what is written in the directory, and whether it may be |
//! | `table` | the figures of a round, and of many |

mod audience;
mod cpu;
mod fault;
mod journal;
mod plan;
mod table;
mod talks;
mod watchers;
mod wires;
mod world;

pub use audience::Given;
pub use cpu::Load;
pub use fault::Fault;
pub use journal::{Entry, Journal};
pub use plan::{Jump, Plan, Scene, Step};
pub use table::{Others, Outcome, Table};
pub use watchers::{AnotherOwner, Operator};
pub use wires::{DIRECTORY, Rule, Wires};
pub use world::{Setting, World};
