//! Speakers whose clock runs at another pace than the room's.

use stentor_mix::Config;

use crate::{
    measure::{find, median, sharpest},
    studio::{Speech, Studio, send, stage},
};

/// All of it at `ppm` parts in a million slower than the room.
fn on_air(speech: &Speech, ppm: i64) -> Studio {
    let mut studio = Studio::new(Config::default(), stage(1, &["a"]), vec![send("a", speech, 3_000, ppm)]);
    studio.run(speech.packets.len() as u64 - 100);
    studio
}

#[test]
fn a_clock_that_is_500_ppm_off_is_followed_for_minutes_unheard() {
    let speech = Speech::demo("a").repeated(2);
    for ppm in [-500, 500] {
        let studio = on_air(&speech, ppm);
        let heard = studio.heard();
        let found = find(&speech.pcm, &heard, 4.0, 0.4, 1.0 + ppm as f64 / 1e6);
        assert!(found.len() > 15);
        for piece in &found {
            assert!(
                (30.0..39.0).contains(&piece.delay_ms) && piece.correlation > 0.7,
                "{ppm} ppm: {piece:?}"
            );
        }
        assert!(median(found.iter().map(|piece| piece.correlation)) > 0.85, "{ppm} ppm");
        // 120 s times 500 ppm are 2880 samples; little more than that is corrected, and nothing is made up.
        let corrected: u32 = studio.outputs.iter().map(|output| output.stats.drift_samples).sum();
        assert!((2600..3600).contains(&corrected), "{ppm} ppm: {corrected} samples corrected");
        let concealed: u32 = studio.outputs[5..].iter().map(|output| output.stats.concealed_samples).sum();
        assert_eq!(concealed, 0, "{ppm} ppm");
        assert!(sharpest(&heard) < 1.3 * sharpest(&speech.pcm), "{ppm} ppm: a click");
    }
}

#[test]
fn a_broken_clock_costs_no_growing_delay() {
    let speech = Speech::demo("b");
    for ppm in [-20_000, -5_000, 5_000, 20_000] {
        let studio = on_air(&speech, ppm);
        let longest = studio.outputs.iter().map(|output| output.stats.delay).max().unwrap();
        assert!(longest.as_millis() < 120, "{ppm} ppm: {longest:?}");
        let used: u32 = studio.outputs.iter().map(|output| output.stats.packets).sum();
        assert!(used as usize >= studio.pushes["queued"] - 10, "{ppm} ppm: {used} of {:?}", studio.pushes);
    }
}
