//! How alike two pieces of audio are.

/// 20 ms at 48 kHz.
const FRAME: usize = 960;

/// By how many samples `heard` trails `said`, searched from 0 to `longest`, where they are most alike.
pub(crate) fn delay(said: &[f32], heard: &[f32], longest: usize) -> usize {
    // At 6 kHz first, then to the sample.
    let thin = |pcm: &[f32]| pcm.chunks_exact(8).map(|c| c.iter().sum::<f32>()).collect::<Vec<_>>();
    let (thin_said, thin_heard) = (thin(said), thin(heard));
    let coarse = 8 * best(0..=longest / 8, |lag| correlation(&thin_said, &thin_heard[lag..]));
    best(coarse.saturating_sub(8)..=coarse + 8, |lag| correlation(said, &heard[lag.min(heard.len())..]))
}

fn best(lags: std::ops::RangeInclusive<usize>, likeness: impl Fn(usize) -> f32) -> usize {
    lags.map(|lag| (lag, likeness(lag))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
}

/// A piece of `said` found again.
#[derive(Debug)]
pub(crate) struct Found {
    /// Second of `said` where the piece starts.
    pub(crate) second: f32,
    pub(crate) delay_ms: f32,
    pub(crate) correlation: f32,
}

/// Looks for a piece of `seconds` every `every` seconds, where something is said, in `heard` up to 250 ms
/// later. `pace` is how much slower than the room's clock `said` was spoken.
pub(crate) fn find(said: &[f32], heard: &[f32], every: f32, seconds: f32, pace: f64) -> Vec<Found> {
    const LONGEST: usize = 12_000;
    let len = (seconds * 48_000.0) as usize;
    let starts = (0..).map(|k| (k as f32 * every * 48_000.0) as usize);
    let pieces = starts.take_while(|start| start + len + LONGEST < said.len()).filter_map(|start| {
        let piece = &said[start..start + len];
        let from = (start as f64 * pace) as usize;
        if level(piece) < -35.0 || from + len + LONGEST > heard.len() {
            return None;
        }
        let heard = &heard[from..from + len + LONGEST];
        let delay = delay(piece, heard, LONGEST);
        let correlation = correlation(piece, &heard[delay..]);
        Some(Found { second: start as f32 / 48_000.0, delay_ms: delay as f32 / 48.0, correlation })
    });
    pieces.collect()
}

/// Correlation coefficient of the common part, −1 to 1.
pub(crate) fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let (mut ab, mut aa, mut bb) = (0.0f64, 1e-12, 1e-12);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    (ab / f64::sqrt(aa * bb)) as f32
}

pub(crate) fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

/// Level in dBov.
pub(crate) fn level(pcm: &[f32]) -> f32 {
    let power = pcm.iter().map(|x| f64::from(x * x)).sum::<f64>() / pcm.len().max(1) as f64;
    10.0 * (power + 1e-13).log10() as f32
}

/// Loudest sample.
pub(crate) fn peak(pcm: &[f32]) -> f32 {
    pcm.iter().fold(0.0, |peak, x| x.abs().max(peak))
}

/// Largest second difference: a click is a corner that speech does not have.
pub(crate) fn sharpest(pcm: &[f32]) -> f32 {
    pcm.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max)
}

/// Mean over all 20 ms frames that are not silent in `clean` of the signal-to-noise ratio, each held to −10
/// to 35 dB, as is usual for segmental SNR.
pub(crate) fn segmental_snr(clean: &[f32], heard: &[f32]) -> f32 {
    let frames = clean.chunks_exact(FRAME).zip(heard.chunks_exact(FRAME));
    let ratios: Vec<f32> = frames
        .filter(|(clean, _)| level(clean) > -50.0)
        .map(|(clean, heard)| {
            let noise: Vec<f32> = clean.iter().zip(heard).map(|(a, b)| a - b).collect();
            (level(clean) - level(&noise)).clamp(-10.0, 35.0)
        })
        .collect();
    ratios.iter().sum::<f32>() / ratios.len().max(1) as f32
}

/// Levels of each 100 ms, in dBov.
pub(crate) fn envelope(pcm: &[f32]) -> Vec<f32> {
    pcm.chunks_exact(4800).map(level).collect()
}
