//! Who owns a room, as one node sees it. Pure.
//!
//! | module | says |
//! |---|---|
//! | `detector` | whether the owner of a mirrored room has failed |

mod detector;

pub use detector::{Act, Answer, Detector, Wake};
