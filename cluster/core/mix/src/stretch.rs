//! Makes PCM a little longer or shorter, unheard: by a few samples through interpolation, by whole pitch
//! periods through a cross-fade between two places where the wave looks alike (the idea of WSOLA).
//!
//! The search for the alike places is apart from the act, so that a log needs only to say by how much.

/// Stretching by more samples than this is a splice.
pub(crate) const FINE_MAX: usize = 8;

/// Pitch periods searched for: 2.5 ms (400 Hz) to 12.5 ms (80 Hz).
const LAGS: std::ops::RangeInclusive<usize> = 120..=600;
/// Cross-fade of 5 ms, also what is compared.
const FADE: usize = 240;
/// Of every this many samples one is compared: 8 kHz is enough to tell a pitch.
const DECIMATION: usize = 6;

/// Resamples `pcm[from..]` to be `by` samples longer (or shorter) with cubic interpolation (Catmull-Rom);
/// first and last sample stay what they are. Does nothing to fewer than 10 ms.
pub(crate) fn stretch(pcm: &mut Vec<f32>, from: usize, by: i32) {
    let by = by.clamp(-(FINE_MAX as i32), FINE_MAX as i32);
    let len = pcm.len().saturating_sub(from);
    if len < 480 || by == 0 {
        return;
    }
    let old = pcm.split_off(from);
    let new_len = len.saturating_add_signed(by as isize);
    let pace = (len - 1) as f64 / (new_len - 1) as f64;
    let at = |i: usize| old[i.min(len - 1)];
    pcm.extend((0..new_len).map(|i| {
        let position = i as f64 * pace;
        let (i, t) = (position as usize, position.fract() as f32);
        let (a, b, c, d) = (at(i.saturating_sub(1)), at(i), at(i + 1), at(i + 2));
        b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
    }));
}

/// Repeats (positive) or cuts out (negative) `lag` samples at the end of `pcm`, cross-fading. Does nothing
/// where `pcm` is too short for it.
pub(crate) fn splice(pcm: &mut Vec<f32>, lag: i32) {
    let (len, period) = (pcm.len(), lag.unsigned_abs() as usize);
    if period == 0 || len < period + FADE {
        return;
    }
    let (late, early) = (len - FADE, len - FADE - period);
    let (from, to) = if lag > 0 { (late, early) } else { (early, late) };
    let fade = |i: usize| {
        let t = i as f32 / FADE as f32;
        pcm[from + i] * (1.0 - t) + pcm[to + i] * t
    };
    // After the fade the wave goes on where the place faded to goes on.
    let end: Vec<f32> = (0..FADE).map(fade).chain(pcm[to + FADE..].iter().copied()).collect();
    pcm.truncate(from);
    pcm.extend_from_slice(&end);
}

/// The lag of at most `longest` at which the end of `pcm` looks most like what came before it; `None` where
/// `pcm` is too short to tell.
pub(crate) fn best_lag(pcm: &[f32], longest: usize) -> Option<usize> {
    let longest = pcm.len().checked_sub(FADE)?.min(*LAGS.end()).min(longest);
    let coarse = (*LAGS.start()..=longest).step_by(DECIMATION).map(|lag| (lag, likeness(pcm, lag)));
    let (near, _) = coarse.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let fine = (near.saturating_sub(DECIMATION).max(*LAGS.start())..=(near + DECIMATION).min(longest))
        .map(|lag| (lag, likeness(pcm, lag)));
    fine.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(lag, _)| lag)
}

/// Normalised correlation of the end of `pcm` with what lies `lag` samples before it.
fn likeness(pcm: &[f32], lag: usize) -> f32 {
    let end = pcm.len() - FADE;
    let (mut cross, mut energy) = (0.0, 1e-9);
    for i in (0..FADE).step_by(DECIMATION) {
        let (late, early) = (pcm[end + i], pcm[end - lag + i]);
        cross += late * early;
        energy += early * early;
    }
    cross / f32::sqrt(energy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A voice-like wave: a pitch of `period` samples with harmonics.
    fn wave(len: usize, period: usize) -> Vec<f32> {
        let phase = |i: usize| i as f32 * std::f32::consts::TAU / period as f32;
        (0..len).map(|i| (1..6).map(|k| (phase(i) * k as f32).sin() / k as f32).sum::<f32>() * 0.3).collect()
    }

    fn steepest(pcm: &[f32]) -> f32 {
        pcm.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn stretching_changes_the_length_and_not_the_wave() {
        for by in [-2, -1, 1, 2] {
            let original = wave(1440, 200);
            let mut pcm = original.clone();
            stretch(&mut pcm, 480, by);
            assert_eq!(pcm.len(), 1440usize.saturating_add_signed(by as isize));
            assert_eq!(pcm[..=480], original[..=480]);
            assert!((pcm[pcm.len() - 1] - original[1439]).abs() < 1e-6);
            assert!(steepest(&pcm) < steepest(&original) * 1.02);
        }
    }

    #[test]
    fn the_pitch_is_found() {
        for period in [130, 243, 400, 577] {
            let lag = best_lag(&wave(960, period), 600).unwrap();
            let off = lag % period;
            assert!(off.min(period - off) <= 3, "period {period}, lag {lag}");
        }
        assert_eq!(best_lag(&wave(300, 100), 600), None);
    }

    #[test]
    fn a_spliced_wave_has_no_click() {
        for sign in [-1, 1] {
            let original = wave(1200, 260);
            let mut pcm = original.clone();
            let lag = sign * best_lag(&pcm, 600).unwrap() as i32;
            splice(&mut pcm, lag);
            assert_eq!(pcm.len() as i32, 1200 + lag);
            assert!(steepest(&pcm) < steepest(&original) * 1.05);
            assert_eq!(pcm.last(), original.last());
        }
    }

    #[test]
    fn what_is_too_short_is_left_alone() {
        let original = wave(300, 100);
        let mut pcm = original.clone();
        splice(&mut pcm, 200);
        splice(&mut pcm, i32::MIN);
        stretch(&mut pcm, 0, 2);
        stretch(&mut pcm, 5000, 2);
        assert_eq!(pcm, original);
    }
}
