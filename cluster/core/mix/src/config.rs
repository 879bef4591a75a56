//! How a room's mixer is set up. Every origin of a room uses the same values.

use serde::{Deserialize, Serialize};
use stentor_ids::SLOT_SAMPLES;

use crate::codec::{BITRATES_BPS, EncoderConfig, Rate};

/// Settings of a [`Mixer`](crate::Mixer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bit rate of the room's audio, 16 000 to 96 000 bit/s.
    pub bitrate_bps: u32,
    /// How hard the encoder works, 0 to 10. Each talking room pays this every slot.
    pub complexity: u8,
    /// How much earlier than needed a speaker's packets are made to come, 0 to 100 ms: what the scheduling of
    /// this machine may eat. Jitter of the network is learned on top of it.
    pub headroom_ms: u16,
    /// Most audio of one speaker that is held back, 100 to 1000 ms. What exceeds it is dropped, oldest first,
    /// so that after a stall a speaker is never further behind than this.
    pub max_delay_ms: u16,
}

/// A setting outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; give {min} to {max}")]
pub struct InvalidConfig {
    /// The setting's name.
    pub field: &'static str,
    /// What it was given as.
    pub value: u32,
    /// Lowest value taken.
    pub min: u32,
    /// Highest value taken.
    pub max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { bitrate_bps: 32_000, complexity: 5, headroom_ms: 5, max_delay_ms: 200 }
    }
}

impl Config {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let bounds = [
            ("bitrate_bps", self.bitrate_bps, *BITRATES_BPS.start(), *BITRATES_BPS.end()),
            ("complexity", self.complexity.into(), 0, 10),
            ("headroom_ms", self.headroom_ms.into(), 0, 100),
            ("max_delay_ms", self.max_delay_ms.into(), 100, 1000),
        ];
        match bounds.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
            Some((field, value, min, max)) => Err(InvalidConfig { field, value, min, max }),
            None => Ok(()),
        }
    }

    pub(crate) fn encoder(&self) -> EncoderConfig {
        EncoderConfig {
            rate: Rate::Hz48000,
            bitrate_bps: self.bitrate_bps,
            complexity: self.complexity,
            expected_loss_percent: 0,
        }
    }

    /// In samples, as the other.
    pub(crate) fn headroom(&self) -> i64 {
        millis(self.headroom_ms) as i64
    }

    pub(crate) fn max_delay(&self) -> usize {
        millis(self.max_delay_ms)
    }
}

fn millis(millis: u16) -> usize {
    usize::from(millis) * SLOT_SAMPLES / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_bounds_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let error = Config { bitrate_bps: 8_000, ..Config::default() }.validate().unwrap_err();
        assert_eq!(error.to_string(), "bitrate_bps is 8000; give 16000 to 96000");
        assert!(Config { max_delay_ms: 5000, ..Config::default() }.validate().is_err());
    }
}
