//! How loud a speaker is, in dBov (RFC 6464, section 3: 0 is the overload point, −127 is silence).

/// What silence measures.
pub(crate) const SILENT_DBOV: f32 = -127.0;

/// How fast a shown level falls: 1 dB a slot bridges the gaps between syllables and still ends soon after
/// speech does.
const RELEASE_DB_PER_SLOT: f32 = 1.0;

/// A level that rises at once and falls slowly.
pub(crate) struct Meter {
    dbov: f32,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { dbov: SILENT_DBOV }
    }

    /// Takes one slot of PCM (an empty one is silence) and gives the level, −127 to 0.
    pub(crate) fn measure(&mut self, pcm: &[f32]) -> i8 {
        let power = pcm.iter().map(|x| x * x).sum::<f32>() / pcm.len().max(1) as f32;
        let dbov = if power > 0.0 { 10.0 * power.log10() } else { SILENT_DBOV };
        self.dbov = dbov.max(self.dbov - RELEASE_DB_PER_SLOT).clamp(SILENT_DBOV, 0.0);
        self.dbov.round() as i8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_scale_sine_measures_minus_three_dbov() {
        let sine: Vec<f32> = (0..960).map(|i| (i as f32 * std::f32::consts::TAU / 96.0).sin()).collect();
        let mut meter = Meter::new();
        assert_eq!(meter.measure(&sine), -3);
        assert_eq!(meter.measure(&[0.0; 960]), -4, "the level falls by 1 dB a slot");
        assert_eq!((0..200).map(|_| meter.measure(&[])).last(), Some(-127));
    }
}
