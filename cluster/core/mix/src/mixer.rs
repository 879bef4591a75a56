//! The room's mixer: the stage, a voice for each speaker, the slot.
//!
//! Invariants: every tick gives exactly one Opus packet of 20 ms; nobody who is not on the stage, unmuted,
//! at that moment gives a packet to a slot (`RoleGate`); memory is bounded by the participants of the stage.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use stentor_ids::{ParticipantId, SLOT_SAMPLES, Slot};
use stentor_pace::{Time, WallTime};

use crate::{
    codec::CodecError,
    config::Config,
    history::{History, NotReady},
    log::{LogEntry, Step, VoiceLog},
    outlet::Outlet,
    queue::{Push, SpeakerPacket},
    stage::Stage,
    voice::Voice,
};

/// From this level on a speaker counts as talking: above the noise of a room, below a quiet voice.
const TALKING_DBOV: i8 = -50;

/// Turns speakers' packets into a room's audio.
pub struct Mixer {
    config: Config,
    stage: Stage,
    voices: BTreeMap<ParticipantId, Voice>,
    room: Outlet,
    monitors: BTreeMap<ParticipantId, Outlet>,
}

/// What one slot gave.
#[derive(Debug, Clone)]
pub struct SlotOutput {
    /// The room's audio: one Opus packet of 20 ms.
    pub opus: Bytes,
    /// Who is heard.
    pub talkers: Vec<Talker>,
    /// When the earliest speech in this slot was captured; `None` when nobody speaks or nobody knows.
    pub captured: Option<WallTime>,
    /// For each monitoring participant the room's audio without itself.
    pub monitors: Vec<(ParticipantId, Bytes)>,
    /// What the slot was made of.
    pub log: LogEntry,
    /// The slot in figures.
    pub stats: SlotStats,
}

/// Someone who is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talker {
    /// Who.
    pub participant: ParticipantId,
    /// How loud, −127 to 0 dBov (RFC 6464), smoothed.
    pub level_dbov: i8,
}

/// A slot in figures, for metrics. Sums over all speakers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotStats {
    /// Packets decoded.
    pub packets: u32,
    /// Packets recovered from in-band redundancy.
    pub recovered: u32,
    /// Samples concealed, the silence before speech begins counted in.
    pub concealed_samples: u32,
    /// Samples inserted or dropped for clock drift and delay.
    pub drift_samples: u32,
    /// Most audio of one speaker that is held back after this slot.
    pub delay: Duration,
    /// Whether the room's packet was the constant one for silence.
    pub silent: bool,
}

/// Why a mixer could not be built from a history.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The history does not hold what is needed.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// libopus failed.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Mixer {
    /// A mixer with an empty stage.
    ///
    /// # Errors
    /// When libopus has no memory.
    pub fn new(config: Config) -> Result<Self, CodecError> {
        let room = Outlet::new(config.encoder())?;
        Ok(Self { config, stage: Stage::default(), voices: BTreeMap::new(), room, monitors: BTreeMap::new() })
    }

    /// Who may be mixed, from the next slot on. Of whoever is muted or not on it no packet is used any more;
    /// what was decoded is faded out over the slot's first 5 ms.
    pub fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
        for (who, voice) in &mut self.voices {
            voice.set_gain(self.stage.participant(who).map_or(0.0, super::Participant::factor));
        }
    }

    /// The stage that the next slot is mixed under.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Takes a packet of `who` that came at `now`.
    pub fn push(&mut self, now: Time, who: &ParticipantId, packet: SpeakerPacket) -> Push {
        match self.stage.participant(who) {
            None => return Push::NotOnStage,
            Some(participant) if participant.muted => return Push::Muted,
            Some(_) => {}
        }
        match self.voice(who) {
            Ok(voice) => voice.push(now, packet),
            // No memory for a decoder: as if the packet had been lost on the way.
            Err(_) => Push::Late,
        }
    }

    /// Whether `who` gets the room without itself, in an encoding of its own (the cost of one more encoder a
    /// slot). The driver bounds how many do.
    ///
    /// # Errors
    /// When libopus has no memory.
    pub fn monitor(&mut self, who: &ParticipantId, on: bool) -> Result<(), CodecError> {
        if !on {
            self.monitors.remove(who);
        } else if !self.monitors.contains_key(who) {
            self.monitors.insert(who.clone(), Outlet::new(self.config.encoder())?);
        }
        Ok(())
    }

    /// Mixes one slot. To be called once a slot on the room's 20 ms grid; `now` is the time of the call.
    ///
    /// # Errors
    /// Never seen; when libopus refuses to encode. The slot is then lost, the mixer still usable.
    pub fn tick(&mut self, now: Time, slot: Slot) -> Result<SlotOutput, CodecError> {
        let mut log = LogEntry { slot, stage_version: self.stage.version, voices: Vec::new() };
        for (who, voice) in &mut self.voices {
            if let Some((carried, steps)) = voice.fill(now) {
                log.voices.push(VoiceLog { participant: who.clone(), carried, steps });
            }
        }
        self.finish(log)
    }

    /// Builds a mixer that goes on after the last slot of `history`: fresh codecs, the last `slots` slots (at
    /// most [`HISTORY_SLOTS`](crate::HISTORY_SLOTS)) done again, and the packets queued that came since. Where
    /// the history [rests](History::rests) fresh codecs are as good, and nothing is done again.
    /// `now` is the time of that last slot here. Monitors are to be asked for again.
    ///
    /// # Errors
    /// [`NotReady`] when `history` lacks something for `slots` slots; [`CodecError`] when libopus has no
    /// memory.
    pub fn replay(config: Config, history: &History, now: Time, slots: usize) -> Result<Self, ReplayError> {
        history.ready(slots)?;
        let mut mixer = Self::new(config)?;
        let again = if history.rests() { 0 } else { slots };
        if again < slots {
            mixer.room.rest();
        }
        for entry in history.entries(again) {
            if let Some(stage) = history.stage(entry.stage_version).filter(|stage| **stage != mixer.stage) {
                mixer.set_stage(stage.clone());
            }
            for log in &entry.voices {
                mixer.voice(&log.participant)?.repeat(log, |name| history.packet(&log.participant, name));
            }
            mixer.finish(entry.clone())?;
        }
        let fresh = now - Duration::from_millis(config.max_delay_ms.into());
        for (who, last, waiting) in history.unplayed(fresh) {
            mixer.voice(who)?.resume(last, now);
            for (at, packet) in waiting {
                mixer.push(at, who, packet.clone());
            }
        }
        if let Some(stage) = history.newest_stage() {
            mixer.set_stage(stage.clone());
        }
        Ok(mixer)
    }

    fn voice(&mut self, who: &ParticipantId) -> Result<&mut Voice, CodecError> {
        if !self.voices.contains_key(who) {
            let gain = self.stage.participant(who).map_or(0.0, super::Participant::factor);
            self.voices.insert(who.clone(), Voice::new(&self.config, gain)?);
        }
        // Put there just now, if it was not there before.
        Ok(self.voices.get_mut(who).expect("the voice is in the map"))
    }

    /// From filled voices to packets; the same for a slot mixed and a slot replayed.
    fn finish(&mut self, log: LogEntry) -> Result<SlotOutput, CodecError> {
        let mut mix = [0.0; SLOT_SAMPLES];
        let (mut talkers, mut captured) = (Vec::new(), None);
        for VoiceLog { participant, .. } in &log.voices {
            let Some(voice) = self.voices.get_mut(participant) else { continue };
            captured = [captured, voice.captured()].into_iter().flatten().min();
            let level_dbov = voice.render();
            if level_dbov >= TALKING_DBOV {
                talkers.push(Talker { participant: participant.clone(), level_dbov });
            }
            mix.iter_mut().zip(&voice.pcm).for_each(|(sum, x)| *sum += x);
        }
        let mut monitors = Vec::with_capacity(self.monitors.len());
        for (who, outlet) in &mut self.monitors {
            let mut others = mix;
            let heard = log.voices.iter().any(|voice| voice.participant == *who);
            if let Some(own) = self.voices.get(who).filter(|_| heard) {
                others.iter_mut().zip(&own.pcm).for_each(|(sum, x)| *sum -= x);
            }
            monitors.push((who.clone(), outlet.emit(&mut others)?));
        }
        let opus = self.room.emit(&mut mix)?;
        let stats = self.stats(&log);
        let stage = &self.stage;
        self.voices.retain(|who, voice| !voice.at_rest() || stage.participant(who).is_some());
        Ok(SlotOutput { opus, talkers, captured, monitors, log, stats })
    }

    fn stats(&self, log: &LogEntry) -> SlotStats {
        let delay = self.voices.values().map(Voice::delay).max().unwrap_or_default();
        let mut stats = SlotStats { delay, silent: self.room.resting(), ..SlotStats::default() };
        for step in log.voices.iter().flat_map(|voice| &voice.steps) {
            match *step {
                Step::Packet(_) => stats.packets += 1,
                Step::Fec(_) => stats.recovered += 1,
                Step::Conceal(samples) => {
                    stats.concealed_samples = stats.concealed_samples.saturating_add(samples)
                }
                Step::Drift(by) => {
                    stats.drift_samples = stats.drift_samples.saturating_add(by.unsigned_abs())
                }
            }
        }
        stats
    }
}
