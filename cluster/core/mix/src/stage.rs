//! Who may be mixed. The room decides it; the mixer obeys it from the next slot on (`RoleGate`).

use stentor_ids::ParticipantId;

/// Gains are held within these, whatever a seat says: enough to level speakers out, too little to hurt ears.
const GAINS_DB: std::ops::RangeInclusive<f32> = -60.0..=12.0;

/// The stage as the mixer sees it. Its number of seats is bounded by the room, and with it the mixer's
/// memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    /// Grows with every change.
    pub version: u64,
    /// Everyone who may speak. Whoever has no seat is not mixed.
    pub seats: Vec<Seat>,
}

/// One participant on the stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Seat {
    /// Who sits here.
    pub participant: ParticipantId,
    /// Muted: keeps the seat, is not mixed.
    pub muted: bool,
    /// How much louder than spoken, in dB; held within −60 to +12. 0 leaves the voice as it is.
    pub gain_db: f32,
}

impl Stage {
    pub(crate) fn seat(&self, who: &ParticipantId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.participant == *who)
    }

    pub(crate) fn may_speak(&self, who: &ParticipantId) -> bool {
        self.seat(who).is_some_and(|seat| !seat.muted)
    }
}

impl Seat {
    /// A seat of someone who may speak now, at the loudness spoken.
    #[must_use]
    pub fn open(participant: ParticipantId) -> Self {
        Self { participant, muted: false, gain_db: 0.0 }
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
