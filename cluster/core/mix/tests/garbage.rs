//! Whatever speakers, peers and the network send: nothing panics, and every slot gets its packet.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use stentor_ids::{ParticipantId, SLOT_SAMPLES, Slot};
use stentor_mix::{
    Config, Decoder, HISTORY_SLOTS, History, LogEntry, MAX_PACKET_BYTES, Mixer, Packet, PacketRef,
    Participant, Push, SpeakerPacket, Stage, Step, VoiceLog,
};
use stentor_pace::{Time, WallTime};

/// Longest audio of one speaker held back by a default mixer: 200 ms in the queue, and what is decoded of the
/// last packet.
const MOST_DELAY_MS: u128 = 200 + 120;

fn who(index: u8) -> ParticipantId {
    ParticipantId::new(["a", "b", "c"][usize::from(index % 3)]).unwrap()
}

/// Bytes that look like Opus packets now and then: half of them have a first byte of a duration that is
/// taken.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let likely = (
        prop_oneof![Just(0x78u8), Just(0x08), Just(0xf8), Just(0x18), Just(0x5b), any::<u8>()],
        vec(any::<u8>(), 0..300),
    );
    prop_oneof![
        9 => likely.prop_map(|(toc, mut rest)| { rest.insert(0, toc); rest }),
        1 => vec(any::<u8>(), 0..MAX_PACKET_BYTES + 9),
    ]
}

fn packets() -> impl Strategy<Value = Packet> {
    bytes().prop_filter_map("not a packet", |bytes| Packet::parse(bytes.into()).ok())
}

/// What may happen to a mixer.
#[derive(Debug, Clone)]
enum Event {
    Packet { who: u8, stream: u64, seq: u64, packet: Packet },
    Stage { participants: Vec<(u8, bool, f32)> },
    Monitor { who: u8, on: bool },
    Slots { count: u8 },
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn events() -> impl Strategy<Value = Event> {
    let packet = (any::<u8>(), 0..3u64, numbers(), packets());
    let gain = prop_oneof![-70f32..20.0, Just(f32::NAN), Just(f32::NEG_INFINITY)];
    prop_oneof![
        8 => packet.prop_map(|(who, stream, seq, packet)| Event::Packet { who, stream, seq, packet }),
        1 => vec((any::<u8>(), any::<bool>(), gain), 0..4).prop_map(|participants| Event::Stage { participants }),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(who, on)| Event::Monitor { who, on }),
        4 => (0..8u8).prop_map(|count| Event::Slots { count }),
    ]
}

fn stage(version: u64, participants: &[(u8, bool, f32)]) -> Stage {
    let participant =
        |&(index, muted, gain_db): &(u8, bool, f32)| Participant { id: who(index), muted, gain_db };
    Stage { version, participants: participants.iter().map(participant).collect() }
}

fn steps() -> impl Strategy<Value = Step> {
    let name = (0..2u64, 0..8u64).prop_map(|(stream, seq)| PacketRef { stream, seq });
    prop_oneof![
        name.clone().prop_map(Step::Packet),
        name.prop_map(Step::Fec),
        prop_oneof![0..3000u32, any::<u32>()].prop_map(Step::Conceal),
        prop_oneof![-700..700i32, any::<i32>()].prop_map(Step::Drift),
    ]
}

fn voices() -> impl Strategy<Value = Vec<VoiceLog>> {
    let voice = (any::<u8>(), prop_oneof![0..3000u32, any::<u32>()], vec(steps(), 0..5));
    vec(voice.prop_map(|(index, carried, steps)| VoiceLog { participant: who(index), carried, steps }), 0..4)
}

fn parser_agrees_with_libopus(bytes: &[u8]) {
    let decoded = if bytes.is_empty() { None } else { libopus(bytes) };
    match Packet::parse(Bytes::copy_from_slice(bytes)) {
        Ok(packet) => {
            assert_eq!(decoded, Some(packet.samples()));
            assert_eq!(opusic_c::utils::get_nb_frames(bytes).unwrap(), packet.frames());
            assert_eq!(packet.duration().as_micros() as usize * 48 / 1000, packet.samples());
        }
        Err(error) => {
            let taken = decoded.is_some_and(|samples| [480, 960, 1920, 2880].contains(&samples));
            assert!(!taken || bytes.len() > MAX_PACKET_BYTES, "{error}, but libopus takes it");
        }
    }
}

/// How many samples libopus makes of these bytes.
fn libopus(bytes: &[u8]) -> Option<usize> {
    let mut pcm = [0.0f32; 5760];
    let mut opus = opusic_c::Decoder::new(opusic_c::Channels::Mono, opusic_c::SampleRate::Hz48000).unwrap();
    opus.decode_float_to_slice(bytes, &mut pcm, false).ok()
}

/// A mixer to which things happen, and what it is held to.
struct Room {
    mixer: Mixer,
    stage: Stage,
    slot: u64,
}

impl Room {
    fn new() -> Self {
        let mut room =
            Self { mixer: Mixer::new(Config::default()).unwrap(), stage: Stage::default(), slot: 0 };
        room.set_stage(&[(0, false, 0.0), (1, false, 0.0)]);
        room
    }

    fn now(&self) -> Time {
        Time::from_millis(1000 + self.slot * 20)
    }

    fn set_stage(&mut self, participants: &[(u8, bool, f32)]) {
        self.stage = stage(self.stage.version + 1, participants);
        self.mixer.set_stage(self.stage.clone());
    }

    fn may_speak(&self, who: &ParticipantId) -> bool {
        // Of two entries of one participant the first counts.
        self.stage
            .participants
            .iter()
            .find(|participant| participant.id == *who)
            .is_some_and(|participant| !participant.muted)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Packet { who: index, stream, seq, packet } => {
                let packet = SpeakerPacket { stream, seq, packet, captured: WallTime::from_micros(seq) };
                let push = self.mixer.push(self.now(), &who(index), packet);
                let refused = matches!(push, Push::Muted | Push::NotOnStage);
                assert_eq!(refused, !self.may_speak(&who(index)), "RoleGate");
            }
            Event::Stage { participants } => self.set_stage(&participants),
            Event::Monitor { who: index, on } => self.mixer.monitor(&who(index), on).unwrap(),
            Event::Slots { count } => (0..count).for_each(|_| self.tick()),
        }
    }

    fn tick(&mut self) {
        let output = self.mixer.tick(self.now(), Slot(self.slot)).unwrap();
        self.slot += 1;
        for opus in output.monitors.iter().map(|(_, opus)| opus).chain([&output.opus]) {
            assert_eq!(Packet::parse(opus.clone()).unwrap().samples(), SLOT_SAMPLES);
        }
        assert!(output.stats.delay.as_millis() <= MOST_DELAY_MS, "Bounded: {:?}", output.stats.delay);
        for voice in &output.log.voices {
            assert!(voice.steps.is_empty() || self.may_speak(&voice.participant), "RoleGate");
        }
    }
}

/// Replays `log` with the packets of one speaker, seq 0 to 7 of stream 0 and 1.
fn replay(log: Vec<Vec<VoiceLog>>, packets: Vec<Packet>) {
    let mut history = History::new();
    history.push_stage(stage(1, &[(0, false, 0.0), (1, true, 0.0), (2, false, 3.0)]));
    for (packet, index) in packets.into_iter().zip(0..) {
        let captured = WallTime::default();
        let packet = SpeakerPacket { stream: index / 8, seq: index % 8, packet, captured };
        history.push_packet(Time::from_millis(900), &who(0), packet);
    }
    for (slot, mut voices) in (0..).zip(log) {
        // A log that names packets that are not here is refused as a whole.
        for voice in voices.iter_mut().filter(|voice| voice.participant != who(0)) {
            voice.steps.retain(|step| !matches!(step, Step::Packet(_) | Step::Fec(_)));
        }
        history.push_log(LogEntry { slot: Slot(slot), stage_version: 1, voices });
    }
    let (config, next) = (Config::default(), history.last_slot().unwrap().next());
    let mut mixer = Mixer::replay(config, &history, Time::from_millis(1000), HISTORY_SLOTS).unwrap();
    for slot in 0..5 {
        let output = mixer.tick(Time::from_millis(1020 + slot * 20), next.plus(slot)).unwrap();
        assert_eq!(Packet::parse(output.opus).unwrap().samples(), SLOT_SAMPLES);
    }
}

fn decode(calls: Vec<(Packet, u8, usize)>) {
    let (mut decoder, mut pcm) = (Decoder::new().unwrap(), Vec::new());
    for (packet, call, samples) in calls {
        let before = pcm.len();
        let (done, expected) = match call {
            0 => (decoder.conceal(samples, &mut pcm), samples.min(2880)),
            1 => (decoder.recover(&packet, &mut pcm), packet.samples()),
            _ => (decoder.decode(&packet, &mut pcm), packet.samples()),
        };
        done.unwrap();
        assert_eq!(pcm.len() - before, expected);
    }
    assert!(pcm.iter().all(|x| x.is_finite()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parser_and_libopus_agree(bytes in bytes()) {
        parser_agrees_with_libopus(&bytes);
    }

    #[test]
    fn a_decoder_gives_what_is_asked_for_whatever_came_before(
        calls in vec((packets(), 0..4u8, 0..3000usize), 1..20),
    ) {
        decode(calls);
    }

    #[test]
    fn every_slot_gets_its_packet_whatever_happens(events in vec(events(), 1..120)) {
        let mut room = Room::new();
        events.into_iter().for_each(|event| room.happen(event));
    }

    #[test]
    fn a_peer_s_log_cannot_break_a_mirror(
        log in vec(voices(), HISTORY_SLOTS..HISTORY_SLOTS + 5),
        packets in vec(packets(), 16),
    ) {
        replay(log, packets);
    }
}

#[test]
fn every_short_packet_is_judged_as_libopus_judges_it() {
    for toc in 0..=255u8 {
        for second in
            [None, Some(0), Some(1), Some(3), Some(0x42), Some(0x81), Some(0xc3), Some(252), Some(255)]
        {
            for padding in 0..4 {
                let bytes: Vec<u8> = [toc].into_iter().chain(second).chain(vec![1; padding]).collect();
                parser_agrees_with_libopus(&bytes);
            }
        }
    }
}
