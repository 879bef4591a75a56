//! Was it the speech that was spoken? Compares decoded audio with the voices it should be made of.
//!
//! Each voice enters the mix at a lag of its own, and a jitter buffer that follows the network stretches speech by a
//! fraction of a per cent, so that the lag wanders by milliseconds. So stretches of two seconds are found in a voice by
//! their loudness envelope, and pieces of a quarter second are then fitted at the best lag nearby, as a sum of the
//! voices. The correlation of a piece with its fit is near 1 for a copy, and below 0.5 for other speech.

use std::path::Path;

use anyhow::{Context, Result, bail};
use stentor_mix::{Decoder, Packet};

/// Waveforms are compared at 8 kHz: speech lives below 4 kHz, and the search is six times shorter.
const RATE: usize = 8000;
const DECIMATE: usize = 48_000 / RATE;
/// One value of a loudness envelope: 10 ms.
const HOP: usize = RATE / 100;
/// How long a stretch is looked for at once: enough syllables to be told from all others.
const STRETCH: usize = 2 * RATE;
/// How long a piece is fitted at one lag.
const PIECE: usize = RATE / 4;
/// How far from the lag of its stretch a piece may be: 30 ms either way.
const WANDER: usize = RATE * 3 / 100;
/// Places in a voice that are tried for a stretch.
const CANDIDATES: usize = 4;

/// Mono audio at 48 kHz.
#[derive(Debug, Clone)]
pub struct Audio(pub Vec<f32>);

impl Audio {
    /// Decodes an Ogg/Opus file of one logical stream with libopus.
    ///
    /// # Errors
    /// When the file cannot be read, is not Ogg/Opus, or does not decode.
    pub fn read_ogg(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut reader = ogg::PacketReader::new(std::io::BufReader::new(file));
        let mut decoder = Decoder::new()?;
        let (mut pcm, mut index) = (Vec::new(), 0);
        while let Some(packet) = reader.read_packet().with_context(|| format!("in {}", path.display()))? {
            match index {
                0 if !packet.data.starts_with(b"OpusHead") => bail!("{} has no OpusHead", path.display()),
                0 | 1 => {}
                _ => decoder.decode(&Packet::parse(packet.data.into())?, &mut pcm)?,
            }
            index += 1;
        }
        Ok(Self(pcm))
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.0.len() as f64 / 48_000.0
    }

    /// Loudness of the whole, as root mean square.
    #[must_use]
    pub fn rms(&self) -> f32 {
        rms(&self.0)
    }

    fn decimated(&self) -> Vec<f32> {
        self.0.chunks_exact(DECIMATE).map(|chunk| chunk.iter().sum::<f32>() / DECIMATE as f32).collect()
    }
}

/// Median over pieces of how well `heard` is explained by a sum of `voices`, each looped without end. Pieces in which
/// next to nothing is heard are left out.
///
/// # Errors
/// When fewer than eight pieces hold speech.
pub fn similarity(heard: &Audio, voices: &[&Audio]) -> Result<f64> {
    let heard = heard.decimated();
    let voices: Vec<Voice> = voices.iter().map(|voice| Voice::new(voice)).collect();
    let mut scores: Vec<f64> =
        heard.chunks_exact(STRETCH).flat_map(|stretch| scores(stretch, &voices)).collect();
    if scores.len() < 8 {
        bail!("only {} pieces of a quarter second hold speech", scores.len());
    }
    scores.sort_by(f64::total_cmp);
    Ok(scores[scores.len() / 2])
}

struct Voice {
    /// Twice in a row, so that a part that wraps is a slice.
    pcm: Vec<f32>,
    envelope: Vec<f32>,
}

impl Voice {
    fn new(audio: &Audio) -> Self {
        let mut pcm = audio.decimated();
        let envelope = envelope(&pcm);
        pcm.extend_from_within(..);
        Self { pcm, envelope }
    }

    fn part(&self, lag: usize, length: usize) -> &[f32] {
        let lag = lag % (self.pcm.len() / 2);
        &self.pcm[lag..(lag + length).min(self.pcm.len())]
    }

    /// Takes the voice out of a stretch: what is left when each piece is fitted at its best lag.
    fn take_out_of(&self, stretch: &[f32]) -> Vec<f32> {
        let taken = |place: usize| -> Vec<f32> {
            let pieces = stretch.chunks_exact(PIECE).enumerate();
            pieces.flat_map(|(i, piece)| self.rest_of(piece, place + i * PIECE)).collect()
        };
        let rests = self.places(stretch).into_iter().map(taken);
        rests.min_by(|a, b| rms(a).total_cmp(&rms(b))).unwrap_or_else(|| stretch.to_vec())
    }

    /// Where in the voice a stretch may come from, by loudness.
    fn places(&self, stretch: &[f32]) -> Vec<usize> {
        let shape = envelope(stretch);
        let steps = self.envelope.len();
        let score = |offset: usize| {
            let part: Vec<f32> = (0..shape.len()).map(|i| self.envelope[(offset + i) % steps]).collect();
            correlation(&shape, &part)
        };
        let mut all: Vec<(f64, usize)> = (0..steps).map(|offset| (score(offset), offset * HOP)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.into_iter().take(CANDIDATES).map(|(_, place)| place).collect()
    }

    fn rest_of(&self, piece: &[f32], place: usize) -> Vec<f32> {
        let centre = place + self.pcm.len() / 2;
        let parts = (centre - WANDER..=centre + WANDER).map(|lag| self.part(lag, piece.len()));
        let explained = |part: &[f32]| {
            let (dot, energy) = (dot(part, piece), dot(part, part));
            if energy > 1e-6 { dot * dot / energy } else { 0.0 }
        };
        let best = parts.max_by(|a, b| explained(a).total_cmp(&explained(b)));
        let best = best.filter(|part| dot(part, part) > 1e-6).unwrap_or(&[]);
        let gain = if best.is_empty() { 0.0 } else { dot(best, piece) / dot(best, best) };
        let fitted = best.iter().copied().chain(std::iter::repeat(0.0));
        piece.iter().zip(fitted).map(|(heard, voice)| heard - gain as f32 * voice).collect()
    }
}

/// Correlation of each piece of a stretch with its fit by the voices; each is fitted to what the one before it left, in
/// either order.
fn scores(stretch: &[f32], voices: &[Voice]) -> Vec<f64> {
    let forth = voices.iter().fold(stretch.to_vec(), |rest, voice| voice.take_out_of(&rest));
    let back = voices.iter().rev().fold(stretch.to_vec(), |rest, voice| voice.take_out_of(&rest));
    let rest = if rms(&forth) < rms(&back) { forth } else { back };
    let pieces = stretch.chunks_exact(PIECE).zip(rest.chunks_exact(PIECE));
    pieces
        .filter(|(heard, _)| rms(heard) > 0.01)
        .map(|(heard, left)| (1.0 - f64::from(rms(left) / rms(heard)).powi(2)).max(0.0).sqrt())
        .collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>())
}

fn envelope(pcm: &[f32]) -> Vec<f32> {
    pcm.chunks_exact(HOP).map(rms).collect()
}

fn rms(pcm: &[f32]) -> f32 {
    (pcm.iter().map(|x| f64::from(x * x)).sum::<f64>() / pcm.len().max(1) as f64).sqrt() as f32
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |x: &[f32]| x.iter().map(|v| f64::from(*v)).sum::<f64>() / x.len().max(1) as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x) - ma, f64::from(*y) - mb);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A voice-like signal: noise bursts under a syllable-like envelope, different for each seed.
    fn babble(seed: u32, seconds: usize) -> Audio {
        let mut state = seed.wrapping_mul(2_654_435_761).max(1);
        let mut noise = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 - 0.5
        };
        let syllables: Vec<f32> = (0..seconds * 5).map(|_| noise().abs()).collect();
        let mut low = 0.0;
        Audio(
            (0..seconds * 48_000)
                .map(|i| {
                    low += 0.1 * (noise() - low);
                    4.0 * low * syllables[i / 9600]
                })
                .collect(),
        )
    }

    #[test]
    fn a_mix_of_shifted_voices_is_recognised_and_another_voice_is_not() {
        let (a, b, c) = (babble(1, 6), babble(2, 6), babble(3, 6));
        let shifted = |audio: &Audio, by: usize| -> Vec<f32> {
            audio.0.iter().copied().cycle().skip(by).take(4 * 48_000).collect()
        };
        let mix = Audio(shifted(&a, 50_123).iter().zip(shifted(&b, 201_007)).map(|(x, y)| x + y).collect());
        assert!(similarity(&mix, &[&a, &b]).unwrap() > 0.9);
        assert!(similarity(&Audio(shifted(&c, 0)), &[&a, &b]).unwrap() < 0.5);
    }
}
