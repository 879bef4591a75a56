//! How long to hold a speaker's packets back: as short as their jitter allows, learned from when they come.
//!
//! Each packet has a *headroom*: how much earlier it came than its audio had to be in the mix. The lowest
//! headroom of the last seconds should be the configured one. If it is higher, the voice is behind for
//! nothing, and samples are dropped; if it is lower, samples are inserted. A clock that runs fast or slow,
//! jitter, and the rest of a burst are all the same thing to it. All values are in samples at 48 kHz.

use stentor_ids::SLOT_SAMPLES;

/// Slots over which the lowest headroom is taken: 2 to 4 s, as two windows of 2 s take turns. Long enough to
/// hold a delay that jitter needs again and again, short enough that what a single stall cost is soon given
/// back.
const WINDOW_SLOTS: u32 = 100;
/// Off by less than this is left alone: 0.25 ms.
const DEAD_BAND: i64 = 12;
/// Off by more than this, whole pitch periods go at a time: 5 ms, two of the shortest periods.
const COARSE: i64 = 240;
/// A slot takes so small a share of what is off: a time constant of 2 s, so that the pitch of a voice whose
/// clock is off is steady.
const SHARE: i64 = 96;
/// Most samples stretched for 20 ms: 2 are 0.2 %, a thirtieth of a semitone, and follow any clock up to 2000
/// ppm.
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
    /// Repeat one pitch period.
    Repeat,
    /// Cut out one pitch period of at most so many samples.
    Cut(usize),
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
    /// Share of the correction that did not make a whole sample yet, in 1/(`SHARE` · 960).
    due: i64,
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
            due: 0,
        }
    }

    /// A packet came with this headroom. One that came later than half of the bound is as good as lost, and
    /// nothing is learned from it.
    pub(crate) fn observe(&mut self, headroom: i64) {
        if headroom < -self.max / 2 {
            return;
        }
        let lowest = &mut self.lowest[0];
        *lowest = Some(lowest.map_or(headroom, |lowest| lowest.min(headroom)));
        self.average =
            Some(self.average.map_or(headroom, |average| average + (headroom - average) / AVERAGE));
    }

    /// The playout moved by so many samples: away from the packets (positive, they have more headroom) or
    /// towards them.
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

    /// What to do about the headroom with a packet of `samples`.
    pub(crate) fn correction(&mut self, samples: usize) -> Correction {
        let Some(lowest) = self.lowest_headroom() else { return Correction::None };
        let off = lowest - self.wanted;
        // Few packets say nothing about the jitter to come: nothing is given up before a whole window was
        // seen.
        if off.abs() < DEAD_BAND || off > 0 && self.lowest[1].is_none() {
            return Correction::None;
        }
        if off.abs() > COARSE {
            if self.since_coarse < COARSE_EVERY {
                return Correction::None;
            }
            self.since_coarse = 0;
            return if off < 0 { Correction::Repeat } else { Correction::Cut(off as usize) };
        }
        let sample = SHARE * SLOT_SAMPLES as i64;
        self.due += off.clamp(-FINE_STEP * SHARE, FINE_STEP * SHARE) * samples as i64;
        let whole = self.due / sample;
        self.due -= whole * sample;
        if whole == 0 { Correction::None } else { Correction::Fine(-whole as i32) }
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
        (self.lowest, self.average, self.slots, self.due) = ([None; 2], None, 0, 0);
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
        assert_eq!(pacer.correction(960), Correction::None);
        for headroom in [240, 300, 1200, 260] {
            pacer.observe(headroom);
        }
        assert_eq!(pacer.correction(960), Correction::None);
    }

    #[test]
    fn a_clock_that_is_off_is_followed_at_a_steady_pace() {
        for ppm in [-1500i64, -300, 300, 1500] {
            let (mut pacer, mut corrected, mut last) = (pacer(), 0, 0);
            // Each slot the packets come a little later or earlier against the room's clock.
            for slot in 0..3000 {
                pacer.slot();
                pacer.observe(240 - slot * 960 * ppm / 1_000_000 + corrected);
                if let Correction::Fine(samples) = pacer.correction(960) {
                    corrected += i64::from(samples);
                    pacer.shift(samples.into());
                }
                if slot == 1500 {
                    last = corrected;
                }
            }
            let pace = (corrected - last) * 1_000_000 / (1500 * 960);
            assert!((pace - ppm).abs() < 60, "{pace} for {ppm}");
        }
    }

    #[test]
    fn what_a_stall_cost_is_given_back_after_the_window() {
        let mut pacer = pacer();
        let mut headroom = 240 + 4800;
        pacer.observe(240);
        for slot in 0..400 {
            pacer.slot();
            pacer.observe(headroom);
            match pacer.correction(960) {
                Correction::Cut(most) => {
                    assert!(slot > 99, "too early");
                    let cut = most.min(480) as i64;
                    headroom -= cut;
                    pacer.shift(-cut);
                }
                Correction::Fine(by) => {
                    headroom += i64::from(by);
                    pacer.shift(by.into());
                }
                Correction::None => {}
                Correction::Repeat => panic!("grows"),
            }
        }
        assert!((240..500).contains(&headroom), "{headroom}");
    }

    #[test]
    fn nothing_is_given_up_on_the_word_of_a_few_packets() {
        let mut pacer = pacer();
        pacer.observe(2400);
        assert_eq!(pacer.correction(960), Correction::None);
        (0..WINDOW_SLOTS).for_each(|_| pacer.slot());
        assert_eq!(pacer.correction(960), Correction::Cut(2160));
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
        assert_eq!(pacer.correction(960), Correction::None);
    }
}
