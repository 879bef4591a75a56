//! The mix log as it travels, and back. What the other origin says is checked here, once.

use std::sync::Arc;

use stentor_ids::{Epoch, InvalidName, Lineage, ParticipantId, Slot};
use stentor_mix::{LogEntry, MAX_PACKET_BYTES, PacketRef, Participant, Stage, Step, VoiceLog};
use stentor_pace::WallTime;
use stentor_proto::v1::{self, follow_response::Message};
use stentor_relay::{Frame, origin::State};

use crate::{
    mix_log::Mixed,
    status::{Staged, stage_to_wire},
};

/// Voices of one slot, steps of one voice and participants of one stage that are taken: more than any room has. The
/// rest is cut off.
const MAX_VOICES: usize = 256;
const MAX_STEPS: usize = 32;

/// The message that says this.
pub(super) fn response(mixed: &Mixed) -> v1::FollowResponse {
    let message = match mixed {
        Mixed::Stage(stage) => Message::Stage(stage_to_wire(stage)),
        Mixed::Slot(entry) => Message::Entry(entry_to_wire(entry)),
        Mixed::Frame(frame) => Message::Frame(v1::Frame {
            epoch: frame.epoch.0,
            lineage: frame.lineage.0,
            slot: frame.slot.0,
            opus: frame.opus.clone(),
            captured_us: frame.captured.as_micros(),
        }),
        Mixed::Origin(state) => Message::Origin(state_to_wire(*state)),
    };
    v1::FollowResponse { message: Some(message) }
}

/// A frame as the other origin sent it; `None` if it is none.
pub(crate) fn frame_of(frame: v1::Frame) -> Option<Frame> {
    let fits = !frame.opus.is_empty() && frame.opus.len() <= MAX_PACKET_BYTES;
    fits.then(|| Frame {
        epoch: Epoch(frame.epoch),
        lineage: Lineage(frame.lineage),
        slot: Slot(frame.slot),
        opus: frame.opus,
        captured: WallTime::from_micros(frame.captured_us),
    })
}

/// A stage as the owner sent it.
///
/// # Errors
/// A participant's name is none.
pub(crate) fn stage_of(state: &v1::StageState) -> Result<Staged, InvalidName> {
    let participant = |told: &v1::Participant| {
        let id = ParticipantId::new(&told.id)?;
        Ok(Participant { id, muted: told.muted, gain_db: told.gain_db as f32 })
    };
    let participants = state.seats.iter().take(MAX_VOICES).map(participant).collect::<Result<_, _>>()?;
    let stage = Arc::new(Stage { version: state.version, participants });
    Ok(Staged { epoch: Epoch(state.epoch), stage })
}

/// What a slot was made of, as the other origin sent it.
///
/// # Errors
/// A participant's name is none.
pub(crate) fn entry_of(entry: v1::MixLogEntry) -> Result<LogEntry, InvalidName> {
    let voice = |voice: v1::SpeakerSteps| {
        let participant = ParticipantId::new(&voice.participant)?;
        // A step of a newer build has no variant here.
        let steps = voice.steps.into_iter().take(MAX_STEPS).filter_map(|step| step.step).map(step_of);
        Ok(VoiceLog { participant, carried: voice.carried, steps: steps.collect() })
    };
    let voices = entry.speakers.into_iter().take(MAX_VOICES).map(voice).collect::<Result<_, _>>()?;
    Ok(LogEntry { slot: Slot(entry.slot), stage_version: entry.stage_version, voices })
}

/// How the other origin says that it stands.
pub(crate) const fn state_of(state: v1::OriginState) -> State {
    State { leads: state.leads, lineage: Lineage(state.lineage), ready: state.ready }
}

const fn state_to_wire(state: State) -> v1::OriginState {
    v1::OriginState { leads: state.leads, lineage: state.lineage.0, ready: state.ready }
}

fn entry_to_wire(entry: &LogEntry) -> v1::MixLogEntry {
    let voice = |voice: &VoiceLog| v1::SpeakerSteps {
        participant: voice.participant.to_string(),
        steps: voice.steps.iter().map(|step| v1::MixStep { step: Some(step_to_wire(*step)) }).collect(),
        carried: voice.carried,
    };
    v1::MixLogEntry {
        slot: entry.slot.0,
        stage_version: entry.stage_version,
        speakers: entry.voices.iter().map(voice).collect(),
    }
}

const fn step_to_wire(step: Step) -> v1::mix_step::Step {
    use v1::mix_step::Step as Wire;
    match step {
        Step::Packet(PacketRef { stream, seq }) => Wire::Packet(v1::PacketRef { stream, seq }),
        Step::Conceal(samples) => Wire::Conceal(samples),
        Step::Fec(PacketRef { stream, seq }) => Wire::Fec(v1::PacketRef { stream, seq }),
        Step::Drift(by) => Wire::Drift(by),
    }
}

const fn step_of(step: v1::mix_step::Step) -> Step {
    use v1::mix_step::Step as Wire;
    match step {
        Wire::Packet(v1::PacketRef { stream, seq }) => Step::Packet(PacketRef { stream, seq }),
        Wire::Conceal(samples) => Step::Conceal(samples),
        Wire::Fec(v1::PacketRef { stream, seq }) => Step::Fec(PacketRef { stream, seq }),
        Wire::Drift(by) => Step::Drift(by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_slot_was_made_of_survives_the_wire() {
        let packet = PacketRef { stream: 7, seq: 9 };
        let voice = VoiceLog {
            participant: ParticipantId::new("ann").unwrap(),
            carried: 120,
            steps: vec![Step::Packet(packet), Step::Conceal(960), Step::Fec(packet), Step::Drift(-3)],
        };
        let entry = LogEntry { slot: Slot(5), stage_version: 3, voices: vec![voice] };
        assert_eq!(entry_of(entry_to_wire(&entry)), Ok(entry));
        let ann = Participant { id: ParticipantId::new("ann").unwrap(), muted: true, gain_db: -3.0 };
        let stage = Arc::new(Stage { version: 3, participants: vec![ann] });
        let read = stage_of(&stage_to_wire(&Staged { epoch: Epoch(2), stage: stage.clone() })).unwrap();
        assert_eq!((read.epoch, read.stage), (Epoch(2), stage));
    }

    #[test]
    fn a_log_gone_wrong_is_cut_to_its_bounds_or_refused() {
        let step = v1::MixStep { step: Some(v1::mix_step::Step::Conceal(1)) };
        let voice =
            |name: &str| v1::SpeakerSteps { participant: name.into(), steps: vec![step; 99], carried: 0 };
        let entry = |speakers| v1::MixLogEntry { slot: 1, stage_version: 1, speakers };
        let taken = entry_of(entry(vec![voice("ann"); 999])).unwrap();
        assert_eq!((taken.voices.len(), taken.voices[0].steps.len()), (MAX_VOICES, MAX_STEPS));
        assert!(entry_of(entry(vec![voice("a/b")])).is_err());
        assert_eq!(frame_of(v1::Frame::default()), None);
        let opus = vec![0; MAX_PACKET_BYTES + 1].into();
        assert_eq!(frame_of(v1::Frame { opus, ..v1::Frame::default() }), None);
    }
}
