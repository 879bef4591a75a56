//! What a slot costs: `cargo run --release -p stentor-mix --example cost`.
//!
//! Mixes the demo's two voices as fast as it goes, and prints the time of a tick and of a cold start.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "run by hand")]

use std::time::{Duration, Instant};

use stentor_ids::{ParticipantId, Slot};
use stentor_mix::{Config, HISTORY_SLOTS, History, Mixer, Packet, Participant, SpeakerPacket, Stage};
use stentor_pace::{Time, WallTime};

/// 20 s: the cold start at the end is then in the middle of a sentence.
const SLOTS: u64 = 1000;

fn demo(voice: &str) -> Vec<Packet> {
    let path = format!("{}/../../../services/node/demo/voice-{voice}.ogg", env!("CARGO_MANIFEST_DIR"));
    let mut reader = ogg::PacketReader::new(std::fs::File::open(path).unwrap());
    let packets = std::iter::from_fn(|| reader.read_packet().unwrap()).skip(2);
    packets.map(|packet| Packet::parse(packet.data.into()).unwrap()).collect()
}

/// Median time of a tick, which what else runs on the machine hardly moves, and of a cold start at the end.
fn measure(config: Config, voices: &[(ParticipantId, Vec<Packet>)], monitors: bool) -> (Duration, Duration) {
    let mut mixer = Mixer::new(config).unwrap();
    let mut history = History::new();
    let stage = Stage {
        version: 1,
        participants: voices.iter().map(|(who, _)| Participant::open(who.clone())).collect(),
    };
    history.push_stage(stage.clone());
    mixer.set_stage(stage);
    for (who, _) in voices {
        mixer.monitor(who, monitors).unwrap();
    }
    let time = |slot: u64| Time::from_millis(1000 + slot * 20);
    let mut spent = Vec::new();
    for slot in 0..SLOTS {
        for (who, packets) in voices {
            let packet = packets[slot as usize].clone();
            let packet = SpeakerPacket { stream: 1, seq: slot, packet, captured: WallTime::default() };
            history.push_packet(time(slot), who, packet.clone());
            mixer.push(time(slot), who, packet);
        }
        let start = Instant::now();
        let output = mixer.tick(time(slot), Slot(slot)).unwrap();
        spent.push(start.elapsed());
        history.push_log(output.log);
    }
    let start = Instant::now();
    Mixer::replay(config, &history, time(SLOTS - 1), HISTORY_SLOTS).unwrap();
    let cold = start.elapsed();
    spent.sort();
    (spent[spent.len() / 2], cold)
}

fn main() {
    let voices = ["a", "b"].map(|voice| (ParticipantId::new(voice).unwrap(), demo(voice)));
    let cases = [(5, 2, false), (8, 2, false), (10, 2, false), (5, 2, true), (5, 1, false), (5, 0, false)];
    for (complexity, speakers, monitors) in cases {
        let config = Config { complexity, ..Config::default() };
        let (slot, cold) = measure(config, &voices[..speakers], monitors);
        println!(
            "complexity {complexity}, {speakers} speakers, monitors {monitors}: {slot:?} a slot, cold start {cold:?}"
        );
    }
}
