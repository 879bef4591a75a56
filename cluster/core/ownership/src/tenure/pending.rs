//! What a tenure waits for: the end of an errand, and why else it is to be woken.

use stentor_pace::{Deadline, Time};

use crate::Errand;

/// Why a tenure is to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The owner of a mirrored room may have failed; with the detector's reason.
    Detector(crate::detector::Wake),
    /// A key that is gone is to be put back.
    PutBack,
    /// A claim of this node's own whose answer did not come is to be made again.
    Claim,
    /// It is to be looked whether the heir is ready.
    Heir,
    /// Edges are to be sent to the successor.
    Redirect,
    /// An errand has not ended in its time.
    Errand,
}

/// An errand that is waited for, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) errand: Errand,
    pub(super) until: Time,
}

impl Pending {
    pub(super) fn deadline(this: Option<Self>) -> Option<Deadline<Wake>> {
        this.map(|pending| Deadline::new(pending.until, Wake::Errand))
    }
}
