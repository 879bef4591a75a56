//! Where mixed PCM leaves as Opus: limiter, encoder, and a cheap silence.
//!
//! Silence is encoded for a moment, so that the encoder's look-ahead and the listener's decoder run out
//! softly; after that a constant packet goes out and the encoder rests. It starts afresh when there is
//! something to hear again, as the listener's decoder does: the constant packet is in another coding mode,
//! and a decoder that leaves it starts the speech mode from nothing (RFC 6716, section 4.5.2).

use bytes::Bytes;
use stentor_ids::SLOT_SAMPLES;

use crate::{
    codec::{CodecError, Encoder, EncoderConfig},
    limiter::Limiter,
};

/// 20 ms of silence in CELT mode, full band, mono: a frame that says "silence" in its first bit (RFC 6716,
/// section 4.3).
pub const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

/// Slots of silence that are encoded before [`SILENCE`] goes out: 200 ms. Not more than a mirror replays while
/// it has time.
const ENCODED_SILENT_SLOTS: u32 = 10;
/// What counts as silence: −80 dB. A codec's idea of digital silence stays below it, and nobody hears it.
const SILENT_BELOW: f32 = 1e-4;

pub(crate) struct Outlet {
    limiter: Limiter,
    encoder: Encoder,
    silent_slots: u32,
}

impl Outlet {
    pub(crate) fn new(config: EncoderConfig) -> Result<Self, CodecError> {
        Ok(Self { limiter: Limiter::new(), encoder: Encoder::new(config)?, silent_slots: 0 })
    }

    /// One slot of mixed PCM to one packet. `pcm` is left limited.
    pub(crate) fn emit(&mut self, pcm: &mut [f32; SLOT_SAMPLES]) -> Result<Bytes, CodecError> {
        if pcm.iter().all(|x| x.abs() < SILENT_BELOW) {
            self.silent_slots = self.silent_slots.saturating_add(1);
            if self.resting() {
                return Ok(Bytes::from_static(SILENCE));
            }
        } else if self.resting() {
            self.encoder.reset()?;
            self.silent_slots = 0;
        } else {
            self.silent_slots = 0;
        }
        self.limiter.apply(pcm);
        self.encoder.encode(pcm)
    }

    /// Goes on as one that has been silent for long.
    pub(crate) fn rest(&mut self) {
        self.silent_slots = ENCODED_SILENT_SLOTS + 1;
    }

    /// Whether [`SILENCE`] goes out.
    pub(crate) fn resting(&self) -> bool {
        self.silent_slots > ENCODED_SILENT_SLOTS
    }
}
