//! What a mirror keeps, however late, lost or out of order the log, the stages and the packets come to it: when it says that
//! it is ready, a replay succeeds (`MirrorReady`), and what it keeps is bounded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use stentor_ids::{ParticipantId, Slot};
use stentor_mix::{
    Config, HISTORY_SLOTS, History, LogEntry, Mixer, Packet, Participant, REPLAY_MIN_SLOTS, ReplayError,
    SpeakerPacket, Stage,
};
use stentor_pace::{Time, WallTime, check::bounded};

const SPEAKERS: [&str; 3] = ["ann", "bob", "eve"];
/// Most packets that a history is to keep of one speaker.
const PACKETS: usize = 150;

fn who(index: usize) -> ParticipantId {
    ParticipantId::new(SPEAKERS[index % SPEAKERS.len()]).unwrap()
}

/// What happens at the primary in one slot.
#[derive(Debug, Clone)]
struct Turn {
    /// Who speaks: a packet of each, of 10, 20 or 40 ms.
    speak: [Option<u8>; 3],
    /// The connection that a speaker goes over to.
    reconnect: Option<u8>,
    /// Who is on the stage from now on, and who of them is muted.
    stage: Option<(u8, u8)>,
}

fn turn() -> impl Strategy<Value = Turn> {
    let speak = prop::array::uniform3(prop::option::weighted(0.7, 0_u8..3));
    let stage = prop::option::weighted(0.1, (any::<u8>(), any::<u8>()));
    (speak, prop::option::weighted(0.05, 0_u8..3), stage).prop_map(|(speak, reconnect, stage)| Turn {
        speak,
        reconnect,
        stage,
    })
}

/// How one thing comes to the mirror: not at all, or so many slots late.
fn travel(lost: f64) -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(1.0 - lost, prop_oneof![6 => Just(0_u64), 3 => 0_u64..3, 1 => 0_u64..30])
}

#[derive(Debug, Clone)]
enum Thing {
    Log(LogEntry),
    Stage(Stage),
    Packet(ParticipantId, SpeakerPacket),
}

/// A room at its primary, and what it sends to its mirror in which slot.
struct Primary {
    mixer: Mixer,
    slot: u64,
    streams: [u64; 3],
    seqs: [u64; 3],
    version: u64,
}

impl Primary {
    fn new() -> Self {
        Self {
            mixer: Mixer::new(Config::default()).unwrap(),
            slot: 0,
            streams: [1; 3],
            seqs: [0; 3],
            version: 0,
        }
    }

    fn now(&self) -> Time {
        Time::from_millis(1_000 + 20 * self.slot)
    }

    fn turn(&mut self, turn: &Turn, out: &mut Vec<Thing>) {
        if let Some((on, muted)) = turn.stage {
            self.version += 1;
            let participants = (0..3).filter(|n| on >> n & 1 == 1);
            let participant =
                |n: usize| Participant { muted: muted >> n & 3 == 3, ..Participant::open(who(n)) };
            let stage =
                Stage { version: self.version, participants: participants.map(participant).collect() };
            self.mixer.set_stage(stage.clone());
            out.push(Thing::Stage(stage));
        }
        if let Some(n) = turn.reconnect {
            let n = usize::from(n);
            (self.streams[n], self.seqs[n]) = (self.streams[n] + 1, 0);
        }
        for (n, length) in turn.speak.iter().enumerate() {
            let Some(length) = length else { continue };
            // CELT at 48 kHz, 10 or 20 ms, or two frames of the latter; whatever the bytes say is some audio.
            let bytes: &'static [u8] =
                [&[0xf0, 0xff, 0xfe][..], &[0xf8, 0xff, 0xfe], &[0xf9, 1, 2, 1, 2]][usize::from(*length)];
            let packet = Packet::parse(Bytes::from_static(bytes)).unwrap();
            let (stream, seq, captured) = (self.streams[n], self.seqs[n], WallTime::from_millis(self.slot));
            self.seqs[n] += 1;
            let packet = SpeakerPacket { stream, seq, packet, captured };
            self.mixer.push(self.now(), &who(n), packet.clone());
            out.push(Thing::Packet(who(n), packet));
        }
        out.push(Thing::Log(self.mixer.tick(self.now(), Slot(self.slot)).unwrap().log));
        self.slot += 1;
    }
}

fn take(history: &mut History, now: Time, thing: Thing) {
    match thing {
        Thing::Log(entry) => history.push_log(entry),
        Thing::Stage(stage) => history.push_stage(stage),
        Thing::Packet(who, packet) => history.push_packet(now, &who, packet),
    }
}

/// `MirrorReady`, and the same the other way round: who is not ready does not replay.
fn ready_means_replay(history: &History, now: Time, slots: usize) -> Result<bool, TestCaseError> {
    let ready = history.ready(slots);
    match Mixer::replay(Config::default(), history, now, slots) {
        Ok(mut mixer) => {
            prop_assert_eq!(&ready, &Ok(()));
            let next = history.last_slot().unwrap_or_default().next();
            prop_assert!(mixer.tick(now, next).is_ok());
        }
        Err(ReplayError::NotReady(why)) => prop_assert_eq!(&ready, &Err(why)),
        Err(ReplayError::Codec(error)) => prop_assert!(false, "{}", error),
    }
    Ok(ready.is_ok())
}

/// Counts by what a history shows of itself, so that no bound of its own is taken at its word.
fn is_bounded(history: &History) -> Result<(), TestCaseError> {
    let shown = format!("{history:?}");
    let held = |name: &str| shown.matches(name).count();
    prop_assert_eq!(bounded("packets", held("SpeakerPacket {"), SPEAKERS.len() * PACKETS), Ok(()));
    prop_assert_eq!(bounded("log", held("LogEntry {"), HISTORY_SLOTS), Ok(()));
    prop_assert_eq!(bounded("stages", held("Stage {"), HISTORY_SLOTS + 7), Ok(()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_mirror_that_says_it_is_ready_can_replay_whatever_came_how(
        turns in vec(turn(), 1..70),
        travels in vec(travel(0.02), 1..90),
        asked in vec(0_usize..70, 1..4),
    ) {
        let (mut primary, mut history) = (Primary::new(), History::new());
        let (mut out, mut travels) = (Vec::new(), travels.iter().cycle());
        let mut under_way: Vec<(u64, Thing)> = Vec::new();
        for (n, turn) in turns.iter().enumerate() {
            let (now, slot) = (primary.now(), primary.slot);
            primary.turn(turn, &mut out);
            let sent = out.drain(..).filter_map(|thing| Some((slot + (*travels.next()?)?, thing)));
            under_way.extend(sent);
            for (_, thing) in under_way.extract_if(.., |(due, _)| *due <= slot) {
                take(&mut history, now, thing);
            }
            is_bounded(&history)?;
            if asked.contains(&n) {
                ready_means_replay(&history, now, REPLAY_MIN_SLOTS)?;
                ready_means_replay(&history, now, HISTORY_SLOTS)?;
            }
        }
        ready_means_replay(&history, primary.now(), REPLAY_MIN_SLOTS)?;
    }

    #[test]
    fn a_mirror_to_which_everything_comes_is_ready(turns in vec(turn(), HISTORY_SLOTS..60)) {
        let (mut primary, mut history, mut out) = (Primary::new(), History::new(), Vec::new());
        for turn in &turns {
            let now = primary.now();
            primary.turn(turn, &mut out);
            out.drain(..).for_each(|thing| take(&mut history, now, thing));
            is_bounded(&history)?;
        }
        prop_assert_eq!(history.ready(HISTORY_SLOTS), Ok(()));
        prop_assert!(ready_means_replay(&history, primary.now(), HISTORY_SLOTS)?);
    }

    #[test]
    fn whatever_a_peer_floods_it_with_a_history_stays_small(
        flood in vec((0_usize..3, any::<u64>(), any::<u64>(), any::<bool>()), 0..600),
    ) {
        let mut history = History::new();
        let packet = Packet::parse(Bytes::from_static(&[0xf8, 0xff, 0xfe])).unwrap();
        for (n, number, stream, what) in flood {
            let participants = (0..=n).map(|n| Participant::open(who(n))).collect();
            match (what, number % 3) {
                (true, _) => {
                    let captured = WallTime::default();
                    let packet = SpeakerPacket { stream: stream % 3, seq: number, packet: packet.clone(), captured };
                    history.push_packet(Time::default(), &who(n), packet);
                }
                (false, 0) => history.push_stage(Stage { version: number >> (stream % 64), participants }),
                (false, _) => {
                    history.push_log(LogEntry { slot: Slot(number >> (stream % 64)), ..LogEntry::default() });
                }
            }
        }
        is_bounded(&history)?;
        ready_means_replay(&history, Time::default(), 1)?;
    }
}
