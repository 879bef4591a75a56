//! Who may be mixed. The room decides it; the mixer obeys it from the next slot on (`RoleGate`).

use stentor_ids::ParticipantId;

/// Gains are held within these, whatever the stage says: enough to level speakers out, too little to hurt ears.
const GAINS_DB: std::ops::RangeInclusive<f32> = -60.0..=12.0;

/// The stage as the mixer sees it. Its number of participants is bounded by the room, and with it the mixer's
/// memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    /// Grows with every change.
    pub version: u64,
    /// Everyone who may speak. Nobody else is mixed.
    pub participants: Vec<Participant>,
}

/// One participant on the stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Participant {
    /// Who it is.
    pub id: ParticipantId,
    /// Muted: stays on the stage, is not mixed.
    pub muted: bool,
    /// How much louder than spoken, in dB; held within −60 to +12. 0 leaves the voice as it is.
    pub gain_db: f32,
}

impl Stage {
    pub(crate) fn participant(&self, who: &ParticipantId) -> Option<&Participant> {
        self.participants.iter().find(|participant| participant.id == *who)
    }

    pub(crate) fn may_speak(&self, who: &ParticipantId) -> bool {
        self.participant(who).is_some_and(|participant| !participant.muted)
    }
}

impl Participant {
    /// Someone who may speak now, at the loudness spoken.
    #[must_use]
    pub const fn open(id: ParticipantId) -> Self {
        Self { id, muted: false, gain_db: 0.0 }
    }

    /// The factor that its voice is mixed with.
    pub(crate) fn factor(&self) -> f32 {
        if self.muted {
            return 0.0;
        }
        let db = if self.gain_db.is_finite() { self.gain_db } else { 0.0 };
        10f32.powf(db.clamp(*GAINS_DB.start(), *GAINS_DB.end()) / 20.0)
    }
}
