//! The way of a room's frames through one node, without the node: what each of two origins does and which of them
//! mixes, which slots and reports can be true, which stage is the newest, the slot ring with its deduplication and epoch fence, the playout behind
//! a seam buffer, which parents to take, the sum of listeners below and who of them is stuck, who is banned, and what is gathered to be sent up.
//!
//! The crate is named after the way of a frame and not after the relay tier, whose code is `downlink` of `stentor-link`:
//! every tier uses it, an origin its leadership, a relay its ring and parents, an edge its playout.
//!
//! Everything is pure. The driver brings the time, what arrived and random numbers; it knows sockets, tasks and clocks,
//! and this crate does not.

mod bans;
mod ceiling;
mod counts;
mod doubt;
mod frame;
mod gather;
mod grid;
mod leadership;
mod line;
mod log;
pub mod origin;
mod parents;
mod playout;
mod ring;
mod seam;
mod stage;
mod stuck;

pub use bans::{Bans, MAX_LIFTED, MAX_WORDS, Word};
pub use ceiling::{CLOCKS, Ceiling, MOST};
pub use counts::{Count, Counts, MAX_CHILDREN, REPORT_STALE};
pub use doubt::{EPOCHS_AHEAD, can_be_epoch, can_be_lineage};
pub use frame::{Frame, SILENT_BYTES};
pub use gather::{Gather, Gathered, MOST_WAITING, Next};
pub use grid::{Due, Grid};
pub use leadership::{Act, GRACE, Heard, Leadership, Side};
pub use line::Line;
pub use log::{Log, Read};
pub use origin::{Begin, Origin, Term};
pub use parents::{Action, MAX_CANDIDATES, PARENTS, Parents, SILENT, STALL, Wake, Why};
pub use playout::{Output, PENDING_FRAMES, Playout, Pushed};
pub use ring::{Inserted, RING_SLOTS, Ring};
pub use stage::{Heed, StageId, Way};
pub use stuck::{Lifts, STUCK, Stuck, can_be_stuck};
