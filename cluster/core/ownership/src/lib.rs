//! Who owns a room, as one node sees it, and what that node does about it. Pure: the room actor performs it, the simulation
//! runs it.
//!
//! | module | says |
//! |---|---|
//! | `tenure` | one room at a node that owns or mirrors it: what is told to it, what it does |
//! | `detector` | whether the owner of a mirrored room has failed |
//! | `preemptions` | how often this node has contested the owners of rooms of late |
//! | `candidacy` | one claim of a room that does not run here |
//! | `drain` | a node that leaves: what it offers to others, when, and when that is in vain |
//! | `event` | what a tenure is told and asks for |
//! | `keys` | what the directory shows of a room |
//! | `timing` | every time of a take-over of control |
//! | `refusal` | what whoever asks something of a room is told that is going, or is not here |
//!
//! It knows no directory, no link and no record: what comes with a key is handed back as it came ([`Driver`]). Which node's
//! turn it is to claim is `stentor-placement`'s; which origin mixes is `stentor-relay`'s.

mod candidacy;
mod detector;
mod drain;
mod event;
mod keys;
mod preemptions;
pub mod refusal;
mod tenure;
pub mod timing;

pub use candidacy::{Came, Candidacy, Outcome, Step};
pub use detector::{Act, Answer, Detector, Wake as DetectorWake};
pub use drain::{Act as DrainAct, Drain};
pub use event::{
    Books, Claim, Claimed, Driver, Effect, End, Errand, Event, Held, Here, Left, MirrorHeld, NotBack,
    OwnerHeld, Standing, Took,
};
pub use keys::{Bid, Keys, MirrorKey, Moment, OwnerKey, Reach, Shown, Successor, Wants};
pub use preemptions::Preemptions;
pub use tenure::{Tenure, Wake};
