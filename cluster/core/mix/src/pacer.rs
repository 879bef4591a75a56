//! How long to hold a speaker's packets back: as short as their jitter allows, learned from when they come.
//!
//! Each packet has a *headroom*: how much earlier it came than its audio had to be in the mix. The lowest headroom of the
//! last seconds should be the configured one. If it is higher, the voice is behind for nothing, and samples are
//! dropped; if it is lower, samples are inserted. A clock that runs fast or slow, jitter, and the rest of a burst are all
//! the same thing to it. All values are in samples at 48 kHz.

/// Slots over which the lowest headroom is taken: 2 to 4 s, as two windows of 2 s take turns. Long enough to hold a
/// delay that jitter needs again and again, short enough that what a single stall cost is soon given back.
const WINDOW_SLOTS: u32 = 100;
/// Off by less than this is left alone: 1 ms.
const DEAD_BAND: i64 = 48;
/// Off by more than this, whole pitch periods go at a time: 10 ms.
const COARSE: i64 = 480;
/// Most samples stretched in a slot: 2 are 0.2 %, a thirtieth of a semitone, and follow any clock up to 2000 ppm.
const FINE_STEP: i64 = 2;
/// Slots from one pitch period cut out or repeated to the next: 80 ms, so that a word is not chopped up.
const COARSE_EVERY: u32 = 4;
/// Weight of a new headroom in the average: about 16 packets.
const AVERAGE: i64 = 16;

/// What the pacer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Correction {
    /// Nothing is to be done.
    None,
    /// Stretch (positive) or shorten by so many samples.
    Fine(i32),
    /// Repeat (`true`) or cut out (`false`) one pitch period.
    Coarse { insert: bool },
}

pub(crate) struct Pacer {
    wanted: i64,
    max: i64,
    lowest: [Option<i64>; 2],
    average: Option<i64>,
    /// Jitter below the average that was seen before the speaker last paused.
    learned: i64,
    slots: u32,
    since_coarse: u32,
    correcting: bool,
}

impl Pacer {
    /// Aims at `wanted`; never learns more than `max`.
    pub(crate) fn new(wanted: i64, max: usize) -> Self {
        Self {
            wanted,
            max: max as i64,
            lowest: [None; 2],
            average: None,
            learned: 0,
            slots: 0,
            since_coarse: COARSE_EVERY,
            correcting: false,
        }
    }

    /// A packet came with this headroom. One that came later than half of the bound is as good as lost, and nothing is
    /// learned from it.
    pub(crate) fn observe(&mut self, headroom: i64) {
        if headroom < -self.max / 2 {
            return;
        }
        let lowest = &mut self.lowest[0];
        *lowest = Some(lowest.map_or(headroom, |lowest| lowest.min(headroom)));
        self.average =
            Some(self.average.map_or(headroom, |average| average + (headroom - average) / AVERAGE));
    }

    /// The playout moved by so many samples: away from the packets (positive, they have more headroom) or towards them.
    pub(crate) fn shift(&mut self, samples: i64) {
        for value in self.lowest.iter_mut().chain([&mut self.average]).flatten() {
            *value += samples;
        }
    }

    /// A slot has passed.
    pub(crate) fn slot(&mut self) {
        self.slots += 1;
        self.since_coarse = self.since_coarse.saturating_add(1);
        if self.slots >= WINDOW_SLOTS {
            self.slots = 0;
            self.lowest = [None, self.lowest[0]];
        }
    }

    /// What to do about the headroom now.
    pub(crate) fn correction(&mut self) -> Correction {
        let Some(off) = self.lowest_headroom().map(|lowest| lowest - self.wanted) else {
            return Correction::None;
        };
        if off.abs() > COARSE {
            if self.since_coarse < COARSE_EVERY {
                return Correction::None;
            }
            self.since_coarse = 0;
            return Correction::Coarse { insert: off < 0 };
        }
        // Once begun, go all the way: otherwise the edge of the dead band would be where things come to rest.
        self.correcting = off.abs() > DEAD_BAND || self.correcting && off.abs() >= FINE_STEP;
        if !self.correcting {
            return Correction::None;
        }
        Correction::Fine(-off.clamp(-FINE_STEP, FINE_STEP) as i32)
    }

    /// The headroom that the first packet after a pause should have.
    pub(crate) fn headroom_at_start(&self) -> i64 {
        self.wanted + self.learned
    }

    /// The speaker pauses: keeps what was learned about jitter, forgets the rest.
    pub(crate) fn pause(&mut self) {
        if let (Some(average), Some(lowest)) = (self.average, self.lowest_headroom()) {
            self.learned = (average - lowest).clamp(0, self.max / 2);
        }
        (self.lowest, self.average, self.slots, self.correcting) = ([None; 2], None, 0, false);
    }

    fn lowest_headroom(&self) -> Option<i64> {
        self.lowest.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer() -> Pacer {
        Pacer::new(240, 9600)
    }

    #[test]
    fn nothing_is_done_while_headroom_is_as_wanted() {
        let mut pacer = pacer();
        assert_eq!(pacer.correction(), Correction::None);
        for headroom in [240, 300, 1200, 260] {
            pacer.observe(headroom);
        }
        assert_eq!(pacer.correction(), Correction::None);
    }

    #[test]
    fn a_slow_clock_is_stretched_until_it_is_in_step_again() {
        let mut pacer = pacer();
        pacer.observe(240 - 60);
        let mut inserted = 0;
        while let Correction::Fine(samples) = pacer.correction() {
            inserted += samples;
            pacer.shift(samples.into());
        }
        assert!((59..=60).contains(&inserted), "{inserted}");
    }

    #[test]
    fn what_a_stall_cost_is_given_back_after_the_window() {
        let mut pacer = pacer();
        pacer.observe(240);
        pacer.shift(4800);
        let mut cuts = 0;
        for slot in 0..400 {
            pacer.slot();
            pacer.observe(5040);
            match pacer.correction() {
                Correction::Coarse { insert: false } => {
                    cuts += 1;
                    pacer.shift(-480);
                }
                other => assert!(cuts == 0 || slot > 200 || other == Correction::None, "{other:?} at {slot}"),
            }
            if cuts == 9 {
                return;
            }
        }
        panic!("{cuts} cuts only");
    }

    #[test]
    fn nothing_is_given_up_on_the_word_of_a_few_packets() {
        let mut pacer = pacer();
        pacer.observe(2400);
        assert_eq!(pacer.correction(), Correction::None);
        (0..WINDOW_SLOTS).for_each(|_| pacer.slot());
        assert_eq!(pacer.correction(), Correction::Coarse { insert: false });
    }

    #[test]
    fn jitter_is_remembered_across_a_pause() {
        let mut pacer = pacer();
        for _ in 0..100 {
            pacer.observe(1200);
        }
        pacer.observe(240);
        pacer.pause();
        assert!((900..1200).contains(&pacer.headroom_at_start()), "{}", pacer.headroom_at_start());
    }

    #[test]
    fn one_hopeless_packet_teaches_nothing() {
        let mut pacer = pacer();
        pacer.observe(240);
        pacer.observe(-20_000);
        assert_eq!(pacer.correction(), Correction::None);
    }
}
