//! Keeps the sum of several voices below full scale without distorting it, and leaves one voice alone.
//!
//! The gain is set for each 2.5 ms so that the peak of that stretch and of the next stays under the ceiling;
//! it falls ahead of a peak and rises slowly. The start of a slot cannot be foreseen by the slot before, so
//! what still sticks out there is bent softly. Nothing comes out above [`CEILING`] + [`KNEE`].

/// −2.5 dB of full scale: room for what the encoder adds to peaks (with eight loud voices 2 dB were seen to
/// be too little).
const CEILING: f32 = 0.75;
/// How far above the ceiling the bend reaches, asymptotically: up to −1.5 dB.
const KNEE: f32 = 0.09;
/// 2.5 ms: shorter than what an ear takes as an onset, longer than a half wave of a voice's lowest harmonic
/// matters.
const STRETCH: usize = 120;
/// Share of the way back to full gain that each stretch takes: a time constant of about 200 ms, too slow to
/// be heard as pumping between syllables.
const RELEASE: f32 = 0.0125;

pub(crate) struct Limiter {
    gain: f32,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Works in place on a slot of PCM.
    pub(crate) fn apply(&mut self, pcm: &mut [f32]) {
        let mut rest = pcm;
        while !rest.is_empty() {
            let (stretch, after) = rest.split_at_mut(STRETCH.min(rest.len()));
            let ahead = &after[..STRETCH.min(after.len())];
            let allowed = CEILING / peak(stretch).max(peak(ahead)).max(CEILING);
            let end = if allowed < self.gain { allowed } else { self.gain + (allowed - self.gain) * RELEASE };
            self.ramp(stretch, end);
            rest = after;
        }
    }

    fn ramp(&mut self, stretch: &mut [f32], end: f32) {
        let step = (end - self.gain) / stretch.len() as f32;
        for x in stretch {
            self.gain += step;
            *x = bend(*x * self.gain);
        }
        self.gain = end;
    }
}

fn peak(pcm: &[f32]) -> f32 {
    pcm.iter().fold(0.0, |peak, x| x.abs().max(peak))
}

/// Straight up to the ceiling, then ever flatter.
fn bend(x: f32) -> f32 {
    let over = x.abs() - CEILING;
    if over <= 0.0 { x } else { (CEILING + KNEE * (over / KNEE).tanh()).copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32) -> Vec<f32> {
        (0..960).map(|i| amplitude * (i as f32 * std::f32::consts::TAU / 160.0).sin()).collect()
    }

    #[test]
    fn one_voice_passes_untouched() {
        let mut pcm = sine(0.74);
        Limiter::new().apply(&mut pcm);
        assert_eq!(pcm, sine(0.74));
    }

    #[test]
    fn nothing_comes_out_above_full_scale() {
        for amplitude in [1.0, 2.0, 8.0, 100.0] {
            let mut limiter = Limiter::new();
            for slot in 0..10 {
                let mut pcm = sine(amplitude);
                limiter.apply(&mut pcm);
                assert!(peak(&pcm) <= CEILING + KNEE, "{amplitude}");
                // Once the gain has settled, the wave is scaled and not bent.
                let error = pcm.iter().zip(sine(CEILING)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(slot == 0 || error < 0.02, "{amplitude}: {error}");
            }
        }
    }

    #[test]
    fn the_gain_comes_back_after_a_shout() {
        let mut limiter = Limiter::new();
        limiter.apply(&mut sine(3.0));
        for _ in 0..50 {
            limiter.apply(&mut sine(0.1));
        }
        assert!(limiter.gain > 0.95, "{}", limiter.gain);
    }
}
