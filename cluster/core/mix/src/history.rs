//! What a mirror keeps so that it can go on where the primary stops: the mix log, the stages it was mixed
//! under, and the speakers' packets of the last half second.
//!
//! Invariant: everything is bounded, whatever primary and speakers send. What is missing for a replay is
//! told, not guessed (`MirrorReady`).

use std::collections::{BTreeMap, VecDeque};

use stentor_ids::{ParticipantId, Slot};
use stentor_pace::Time;

use crate::{
    log::{LogEntry, PacketRef, Step},
    queue::SpeakerPacket,
    stage::Stage,
};

/// Slots kept: half a second. Replaying 25 slots brings fresh codecs as close to the lost ones as an ear can
/// tell, and takes 8 ms.
pub const HISTORY_SLOTS: usize = 25;
/// Fewest slots worth replaying; fewer are heard.
pub const REPLAY_MIN_SLOTS: usize = 10;

/// Stages kept: one for each slot of the log and a few to come. When a stage changes oftener than that, the
/// oldest goes, and the history is not ready until the log has moved on.
const STAGES: usize = HISTORY_SLOTS + 7;
/// Packets kept of one speaker: what half a second and the most that may wait (one second) hold in packets of
/// 10 ms. The oldest goes first.
const PACKETS: usize = 150;
/// Voices and steps kept of one slot: more speakers than a stage holds, more steps than 20 ms can take. Only
/// a primary gone wrong sends more; the rest is cut off.
const VOICES: usize = 256;
const STEPS: usize = 32;

/// What a history lacks for a replay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// Fewer slots without a gap than asked for.
    #[error("the log holds {have} slots in a row; {need} are needed")]
    Slots {
        /// Slots held up to the last one without a gap.
        have: usize,
        /// Slots asked for.
        need: usize,
    },
    /// A slot was mixed under a stage that did not come.
    #[error("stage {version} of slot {slot} is not here")]
    Stage {
        /// The slot.
        slot: Slot,
        /// The version of the stage.
        version: u64,
    },
    /// A slot used a packet that did not come.
    #[error("packet {seq} of stream {stream} of {participant}, used in slot {slot}, is not here")]
    Packet {
        /// The slot.
        slot: Slot,
        /// Whose packet.
        participant: ParticipantId,
        /// Its stream.
        stream: u64,
        /// Its number.
        seq: u64,
    },
}

/// The last half second of a room, as its primary mixed it.
#[derive(Debug, Default)]
pub struct History {
    log: VecDeque<LogEntry>,
    stages: VecDeque<Stage>,
    speakers: BTreeMap<ParticipantId, BTreeMap<PacketRef, (Time, SpeakerPacket)>>,
}

impl History {
    /// An empty history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a packet of `who` that came at `now`. Packets of whoever may not speak on the newest stage are
    /// not kept.
    pub fn push_packet(&mut self, now: Time, who: &ParticipantId, packet: SpeakerPacket) {
        if !self.newest_stage().is_some_and(|stage| stage.may_speak(who)) {
            return;
        }
        let packets = self.speakers.entry(who.clone()).or_default();
        packets.entry(PacketRef { stream: packet.stream, seq: packet.seq }).or_insert((now, packet));
        if packets.len() > PACKETS {
            packets.pop_first();
        }
    }

    /// Takes what a slot was made of. Slots that are not newer than the newest are ignored.
    pub fn push_log(&mut self, mut entry: LogEntry) {
        if self.last_slot().is_some_and(|last| entry.slot <= last) {
            return;
        }
        entry.voices.truncate(VOICES);
        entry.voices.iter_mut().for_each(|voice| voice.steps.truncate(STEPS));
        if self.log.len() == HISTORY_SLOTS {
            self.log.pop_front();
        }
        self.log.push_back(entry);
        let oldest = self.log.front().map_or(0, |entry| entry.stage_version);
        while self.stages.len() > 1 && self.stages[0].version < oldest {
            self.stages.pop_front();
        }
    }

    /// Takes a stage. Versions that are not newer than the newest are ignored.
    pub fn push_stage(&mut self, stage: Stage) {
        if self.newest_stage().is_some_and(|newest| stage.version <= newest.version) {
            return;
        }
        if self.stages.len() == STAGES {
            self.stages.pop_front();
        }
        self.stages.push_back(stage);
        // Who left the stage is kept as long as the log still holds slots from before.
        let stages = &self.stages;
        self.speakers.retain(|who, _| stages.iter().any(|stage| stage.participant(who).is_some()));
    }

    /// Forgets everything: another primary, another log.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The newest slot of the log.
    #[must_use]
    pub fn last_slot(&self) -> Option<Slot> {
        self.log.back().map(|entry| entry.slot)
    }

    /// The newest stage.
    #[must_use]
    pub fn newest_stage(&self) -> Option<&Stage> {
        self.stages.back()
    }

    /// `MirrorReady`: whether the last `slots` slots can be replayed.
    ///
    /// # Errors
    /// [`NotReady`] names the first thing that is missing.
    pub fn ready(&self, slots: usize) -> Result<(), NotReady> {
        let last = self.last_slot().unwrap_or_default();
        let in_a_row = |(back, entry): &(usize, &LogEntry)| entry.slot.plus(*back as u64) == last;
        let have = self.log.iter().rev().enumerate().take_while(in_a_row).count();
        if have < slots {
            return Err(NotReady::Slots { have, need: slots });
        }
        self.entries(slots).try_for_each(|entry| self.holds(entry))
    }

    /// Whether nobody was heard in all of the last half second: who goes on from there has nothing to replay.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.log.iter().all(|entry| entry.voices.is_empty()) && self.ready(HISTORY_SLOTS).is_ok()
    }

    fn holds(&self, entry: &LogEntry) -> Result<(), NotReady> {
        let (slot, version) = (entry.slot, entry.stage_version);
        // A room starts with an empty stage that nobody sends.
        if version != 0 && self.stage(version).is_none() {
            return Err(NotReady::Stage { slot, version });
        }
        for voice in &entry.voices {
            for step in &voice.steps {
                let (Step::Packet(name) | Step::Fec(name)) = *step else { continue };
                if self.packet(&voice.participant, name).is_none() {
                    let participant = voice.participant.clone();
                    return Err(NotReady::Packet { slot, participant, stream: name.stream, seq: name.seq });
                }
            }
        }
        Ok(())
    }

    /// The last `slots` entries, oldest first.
    pub(crate) fn entries(&self, slots: usize) -> impl Iterator<Item = &LogEntry> {
        self.log.iter().skip(self.log.len().saturating_sub(slots))
    }

    pub(crate) fn stage(&self, version: u64) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.version == version)
    }

    pub(crate) fn packet(&self, who: &ParticipantId, name: PacketRef) -> Option<&SpeakerPacket> {
        self.speakers.get(who)?.get(&name).map(|(_, packet)| packet)
    }

    /// For each speaker that the log used, or that something came from since `fresh`: the last packet used, and
    /// those that came after it.
    pub(crate) fn unplayed(&self, fresh: Time) -> impl Iterator<Item = Unplayed<'_>> {
        let each = self.speakers.iter().map(move |(who, packets)| {
            let last = self.log.iter().filter_map(|entry| entry.last_packet(who)).max();
            let waits = |name: &PacketRef, at: Time| last.map_or(at >= fresh, |last| *name > last);
            let waiting: Vec<_> = packets
                .iter()
                .filter(|(name, (at, _))| waits(name, *at))
                .map(|(_, (at, packet))| (*at, packet))
                .collect();
            (who, last, waiting)
        });
        each.filter(|(_, last, waiting)| last.is_some() || !waiting.is_empty())
    }
}

/// A speaker, its last packet used, and the packets that wait.
type Unplayed<'a> = (&'a ParticipantId, Option<PacketRef>, Vec<(Time, &'a SpeakerPacket)>);
