//! What an operator asks for when creating a room, and the bounds of it.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use stentor_pace::WallTime;

use crate::Unknown;

/// What a room is to be. Fields an older record lacks take their defaults; fields of a newer build are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// For people; at most 200 characters.
    pub title: String,
    /// Who may hear the room.
    pub visibility: Visibility,
    /// The announced start. It binds nobody: a host or an operator opens the doors and goes live.
    pub starts_at: Option<WallTime>,
    /// Most participants on the stage at once, 1 to 100.
    pub stage_limit: u32,
    /// Bit rate of the room's audio in bits a second, 16,000 to 96,000.
    pub bitrate_bps: u32,
    /// What a newer build asked for besides.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Who may hear a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone, without a ticket.
    Public,
    /// Ticket holders only.
    #[default]
    Private,
}

/// A spec that is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// The title is longer than 200 characters.
    #[error("title has {0} characters; at most {max} are allowed", max = Spec::MAX_TITLE_CHARS)]
    Title(usize),
    /// The stage is empty or too large to mix.
    #[error("stage limit {0} is not within {min} to {max}", min = Spec::STAGE_LIMITS.start(), max = Spec::STAGE_LIMITS.end())]
    StageLimit(u32),
    /// Speech does not sound well below, nor better above.
    #[error("bit rate {0} is not within {min} to {max} bits a second", min = Spec::BITRATES.start(), max = Spec::BITRATES.end())]
    Bitrate(u32),
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            title: String::new(),
            visibility: Visibility::default(),
            starts_at: None,
            stage_limit: 20,
            bitrate_bps: 32_000,
            unknown: Unknown::default(),
        }
    }
}

impl Spec {
    /// Longest title: it stands in lists and in the stream's tags.
    pub const MAX_TITLE_CHARS: usize = 200;
    /// Sizes a stage may have. Decoding 100 speakers takes a sixth of a core; more cannot be followed by ear anyway.
    pub const STAGE_LIMITS: RangeInclusive<u32> = 1..=100;
    /// Bit rates of mono speech: Opus is wideband from 16 kbit/s on and transparent well below 96 kbit/s.
    pub const BITRATES: RangeInclusive<u32> = 16_000..=96_000;

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn validate(&self) -> Result<(), InvalidSpec> {
        let title = self.title.chars().count();
        if title > Self::MAX_TITLE_CHARS {
            return Err(InvalidSpec::Title(title));
        }
        if !Self::STAGE_LIMITS.contains(&self.stage_limit) {
            return Err(InvalidSpec::StageLimit(self.stage_limit));
        }
        if !Self::BITRATES.contains(&self.bitrate_bps) {
            return Err(InvalidSpec::Bitrate(self.bitrate_bps));
        }
        Ok(())
    }
}

/// What is to be different; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecChange {
    /// Another title.
    pub title: Option<String>,
    /// Who may hear the room.
    pub visibility: Option<Visibility>,
    /// Another announced start, or none any more.
    pub starts_at: Option<Option<WallTime>>,
    /// Most participants on the stage at once.
    pub stage_limit: Option<u32>,
    /// Bit rate of the room's audio, in bits a second.
    pub bitrate_bps: Option<u32>,
}

impl SpecChange {
    /// The spec with what changes; the rest of it, also what only a newer build knows, stays.
    pub(crate) fn applied(self, spec: &Spec) -> Spec {
        let spec = spec.clone();
        Spec {
            title: self.title.unwrap_or(spec.title),
            visibility: self.visibility.unwrap_or(spec.visibility),
            starts_at: self.starts_at.unwrap_or(spec.starts_at),
            stage_limit: self.stage_limit.unwrap_or(spec.stage_limit),
            bitrate_bps: self.bitrate_bps.unwrap_or(spec.bitrate_bps),
            ..spec
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_out_of_bounds_is_refused_with_the_value() {
        assert_eq!(Spec::default().validate(), Ok(()));
        let refused = |spec: Spec| spec.validate().unwrap_err().to_string();
        assert_eq!(
            refused(Spec { title: "ü".repeat(201), ..Spec::default() }),
            "title has 201 characters; at most 200 are allowed"
        );
        assert_eq!(
            refused(Spec { stage_limit: 0, ..Spec::default() }),
            "stage limit 0 is not within 1 to 100"
        );
        assert_eq!(
            refused(Spec { bitrate_bps: 96_001, ..Spec::default() }),
            "bit rate 96001 is not within 16000 to 96000 bits a second"
        );
    }
}
