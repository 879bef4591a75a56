//! A WAV file, mixed down to mono and encoded in packets of 20 ms. The last one is filled up with silence.

use hound::{SampleFormat, WavReader};
use stentor_mix::{Encoder, EncoderConfig, Rate};

use super::error::{Bytes, SourceError, bad};

/// Bit rate of what is sent into the room, whose mixer encodes it once more: a little above the room's own default, so
/// that the second coding is the one that is heard.
const BITRATE_BPS: u32 = 40_000;

pub(super) struct WavPackets {
    samples: Box<dyn Iterator<Item = hound::Result<f32>> + Send>,
    channels: usize,
    encoder: Encoder,
    /// One packet of PCM.
    pcm: Vec<f32>,
}

impl WavPackets {
    pub(super) fn open(name: &str, bytes: Bytes) -> Result<Self, SourceError> {
        let reader = WavReader::new(bytes).map_err(|error| broken(name, &error))?;
        let spec = reader.spec();
        let rate = Rate::from_hz(spec.sample_rate).ok_or_else(|| {
            let hz = spec.sample_rate;
            bad(name, format!("it has {hz} Hz; 8000, 12000, 16000, 24000 and 48000 are taken. Convert it: ffmpeg -i {name} -ar 48000 speech.wav"))
        })?;
        if !(1..=2).contains(&spec.channels) {
            let advice =
                format!("it has {} channels; convert it: ffmpeg -i {name} -ac 1 speech.wav", spec.channels);
            return Err(bad(name, advice));
        }
        let samples: Box<dyn Iterator<Item = _> + Send> = match spec.sample_format {
            SampleFormat::Float => Box::new(reader.into_samples::<f32>()),
            SampleFormat::Int => {
                let full_scale = 2_f32.powi(i32::from(spec.bits_per_sample) - 1);
                Box::new(reader.into_samples::<i32>().map(move |sample| Ok(sample? as f32 / full_scale)))
            }
        };
        let encoder =
            Encoder::new(EncoderConfig { rate, bitrate_bps: BITRATE_BPS, ..EncoderConfig::default() })?;
        Ok(Self { samples, channels: spec.channels.into(), encoder, pcm: vec![0.0; rate.slot_samples()] })
    }

    pub(super) fn next(&mut self, name: &str) -> Result<Option<bytes::Bytes>, SourceError> {
        let mut filled = 0;
        for slot in &mut self.pcm {
            let Some(sample) =
                mono(&mut self.samples, self.channels).map_err(|error| broken(name, &error))?
            else {
                break;
            };
            *slot = sample;
            filled += 1;
        }
        if filled == 0 {
            return Ok(None);
        }
        self.pcm[filled..].fill(0.0);
        Ok(Some(self.encoder.encode(&self.pcm)?))
    }
}

/// One sample out of one of each channel; none at the end, or where a channel is missing.
fn mono(
    samples: &mut impl Iterator<Item = hound::Result<f32>>,
    channels: usize,
) -> hound::Result<Option<f32>> {
    let mut sum = 0.0;
    for _ in 0..channels {
        match samples.next() {
            // A float file may hold anything; what is no number is silence.
            Some(sample) => sum += Some(sample?).filter(|sample| sample.is_finite()).unwrap_or(0.0),
            None => return Ok(None),
        }
    }
    Ok(Some(sum / channels as f32))
}

fn broken(name: &str, error: &hound::Error) -> SourceError {
    bad(name, format!("it is not sound WAV: {error}"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use hound::{WavSpec, WavWriter};
    use stentor_mix::Decoder;

    use super::super::Source;
    use super::*;

    /// A tone of 440 Hz, 16 bit.
    pub(crate) fn tone(rate: u32, channels: u16, frames: u32) -> Cursor<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        let spec =
            WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
        for i in 0..frames {
            let phase = i as f32 * 440.0 * std::f32::consts::TAU / rate as f32;
            for _ in 0..channels {
                writer.write_sample((phase.sin() * 8000.0) as i16).unwrap();
            }
        }
        writer.finalize().unwrap();
        bytes.set_position(0);
        bytes
    }

    #[test]
    fn every_rate_and_both_channel_counts_become_packets_of_20_ms_that_sound_alike() {
        for rate in [8000, 12_000, 16_000, 24_000, 48_000] {
            for channels in [1, 2] {
                let mut source = Source::reader("pipe", tone(rate, channels, rate / 2 + 7)).unwrap();
                let (mut decoder, mut pcm, mut count) = (Decoder::new().unwrap(), Vec::new(), 0);
                while let Some(packet) = source.next_packet().unwrap() {
                    assert_eq!(packet.samples(), 960);
                    decoder.decode(&packet, &mut pcm).unwrap();
                    count += 1;
                }
                assert_eq!(count, 26, "{rate} Hz: 25 full packets and the rest");
                let middle = &pcm[9600..19_200];
                let rms = (middle.iter().map(|x| x * x).sum::<f32>() / middle.len() as f32).sqrt();
                assert!((0.1..0.25).contains(&rms), "{rate} Hz, {channels} channels: rms {rms}");
            }
        }
    }

    #[test]
    fn a_rate_that_opus_does_not_take_is_refused_with_the_command_that_helps() {
        let error = Source::reader("cd.wav", tone(44_100, 2, 100)).err().unwrap().to_string();
        assert!(error.contains("44100 Hz") && error.contains("ffmpeg -i cd.wav -ar 48000"), "{error}");
        let error = Source::reader("film.wav", tone(48_000, 6, 100)).err().unwrap().to_string();
        assert!(error.contains("6 channels"), "{error}");
    }

    #[test]
    fn a_wav_that_breaks_off_is_told() {
        let mut bytes = tone(48_000, 1, 4800).into_inner();
        bytes.truncate(bytes.len() - 100);
        let mut source = Source::reader("pipe", Cursor::new(bytes)).unwrap();
        let last = std::iter::from_fn(|| source.next_packet().transpose()).last().unwrap();
        assert!(last.err().unwrap().to_string().contains("not sound WAV"));
    }
}
