//! Opus behind a small face: the one place that knows libopus.
//!
//! An [`Encoder`] takes mono PCM and gives packets of 10, 20, 40 or 60 ms; a [`Decoder`] gives 48 kHz mono
//! for any [`Packet`], a concealment for what was lost, and what in-band redundancy tells of the packet
//! before. Both are deterministic: the same calls give the same output. Samples are `f32`, full scale is ±1.

use bytes::Bytes;
use opusic_c::{Application, Bitrate, Channels, ErrorCode, InbandFec, SampleRate};
use stentor_ids::SLOT_SAMPLES;

use crate::packet::{MAX_PACKET_BYTES, Packet};

/// Lowest and highest bit rate of a room: below 16 kbit/s Opus leaves wideband speech, above 96 kbit/s mono
/// speech gains nothing.
pub const BITRATES_BPS: std::ops::RangeInclusive<u32> = 16_000..=96_000;

/// Shortest stretch that libopus conceals: 2.5 ms. It conceals multiples of this.
const CONCEAL_UNIT: usize = 120;
/// Longest stretch concealed in one call: 60 ms, the longest packet that can be missing.
const CONCEAL_MAX: usize = 2880;

/// What libopus was asked to do, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("libopus could not {action}: {reason}")]
pub struct CodecError {
    action: &'static str,
    reason: &'static str,
}

impl CodecError {
    fn of(action: &'static str) -> impl Fn(ErrorCode) -> Self {
        move |code| Self { action, reason: code.message() }
    }
}

/// Sample rates of PCM that Opus takes. It codes them all alike; packets carry no trace of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// 8 kHz: telephone.
    Hz8000,
    /// 12 kHz.
    Hz12000,
    /// 16 kHz: wideband speech.
    Hz16000,
    /// 24 kHz.
    Hz24000,
    /// 48 kHz: what the mixer works at.
    Hz48000,
}

impl Rate {
    /// The rate of this many samples a second, if Opus takes it.
    #[must_use]
    pub const fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 => Some(Self::Hz8000),
            12_000 => Some(Self::Hz12000),
            16_000 => Some(Self::Hz16000),
            24_000 => Some(Self::Hz24000),
            48_000 => Some(Self::Hz48000),
            _ => None,
        }
    }

    /// Samples a second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz12000 => 12_000,
            Self::Hz16000 => 16_000,
            Self::Hz24000 => 24_000,
            Self::Hz48000 => 48_000,
        }
    }

    /// Samples in 20 ms.
    #[must_use]
    pub const fn slot_samples(self) -> usize {
        SLOT_SAMPLES * self.hz() as usize / 48_000
    }

    const fn to_opus(self) -> SampleRate {
        match self {
            Self::Hz8000 => SampleRate::Hz8000,
            Self::Hz12000 => SampleRate::Hz12000,
            Self::Hz16000 => SampleRate::Hz16000,
            Self::Hz24000 => SampleRate::Hz24000,
            Self::Hz48000 => SampleRate::Hz48000,
        }
    }
}

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Rate of the PCM given.
    pub rate: Rate,
    /// Target bit rate, within [`BITRATES_BPS`]; what lies outside is moved to the nearer end.
    pub bitrate_bps: u32,
    /// How hard libopus works, 0 to 10.
    pub complexity: u8,
    /// Packets in a hundred that may get lost on the way. Above 0 the encoder adds in-band redundancy, out of
    /// the same bit rate.
    pub expected_loss_percent: u8,
}

impl Default for EncoderConfig {
    /// 48 kHz, 32 kbit/s, complexity 5, no redundancy.
    fn default() -> Self {
        Self { rate: Rate::Hz48000, bitrate_bps: 32_000, complexity: 5, expected_loss_percent: 0 }
    }
}

/// Mono PCM to Opus.
pub struct Encoder {
    opus: opusic_c::Encoder,
    rate: Rate,
    scratch: Box<[u8; MAX_PACKET_BYTES]>,
}

impl Encoder {
    /// A fresh encoder for speech (libopus' VOIP application: a high-pass and formant emphasis, SILK and
    /// hybrid modes).
    ///
    /// # Errors
    /// When libopus has no memory or refuses a setting.
    pub fn new(config: EncoderConfig) -> Result<Self, CodecError> {
        let error = CodecError::of("make an encoder");
        let mut opus = opusic_c::Encoder::new(Channels::Mono, config.rate.to_opus(), Application::Voip)
            .map_err(&error)?;
        let bitrate = config.bitrate_bps.clamp(*BITRATES_BPS.start(), *BITRATES_BPS.end());
        opus.set_bitrate(Bitrate::Value(bitrate)).map_err(&error)?;
        opus.set_complexity(config.complexity.min(10)).map_err(&error)?;
        if config.expected_loss_percent > 0 {
            opus.set_inband_fec(InbandFec::Mode1).map_err(&error)?;
            opus.set_packet_loss(config.expected_loss_percent.min(100)).map_err(&error)?;
        }
        Ok(Self { opus, rate: config.rate, scratch: Box::new([0; MAX_PACKET_BYTES]) })
    }

    /// Encodes one packet out of 10, 20, 40 or 60 ms of PCM at the encoder's rate.
    ///
    /// # Errors
    /// When `pcm` has another length.
    pub fn encode(&mut self, pcm: &[f32]) -> Result<Bytes, CodecError> {
        let slot = self.rate.slot_samples();
        if ![slot / 2, slot, slot * 2, slot * 3].contains(&pcm.len()) {
            return Err(CodecError { action: "encode", reason: "PCM must last 10, 20, 40 or 60 ms" });
        }
        let len =
            self.opus.encode_float_to_slice(pcm, &mut self.scratch[..]).map_err(CodecError::of("encode"))?;
        Ok(Bytes::copy_from_slice(&self.scratch[..len]))
    }

    /// Forgets all that was encoded: what comes next decodes well after a gap.
    ///
    /// # Errors
    /// Never seen; libopus could refuse.
    pub fn reset(&mut self) -> Result<(), CodecError> {
        self.opus.reset().map_err(CodecError::of("reset an encoder"))
    }

    /// By how many samples at the encoder's rate its output trails its input.
    ///
    /// # Errors
    /// Never seen; libopus could refuse.
    pub fn lookahead(&mut self) -> Result<usize, CodecError> {
        self.opus
            .get_look_ahead()
            .map(|samples| samples as usize)
            .map_err(CodecError::of("tell its look-ahead"))
    }
}

/// Opus to 48 kHz mono PCM.
pub struct Decoder {
    opus: opusic_c::Decoder,
}

impl Decoder {
    /// A fresh decoder.
    ///
    /// # Errors
    /// When libopus has no memory.
    pub fn new() -> Result<Self, CodecError> {
        let opus = opusic_c::Decoder::new(Channels::Mono, SampleRate::Hz48000);
        Ok(Self { opus: opus.map_err(CodecError::of("make a decoder"))? })
    }

    /// Appends the packet's [`Packet::samples`] to `out`.
    ///
    /// # Errors
    /// Never seen with a checked packet; `out` is then as it was.
    pub fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(), CodecError> {
        self.call(packet.bytes(), packet.samples(), false, out)
    }

    /// Appends what `next` tells of the packet before it, which got lost: its in-band redundancy, or a plain
    /// concealment where it has none. As many samples as `next` has; decode `next` itself afterwards.
    ///
    /// # Errors
    /// Never seen with a checked packet; `out` is then as it was.
    pub fn recover(&mut self, next: &Packet, out: &mut Vec<f32>) -> Result<(), CodecError> {
        self.call(next.bytes(), next.samples(), true, out)
    }

    /// Appends `samples` that sound like a continuation of what was decoded last, fading the longer it goes
    /// on. At most 60 ms a call.
    ///
    /// # Errors
    /// Never seen; `out` is then as it was.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) -> Result<(), CodecError> {
        let samples = samples.min(CONCEAL_MAX);
        if samples == 0 {
            return Ok(());
        }
        let end = out.len() + samples;
        self.call(&[], samples.next_multiple_of(CONCEAL_UNIT), false, out)?;
        out.truncate(end);
        Ok(())
    }

    /// Forgets all that was decoded.
    ///
    /// # Errors
    /// Never seen; libopus could refuse.
    pub fn reset(&mut self) -> Result<(), CodecError> {
        self.opus.reset().map_err(CodecError::of("reset a decoder"))
    }

    fn call(
        &mut self,
        packet: &[u8],
        samples: usize,
        redundancy: bool,
        out: &mut Vec<f32>,
    ) -> Result<(), CodecError> {
        let start = out.len();
        out.resize(start + samples, 0.0);
        let result = self.opus.decode_float_to_slice(packet, &mut out[start..], redundancy);
        if let Err(code) = result {
            out.truncate(start);
            return Err(CodecError::of("decode")(code));
        }
        Ok(())
    }
}
