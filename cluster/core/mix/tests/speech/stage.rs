//! Who is mixed, and how loud: the stage is obeyed from the next slot on.

use stentor_mix::{Config, Mixer, Participant, Push, Stage};

use crate::{
    measure::{level, sharpest},
    studio::{Arrival, Speech, Studio, name, send, stage, time_of},
};

/// One voice without a pause in it, on the air for two seconds.
fn talking() -> (Speech, Studio) {
    let speech = Speech::demo("a").cut(16, 6);
    let arrivals = vec![send("a", &speech, 3_000, 0)];
    let mut studio = Studio::new(Config::default(), stage(1, &["a"]), arrivals);
    studio.run(100);
    (speech, studio)
}

fn with(version: u64, change: impl Fn(&mut Participant)) -> Stage {
    let mut stage = stage(version, &["a"]);
    stage.participants.iter_mut().for_each(change);
    stage
}

#[test]
fn a_muted_speaker_is_gone_from_the_next_slot_on() {
    let (_, mut studio) = talking();
    studio.mixer.set_stage(with(2, |participant| participant.muted = true));
    studio.run(50);
    for output in &studio.outputs[100..] {
        assert_eq!(output.log.stage_version, 2);
        assert!(output.log.voices.iter().all(|voice| voice.steps.is_empty()), "no packet of it is used");
    }
    assert!(
        studio.outputs[101..].iter().all(|output| output.log.voices.is_empty() && output.captured.is_none())
    );
    assert_eq!(studio.pushes["muted"], 50, "each packet that came meanwhile is refused");
    // The slot itself holds 5 ms of fading, which the encoder's look-ahead of 6.5 ms spreads.
    let heard = studio.heard();
    assert!(level(&heard[98 * 960..100 * 960]) > -40.0);
    assert!(level(&heard[100 * 960 + 700..101 * 960]) < -50.0);
    assert!(level(&heard[102 * 960..]) < -75.0);
    assert!(sharpest(&heard[99 * 960..103 * 960]) < sharpest(&heard[..99 * 960]), "a click");
    // What is said after unmuting is heard, what was said before it is not.
    studio.mixer.set_stage(with(3, |_| {}));
    studio.run(50);
    let heard = studio.heard();
    assert!(level(&heard[156 * 960..]) > -35.0);
    assert_eq!(studio.pushes["queued"], 149);
}

#[test]
fn a_speaker_taken_off_the_stage_is_gone_and_forgotten() {
    let (speech, mut studio) = talking();
    studio.mixer.set_stage(stage(2, &["b"]));
    studio.run(10);
    assert!(studio.outputs[101..].iter().all(|output| output.log.voices.is_empty()));
    assert_eq!(studio.pushes["not_on_stage"], 10);
    // Back on the stage, as a new connection with low numbers.
    studio.mixer.set_stage(stage(3, &["a"]));
    let packet = send("a", &speech, 0, 0)[0].packet.clone();
    assert_eq!(studio.mixer.push(time_of(110), &name("a"), packet), Push::Queued);
}

#[test]
fn nobody_is_mixed_before_there_is_a_stage() {
    let speech = Speech::demo("a").cut(1, 1);
    let mut mixer = Mixer::new(Config::default()).unwrap();
    let Arrival { at, who, packet } = send("a", &speech, 0, 0).remove(0);
    assert_eq!(mixer.push(at, &who, packet), Push::NotOnStage);
}

#[test]
fn a_newer_connection_replaces_an_older_one_at_once() {
    let speech = Speech::demo("a").cut(16, 6);
    let old = send("a", &speech, 3_000, 0);
    // The speaker reconnects after 2 s; its old connection is half dead and goes on in jerks.
    let mut new: Vec<Arrival> = old[100..].to_vec();
    new.iter_mut().zip(0..).for_each(|(arrival, seq)| (arrival.packet.stream, arrival.packet.seq) = (2, seq));
    let mut studio = Studio::new(Config::default(), stage(1, &["a"]), vec![old, new]);
    studio.run(290);
    // From the first packet of the new one on.
    assert!((187..=190).contains(&studio.pushes["old_stream"]), "{:?}", studio.pushes);
    let used: u32 = studio.outputs.iter().map(|output| output.stats.packets).sum();
    assert!((288..=291).contains(&used), "{used}");
    let heard = studio.heard();
    let found = crate::measure::find(&speech.pcm, &heard, 0.5, 0.5, 1.0);
    for piece in found.iter().filter(|piece| !(1.4..2.1).contains(&piece.second)) {
        assert!((33.0..38.0).contains(&piece.delay_ms) && piece.correlation > 0.85, "{piece:?}");
    }
}

#[test]
fn a_participant_s_gain_is_heard_without_a_click() {
    let (speech, mut studio) = talking();
    studio.mixer.set_stage(with(2, |participant| participant.gain_db = -12.0));
    studio.run(100);
    let heard = studio.heard();
    let change = |from: usize, to: usize| {
        level(&heard[from * 960 + 1654..to * 960 + 1654]) - level(&speech.pcm[from * 960..to * 960])
    };
    assert!(change(10, 90).abs() < 0.7, "{}", change(10, 90));
    assert!((change(110, 190) + 12.0).abs() < 0.7, "{}", change(110, 190));
    assert!(sharpest(&heard) < 1.2 * sharpest(&speech.pcm));
}

#[test]
fn a_gain_out_of_all_bounds_is_held_within_them() {
    for gain_db in [f32::NAN, f32::INFINITY, 1e9, -1e9] {
        let (_, mut studio) = talking();
        studio.mixer.set_stage(with(2, |participant| participant.gain_db = gain_db));
        studio.run(50);
        assert!(studio.heard().iter().all(|x| x.abs() < 1.0), "{gain_db}");
    }
}
