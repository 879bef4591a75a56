//! Real speech, speakers who send it over a network that can be as bad as a test wants, and a room that hears
//! them.

use std::collections::BTreeMap;

use bytes::Bytes;
use stentor_ids::{ParticipantId, SLOT_SAMPLES, Slot};
use stentor_mix::{
    Config, Decoder, Encoder, EncoderConfig, Mixer, Packet, Participant, Push, SlotOutput, SpeakerPacket,
    Stage,
};
use stentor_pace::{Time, WallTime};

/// When slot 0 is mixed.
const START: Time = Time::from_millis(10_000);
const START_WALL: WallTime = WallTime::from_millis(1_700_000_000_000);

pub(crate) fn name(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

/// The time of a slot.
pub(crate) fn time_of(slot: u64) -> Time {
    START + Slot(slot).offset()
}

pub(crate) fn stage(version: u64, names: &[&str]) -> Stage {
    Stage { version, participants: names.iter().map(|who| Participant::open(name(who))).collect() }
}

/// Something said: as packets, and as what they decode to.
#[derive(Clone)]
pub(crate) struct Speech {
    pub(crate) packets: Vec<Packet>,
    pub(crate) pcm: Vec<f32>,
}

impl Speech {
    /// One of the two demo voices, `a` or `b`: 60 s in packets of 20 ms.
    pub(crate) fn demo(voice: &str) -> Self {
        let path = format!("{}/../../../services/node/demo/voice-{voice}.ogg", env!("CARGO_MANIFEST_DIR"));
        let mut reader = ogg::PacketReader::new(std::fs::File::open(path).unwrap());
        let packets = std::iter::from_fn(|| reader.read_packet().unwrap())
            .skip(2) // OpusHead and OpusTags.
            .map(|packet| Packet::parse(packet.data.into()).unwrap());
        Self::of(packets.collect())
    }

    pub(crate) fn of(packets: Vec<Packet>) -> Self {
        let mut pcm = Vec::new();
        let mut decoder = Decoder::new().unwrap();
        packets.iter().for_each(|packet| decoder.decode(packet, &mut pcm).unwrap());
        Self { packets, pcm }
    }

    /// The same words in packets of `samples`.
    pub(crate) fn in_packets_of(&self, samples: usize) -> Self {
        self.encoded(samples, EncoderConfig { bitrate_bps: 48_000, ..EncoderConfig::default() })
    }

    pub(crate) fn encoded(&self, samples: usize, config: EncoderConfig) -> Self {
        let mut encoder = Encoder::new(config).unwrap();
        let packets =
            self.pcm.chunks_exact(samples).map(|pcm| Packet::parse(encoder.encode(pcm).unwrap()).unwrap());
        Self::of(packets.collect())
    }

    /// From second `from` for `seconds`.
    pub(crate) fn cut(&self, from: usize, seconds: usize) -> Self {
        let each = self.packets[0].samples();
        let per_second = 48_000 / each;
        Self::of(self.packets[from * per_second..(from + seconds) * per_second].to_vec())
    }

    /// The same over and over, `times` times.
    pub(crate) fn repeated(&self, times: usize) -> Self {
        Self::of(vec![self.packets.clone(); times].concat())
    }
}

/// A packet on its way.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) at: Time,
    pub(crate) who: ParticipantId,
    pub(crate) packet: SpeakerPacket,
}

/// A speaker's packets as they reach the mixer: each `phase_us` plus its own play time after slot 0, on a
/// clock that is `ppm` slow (positive) or fast.
pub(crate) fn send(who: &str, speech: &Speech, phase_us: u64, ppm: i64) -> Vec<Arrival> {
    let mut position = 0;
    let each = speech.packets.iter().zip(0..).map(|(packet, seq)| {
        let nominal = position as i64 * 1000 / 48;
        let offset =
            std::time::Duration::from_micros((nominal + nominal * ppm / 1_000_000) as u64 + phase_us);
        position += packet.samples();
        let packet = SpeakerPacket { stream: 1, seq, packet: packet.clone(), captured: START_WALL + offset };
        Arrival { at: START + offset, who: name(who), packet }
    });
    each.collect()
}

/// The wall time at which slot `slot` is mixed.
pub(crate) fn wall_of(slot: u64) -> WallTime {
    START_WALL + Slot(slot).offset()
}

/// A small generator of chance, so that a test is the same each time (xorshift64*).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A room that is fed and heard.
pub(crate) struct Studio {
    pub(crate) mixer: Mixer,
    pub(crate) slot: u64,
    pub(crate) outputs: Vec<SlotOutput>,
    pub(crate) pushes: BTreeMap<&'static str, usize>,
    arrivals: std::vec::IntoIter<Arrival>,
}

impl Studio {
    pub(crate) fn new(config: Config, stage: Stage, arrivals: Vec<Vec<Arrival>>) -> Self {
        let mut mixer = Mixer::new(config).unwrap();
        mixer.set_stage(stage);
        let mut arrivals = arrivals.concat();
        arrivals.sort_by_key(|arrival| arrival.at);
        Self { mixer, slot: 0, outputs: Vec::new(), pushes: BTreeMap::new(), arrivals: arrivals.into_iter() }
    }

    /// Runs until `slot` is the next one, handing each arrival to `seen` as well.
    pub(crate) fn run_to(&mut self, slot: u64, mut seen: impl FnMut(&Arrival)) -> &mut Self {
        while self.slot < slot {
            let now = time_of(self.slot);
            while self.arrivals.as_slice().first().is_some_and(|arrival| arrival.at <= now) {
                let arrival = self.arrivals.next().unwrap();
                seen(&arrival);
                let push: Push = self.mixer.push(arrival.at, &arrival.who, arrival.packet);
                *self.pushes.entry(push.as_str()).or_default() += 1;
            }
            self.outputs.push(self.mixer.tick(now, Slot(self.slot)).unwrap());
            self.slot += 1;
        }
        self
    }

    pub(crate) fn run(&mut self, slots: u64) -> &mut Self {
        self.run_to(self.slot + slots, |_| {})
    }

    /// What a listener hears of the room.
    pub(crate) fn heard(&self) -> Vec<f32> {
        hear(self.outputs.iter().map(|output| &output.opus))
    }
}

/// Decodes room packets as a listener does; each must be one of 20 ms.
pub(crate) fn hear<'a>(packets: impl Iterator<Item = &'a Bytes>) -> Vec<f32> {
    let mut pcm = Vec::new();
    let mut decoder = Decoder::new().unwrap();
    for opus in packets {
        let packet = Packet::parse(opus.clone()).unwrap();
        assert_eq!(packet.samples(), SLOT_SAMPLES);
        decoder.decode(&packet, &mut pcm).unwrap();
    }
    pcm
}

/// The sum of what several say, as a perfect mixer has it.
pub(crate) fn sum(voices: &[&Speech]) -> Vec<f32> {
    let len = voices.iter().map(|voice| voice.pcm.len()).max().unwrap_or(0);
    (0..len).map(|i| voices.iter().filter_map(|voice| voice.pcm.get(i)).sum()).collect()
}
