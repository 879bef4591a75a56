//! Was it the speech that was spoken? Compares decoded audio with the voices it should be made of.
//!
//! Each voice enters the mix at a lag of its own, so windows of two seconds are fitted as a sum of the voices, each at
//! its best lag: a coarse search on loudness envelopes, a fine one on the waveform. The correlation of a window with
//! its fit is 1.0 for a perfect copy and near 0 for anything else.

use std::path::Path;

use anyhow::{Context, Result, bail};
use stentor_mix::{Decoder, Packet};

/// Waveforms are compared at 8 kHz: speech lives below 4 kHz, and the search is six times shorter.
const RATE: usize = 8000;
const DECIMATE: usize = 48_000 / RATE;
/// One value of a loudness envelope: 10 ms.
const HOP: usize = RATE / 100;
/// How long a stretch is fitted at once. Short, so that a drift correction in between does not blur it.
const WINDOW: usize = 2 * RATE;

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

/// Median over windows of how well `heard` is explained by a sum of `voices`, each looped without end. Windows in which
/// next to nothing is heard are left out.
///
/// # Errors
/// When fewer than two windows hold speech.
pub fn similarity(heard: &Audio, voices: &[&Audio]) -> Result<f64> {
    let heard = heard.decimated();
    let voices: Vec<Voice> = voices.iter().map(|voice| Voice::new(voice)).collect();
    let mut scores: Vec<f64> = heard
        .chunks_exact(WINDOW)
        .filter(|window| rms(window) > 0.01)
        .map(|window| fit(window, &voices))
        .collect();
    if scores.len() < 2 {
        bail!("only {} windows of two seconds hold speech", scores.len());
    }
    scores.sort_by(f64::total_cmp);
    Ok(scores[scores.len() / 2])
}

struct Voice {
    pcm: Vec<f32>,
    envelope: Vec<f32>,
}

impl Voice {
    fn new(audio: &Audio) -> Self {
        let pcm = audio.decimated();
        let envelope = envelope(&pcm);
        Self { pcm, envelope }
    }

    /// The voice from `lag` on, looped.
    fn at(&self, lag: usize, length: usize) -> impl Iterator<Item = f32> {
        self.pcm.iter().copied().cycle().skip(lag % self.pcm.len()).take(length)
    }

    /// The lag at which the voice explains most of `window`.
    fn best_lag(&self, window: &[f32]) -> usize {
        let shape = envelope(window);
        let steps = self.envelope.len();
        let score = |offset: usize| {
            let part: Vec<f32> = (0..shape.len()).map(|i| self.envelope[(offset + i) % steps]).collect();
            correlation(&shape, &part)
        };
        let mut coarse: Vec<(f64, usize)> = (0..steps).map(|offset| (score(offset), offset)).collect();
        coarse.sort_by(|a, b| b.0.total_cmp(&a.0));
        let fine = coarse.iter().take(8).flat_map(|(_, offset)| {
            let centre = offset * HOP + self.pcm.len();
            (centre - 2 * HOP..centre + 2 * HOP).map(|lag| lag % self.pcm.len())
        });
        let fit = |lag: usize| {
            let dot: f64 = self.at(lag, window.len()).zip(window).map(|(a, b)| f64::from(a * b)).sum();
            let energy: f64 = self.at(lag, window.len()).map(|a| f64::from(a * a)).sum();
            if energy > 1e-6 { dot.abs() / energy.sqrt() } else { 0.0 }
        };
        fine.map(|lag| (fit(lag), lag)).max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, lag)| lag)
    }
}

/// Correlation of `window` with its best fit by the voices: each is fitted to what the ones before it left.
fn fit(window: &[f32], voices: &[Voice]) -> f64 {
    let mut orders: Vec<Vec<usize>> = vec![(0..voices.len()).collect()];
    orders.push((0..voices.len()).rev().collect());
    orders.into_iter().map(|order| fit_in_order(window, voices, &order)).fold(0.0, f64::max)
}

fn fit_in_order(window: &[f32], voices: &[Voice], order: &[usize]) -> f64 {
    let mut rest = window.to_vec();
    for index in order {
        let voice = &voices[*index];
        let part: Vec<f32> = voice.at(voice.best_lag(&rest), rest.len()).collect();
        let energy: f64 = part.iter().map(|a| f64::from(a * a)).sum();
        if energy < 1e-3 {
            continue;
        }
        let gain = part.iter().zip(&rest).map(|(a, b)| f64::from(a * b)).sum::<f64>() / energy;
        rest.iter_mut().zip(&part).for_each(|(left, heard)| *left -= gain as f32 * heard);
    }
    let (total, left) = (f64::from(rms(window)).powi(2), f64::from(rms(&rest)).powi(2));
    (1.0 - left / total).max(0.0).sqrt()
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
        let (a, b, c) = (babble(1, 12), babble(2, 12), babble(3, 12));
        let shifted = |audio: &Audio, by: usize| -> Vec<f32> {
            audio.0.iter().copied().cycle().skip(by).take(8 * 48_000).collect()
        };
        let mix = Audio(shifted(&a, 50_123).iter().zip(shifted(&b, 301_007)).map(|(x, y)| x + y).collect());
        assert!(similarity(&mix, &[&a, &b]).unwrap() > 0.9);
        assert!(similarity(&Audio(shifted(&c, 0)), &[&a, &b]).unwrap() < 0.5);
    }
}
