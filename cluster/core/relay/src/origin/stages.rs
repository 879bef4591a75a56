//! Which stage an origin mixes under, of those that come to it by several ways.
//!
//! Invariant: a stage that was taken is followed by none of a lower epoch, nor of a lower version of its epoch, but where this
//! origin is the one that decides, or the other's build tells no epochs.

use stentor_ids::Epoch;

use super::Origin;
use crate::{Heed, StageId, Way, can_be_epoch};

impl<P: Clone + PartialEq> Origin<P> {
    /// The stream of the other origin stands.
    pub const fn opened(&mut self) {
        self.streams = true;
    }

    /// Whether what comes this way is the other origin's word: of the owner, or of the one to which this owner gives way, which
    /// decides from its claim on while this one still mixes. Its stream is earlier than its record and says between slots
    /// what those after are mixed under, so it alone counts while it stands and brings the audio.
    #[must_use]
    pub fn heeds(&self, way: Way) -> bool {
        let of_another = self.mirrors() || self.end.is_some();
        match way {
            Way::Own => true,
            Way::Stream => of_another,
            Way::Record => of_another && (!self.streams || self.leads().is_some()),
        }
    }

    /// What to do with a stage that comes this way. It may be told again.
    pub fn stage(&mut self, way: Way, stage: StageId) -> Heed {
        // A build that tells no epoch says its stages by its stream alone, and in order.
        let in_order = way == Way::Stream && stage.epoch == Epoch(0);
        if !in_order && !can_be_epoch(self.term.epoch, stage.epoch) {
            return Heed::Refuse;
        }
        let newer = match way {
            // Who decides here is obeyed, unless another does by now.
            Way::Own => stage >= self.stage || !self.heeds(Way::Stream),
            // What of one version is true the owner's own mouth says.
            Way::Stream => in_order || stage >= self.stage,
            Way::Record => stage > self.stage,
        };
        if !newer || !self.heeds(way) {
            return Heed::Leave;
        }
        let epoch = if in_order { self.term.epoch } else { stage.epoch };
        self.stage = StageId { epoch, ..stage };
        Heed::Take
    }
}
