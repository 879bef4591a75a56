//! Speakers on networks that lose, repeat, reorder and delay.

use std::time::Duration;

use bytes::Bytes;
use stentor_mix::{Config, EncoderConfig, Packet, Step};
use stentor_pace::Time;

use crate::{
    measure::{Found, find, level, median, segmental_snr, sharpest},
    studio::{Arrival, Chance, Speech, Studio, send, stage},
};

/// 20 s of one voice, and its packets on a good network.
fn voice() -> (Speech, Vec<Arrival>) {
    let speech = Speech::demo("a").cut(0, 20);
    let packets = send("a", &speech, 3_000, 0);
    (speech, packets)
}

fn room(config: Config, arrivals: Vec<Arrival>) -> Studio {
    let mut studio = Studio::new(config, stage(1, &["a"]), vec![arrivals]);
    studio.run(1050);
    studio
}

fn pieces(speech: &Speech, studio: &Studio) -> Vec<Found> {
    find(&speech.pcm, &studio.heard(), 0.5, 0.5, 1.0)
}

fn recovered(studio: &Studio) -> u32 {
    studio.outputs.iter().map(|output| output.stats.recovered).sum()
}

#[test]
fn lost_packets_are_concealed_and_cost_no_delay() {
    let (speech, clean) = voice();
    let mut chance = Chance(7);
    let lossy: Vec<Arrival> = clean.into_iter().filter(|_| !chance.percent(5)).collect();
    let lost = speech.packets.len() - lossy.len();
    let studio = room(Config::default(), lossy);
    assert!((40..70).contains(&lost));
    for piece in pieces(&speech, &studio) {
        assert!((33.0..36.0).contains(&piece.delay_ms) && piece.correlation > 0.65, "{piece:?}");
    }
    let concealed: u32 = studio.outputs.iter().map(|output| output.stats.concealed_samples).sum();
    let concealed = concealed as usize / 960;
    assert!((lost..lost + 10).contains(&concealed), "{concealed} concealed of {lost}");
    assert!(sharpest(&studio.heard()) < 1.3 * sharpest(&speech.pcm), "a click");
}

#[test]
fn redundancy_recovers_what_was_lost_where_there_is_time_for_it() {
    let (speech, _) = voice();
    let speech = speech.encoded(960, EncoderConfig { expected_loss_percent: 15, ..EncoderConfig::default() });
    let mut chance = Chance(7);
    let sent = send("a", &speech, 3_000, 0);
    let lossy: Vec<Arrival> = sent.into_iter().filter(|_| !chance.percent(5)).collect();
    let lost = speech.packets.len() - lossy.len();
    let quality = |headroom_ms| {
        let studio = room(Config { headroom_ms, ..Config::default() }, lossy.clone());
        let heard = studio.heard();
        let delay = crate::measure::delay(&speech.pcm[..240_000], &heard, 9600);
        (recovered(&studio), segmental_snr(&speech.pcm, &heard[delay..]))
    };
    let (thin, deep) = (quality(5), quality(25));
    assert_eq!(thin.0, 0, "the next packet is not there yet when the lost one is needed");
    assert!(deep.0 as usize > lost * 8 / 10, "{} of {lost}", deep.0);
    assert!(deep.1 > thin.1 + 0.3, "{deep:?} {thin:?}");
}

#[test]
fn repeated_packets_change_nothing() {
    let (_, clean) = voice();
    let once = room(Config::default(), clean.clone());
    let twice = clean.iter().flat_map(|arrival| {
        let again =
            Arrival { at: arrival.at + Duration::from_millis(arrival.packet.seq % 90), ..arrival.clone() };
        [arrival.clone(), again]
    });
    let twice = room(Config::default(), twice.collect());
    assert_eq!((twice.pushes["queued"], twice.pushes["duplicate"]), (1000, 1000));
    assert!(once.outputs.iter().zip(&twice.outputs).all(|(a, b)| a.opus == b.opus && a.log == b.log));
}

#[test]
fn jitter_and_reordering_are_waited_out() {
    let (speech, clean) = voice();
    for jitter in [10, 30, 60] {
        let mut chance = Chance(9);
        let late = |arrival: &Arrival, wait| Arrival {
            at: arrival.at + Duration::from_micros(wait),
            ..arrival.clone()
        };
        let jittery = clean.iter().map(|arrival| late(arrival, chance.below(jitter * 1000)));
        let studio = room(Config::default(), jittery.collect());
        let settled = pieces(&speech, &studio).into_iter().filter(|piece| piece.second > 4.0);
        for piece in settled {
            let most = 37.0 + jitter as f32;
            assert!(
                (34.0..most).contains(&piece.delay_ms) && piece.correlation > 0.85,
                "{jitter} ms: {piece:?}"
            );
        }
        let concealed =
            |from: usize| studio.outputs[from..1000].iter().map(|o| o.stats.concealed_samples).sum::<u32>();
        assert!(
            concealed(0) < 960 * 8 && concealed(200) == 0,
            "{jitter} ms: {} {}",
            concealed(0),
            concealed(200)
        );
    }
}

#[test]
fn a_stall_is_caught_up_with() {
    let (speech, mut arrivals) = voice();
    // From second 5 on nothing for 400 ms, then all of it at once.
    let end = arrivals[270].at;
    arrivals[250..270].iter_mut().for_each(|arrival| arrival.at = end);
    let studio = room(Config::default(), arrivals);
    assert!(studio.outputs.iter().all(|output| output.stats.delay <= Duration::from_millis(240)));
    assert!(studio.outputs[275].stats.delay >= Duration::from_millis(150), "what came late is heard");
    let after = pieces(&speech, &studio);
    let caught_up: Vec<&Found> = after.iter().filter(|piece| piece.second > 12.0).collect();
    assert!(caught_up.len() > 8);
    for piece in caught_up {
        assert!((33.0..37.0).contains(&piece.delay_ms) && piece.correlation > 0.85, "{piece:?}");
    }
    assert!(sharpest(&studio.heard()) < 1.3 * sharpest(&speech.pcm), "a click");
}

#[test]
fn spikes_of_delay_on_an_ordered_link_lose_nothing() {
    let (speech, clean) = voice();
    let (mut chance, mut last) = (Chance(9), Time::default());
    let spiky = clean.iter().map(|arrival| {
        let wait = if chance.percent(5) { chance.below(80_000) } else { 0 };
        last = last.max(arrival.at + Duration::from_micros(wait));
        Arrival { at: last, ..arrival.clone() }
    });
    let studio = room(Config::default(), spiky.collect());
    assert_eq!(studio.pushes["queued"], 1000);
    assert!(studio.outputs.iter().all(|output| output.stats.delay < Duration::from_millis(120)));
    let likeness = median(pieces(&speech, &studio).iter().map(|piece| piece.correlation));
    assert!(likeness > 0.8, "{likeness}");
}

#[test]
fn a_speaker_who_vanishes_in_the_middle_of_a_word_fades_and_costs_nothing() {
    let (speech, mut arrivals) = voice();
    let loud = |i: usize| level(&speech.pcm[i * 960..(i + 2) * 960]) > -25.0;
    let last = (300..).find(|i| loud(*i)).unwrap();
    arrivals.truncate(last + 2);
    let studio = room(Config::default(), arrivals);
    let heard = studio.heard();
    assert!(level(&heard[(last + 2) * 960..(last + 3) * 960]) > -30.0);
    // Two slots on the way and 80 ms of fading.
    assert!(level(&heard[(last + 9) * 960..]) < -75.0);
    assert!(studio.outputs[last + 9..].iter().all(|output| output.log.voices.is_empty()));
    assert!(sharpest(&heard[(last - 5) * 960..]) < sharpest(&heard[..last * 960]), "a click");
}

#[test]
fn pauses_of_an_encoder_in_dtx_are_silence() {
    let (_, clean) = voice();
    // An encoder in DTX sends a frame without content now and then: in place of second 5 to 8 one in 400 ms.
    let pause = Packet::parse(Bytes::from_static(&[0x78])).unwrap();
    assert!(pause.is_dtx() && pause.samples() == 960);
    let mut seq = 0;
    let sparse = clean.into_iter().enumerate().filter_map(|(i, mut arrival)| {
        if (250..400).contains(&i) {
            if i % 20 != 0 {
                return None;
            }
            arrival.packet.packet = pause.clone();
        }
        (arrival.packet.seq, seq) = (seq, seq + 1);
        Some(arrival)
    });
    let studio = room(Config::default(), sparse.collect());
    let heard = studio.heard();
    assert!(level(&heard[260 * 960..399 * 960]) < -75.0);
    let quiet = &studio.outputs[260..399];
    assert!(quiet.iter().all(|output| output.log.voices.is_empty()), "nothing is decoded in a pause");
    let resumed =
        studio.outputs[400..404].iter().flat_map(|output| &output.log.voices).flat_map(|voice| &voice.steps);
    assert!(matches!(resumed.clone().next(), Some(Step::Conceal(_))), "headroom is made anew");
    assert_eq!(resumed.filter(|step| matches!(step, Step::Packet(_))).count(), 2 + 1);
}
