//! Speakers on a good network.

use stentor_mix::{Config, LogEntry, Packet, SILENCE};

use crate::{
    measure::{correlation, delay, envelope, find, level, peak},
    studio::{Speech, Studio, hear, name, send, stage, sum, wall_of},
};

/// Delay that Opus itself adds when the room's audio is encoded: 6.5 ms.
const ENCODER_DELAY: f32 = 6.5;

/// The two demo voices, on the air for a minute, their packets 3 ms after each slot.
fn conversation() -> (Speech, Speech, Studio) {
    let (a, b) = (Speech::demo("a"), Speech::demo("b"));
    let arrivals = vec![send("a", &a, 3_000, 0), send("b", &b, 3_000, 0)];
    let mut studio = Studio::new(Config::default(), stage(1, &["a", "b"]), arrivals);
    studio.mixer.monitor(&name("b"), true).unwrap();
    studio.run(3020);
    (a, b, studio)
}

#[test]
fn a_listener_hears_what_was_said() {
    let (a, b, studio) = conversation();
    let (said, heard) = (sum(&[&a, &b]), studio.heard());
    let delay = delay(&said[..480_000], &heard, 9600);
    // A single coding of the same mix by the same encoder comes to 0.952.
    let likeness = correlation(&said, &heard[delay..]);
    assert!(likeness > 0.94, "correlation {likeness}");
    let gain = level(&heard) - level(&said);
    assert!(gain.abs() < 0.5, "{gain} dB louder");
    let ms = delay as f32 / 48.0 - ENCODER_DELAY;
    assert!((27.0..29.0).contains(&ms), "3 ms on the way, 20 ms for a slot, 5 ms headroom: {ms}");
    // Wherever 300 ms of silence were said, the middle of it is silent, and only there.
    let (said, heard) = (envelope(&said), envelope(&heard[delay..]));
    let silent = said.windows(3).zip(&heard[1..]).filter(|(said, _)| said.iter().all(|x| *x < -75.0));
    let silent: Vec<f32> = silent.map(|(_, heard)| *heard).collect();
    assert!(silent.len() > 20 && silent.iter().all(|x| *x < -75.0), "{silent:?}");
    let spoken = said.iter().zip(&heard).filter(|(said, _)| **said > -40.0);
    assert!(spoken.clone().count() > 300);
    spoken.for_each(|(said, heard)| assert!((said - heard).abs() < 6.0, "{said} dBov said, {heard} heard"));
}

#[test]
fn each_slot_tells_when_its_speech_was_captured() {
    let (.., studio) = conversation();
    for output in &studio.outputs[5..2990] {
        let age = wall_of(output.log.slot.0).since(output.captured.unwrap());
        assert!((20..=30).contains(&age.as_millis()), "{age:?} at slot {}", output.log.slot);
    }
    assert_eq!(studio.outputs.last().unwrap().captured, None, "nobody speaks any more");
}

#[test]
fn talkers_are_named_while_they_speak() {
    let (a, b, studio) = conversation();
    let (mut talking, mut silent) = (0, 0);
    for (who, speech) in [("a", &a), ("b", &b)] {
        let levels = speech.pcm.chunks_exact(960).map(level).collect::<Vec<_>>();
        for slot in 50..levels.len() {
            // A slot plays the end of the frame two before it and the start of the one after that.
            let (played, recent) = (&levels[slot - 2..slot], &levels[slot - 50..slot]);
            let named = studio.outputs[slot].talkers.iter().find(|talker| talker.participant == name(who));
            if played.iter().all(|level| *level > -40.0) {
                let shown = f32::from(named.unwrap().level_dbov);
                let loudest = recent.iter().copied().fold(f32::MIN, f32::max);
                assert!((-48.0..loudest + 3.0).contains(&shown), "{who} at {slot}: {shown} of {loudest}");
                talking += 1;
            } else if recent.iter().all(|level| *level < -60.0) {
                assert_eq!(named, None, "{who} at {slot}");
                silent += 1;
            }
        }
    }
    assert!(talking > 1500 && silent > 500, "{talking} {silent}");
}

#[test]
fn a_speaker_hears_the_others_and_not_itself() {
    let (a, b, studio) = conversation();
    let packets = studio.outputs.iter().map(|output| {
        assert_eq!(output.monitors.len(), 1);
        assert_eq!(output.monitors[0].0, name("b"));
        &output.monitors[0].1
    });
    let heard = hear(packets);
    let delay = delay(&a.pcm[..480_000], &heard, 9600);
    assert!(correlation(&a.pcm, &heard[delay..]) > 0.94);
    assert!(correlation(&b.pcm, &heard[delay..]).abs() < 0.02);
}

#[test]
fn packets_of_all_lengths_sound_alike() {
    let original = Speech::demo("a").cut(0, 15);
    for samples in [480, 960, 1920, 2880] {
        let speech = original.in_packets_of(samples);
        let mut studio = Studio::new(Config::default(), stage(1, &["a"]), vec![send("a", &speech, 1_000, 0)]);
        let heard = studio.run(780).heard();
        let found = find(&speech.pcm, &heard, 1.0, 1.0, 1.0);
        assert!(found.len() > 8);
        for piece in found {
            let ms = piece.delay_ms - ENCODER_DELAY;
            assert!((25.0..27.5).contains(&ms) && piece.correlation > 0.9, "{samples}: {piece:?}");
        }
        let stats = studio.outputs.iter().map(|output| output.stats).reduce(|mut sum, stats| {
            sum.packets += stats.packets;
            sum.drift_samples += stats.drift_samples;
            sum
        });
        let stats = stats.unwrap();
        assert_eq!((stats.packets as usize, stats.drift_samples), (speech.packets.len(), 0), "{samples}");
    }
}

#[test]
fn silence_is_cheap_and_speech_after_it_begins_whole() {
    let speech = Speech::demo("a").cut(1, 3);
    let mut late = send("a", &speech, 3_000, 0);
    late.iter_mut().for_each(|arrival| arrival.at = arrival.at + std::time::Duration::from_secs(4));
    let mut studio = Studio::new(Config::default(), stage(1, &["a"]), vec![late]);
    studio.run(360);
    for (slot, output) in studio.outputs[..200].iter().enumerate() {
        let packet = Packet::parse(output.opus.clone()).unwrap();
        assert_eq!((packet.samples(), packet.is_stereo()), (960, false));
        assert_eq!(output.opus == SILENCE, slot >= 10, "at first silence is encoded, then it is a constant");
        assert_eq!(output.log, LogEntry { slot: output.log.slot, stage_version: 1, voices: Vec::new() });
    }
    let heard = studio.heard();
    assert!(peak(&heard[..4 * 48_000]) < 1e-4);
    // The first word, from its first 100 ms on.
    let delay = delay(&speech.pcm[..96_000], &heard[4 * 48_000..], 4800);
    for start in [0, 4800, 9600] {
        let said = &speech.pcm[start..start + 4800];
        let found = correlation(said, &heard[4 * 48_000 + delay + start..]);
        assert!(found > 0.85 || level(said) < -50.0, "{found} at {start}");
    }
}

#[test]
fn eight_loud_talkers_do_not_clip() {
    let loud = |from| {
        let mut speech = Speech::demo("a").cut(from, 12);
        let gain = 0.98 / peak(&speech.pcm);
        speech.pcm.iter_mut().for_each(|x| *x *= gain);
        speech.in_packets_of(960)
    };
    let names = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let voices: Vec<Speech> = (0..8).map(|k| loud(k * 5)).collect();
    let arrivals = names.iter().zip(&voices).map(|(who, voice)| send(who, voice, 3_000, 0)).collect();
    let mut studio = Studio::new(Config::default(), stage(1, &names), arrivals);
    let heard = studio.run(630).heard();
    let said = sum(&voices.iter().collect::<Vec<_>>());
    assert!(peak(&said) > 1.5, "{}", peak(&said));
    // The encoder adds a little to the limiter's ceiling.
    assert!(peak(&heard) < 1.0, "{}", peak(&heard));
    let delay = delay(&said[..240_000], &heard, 9600);
    let likeness = correlation(&said, &heard[delay..]);
    assert!(likeness > 0.85, "{likeness}");
}
