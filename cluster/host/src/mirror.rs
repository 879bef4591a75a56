//! The mix log of each room, for whoever is to be able to go on with it: what every slot was made of, the stage it was
//! mixed under, and the slot itself.
//!
//! A follower that lags misses entries, and is told nothing of it: it sees from the slots that its history is not whole
//! (`MirrorReady`), and waits until it is.

use std::sync::Arc;

use futures::{StreamExt, stream};

use stentor_mix::{LogEntry, Stage, Step, VoiceLog};
use stentor_proto::v1;
use stentor_relay::Frame;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::{hosted::Hosted, status};

/// Entries that a follower may lag behind: two seconds of slots and their frames. What is older is of no use to who would
/// go on from it; the oldest goes first.
const LOG_ENTRIES: usize = 200;

/// One room's mix log as it is written.
pub(crate) struct MixLog(broadcast::Sender<Mixed>);

/// What is written.
#[derive(Debug, Clone)]
pub(crate) enum Mixed {
    /// The slots that follow are mixed under this stage.
    Stage(Arc<Stage>),
    /// A slot was mixed from this.
    Slot(Arc<LogEntry>),
    /// And came out as this.
    Frame(Frame),
}

impl MixLog {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(LOG_ENTRIES))
    }

    /// Whether anybody follows; else there is nothing to write.
    pub(crate) fn is_followed(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(crate) fn write(&self, mixed: Mixed) {
        // Nobody follows any more: then nobody misses it.
        drop(self.0.send(mixed));
    }
}

/// The log of a room from now on, after the stage as it is.
pub(crate) fn follow(hosted: &Hosted) -> stentor_link::FollowStream {
    let log = BroadcastStream::new(hosted.mix_log.0.subscribe());
    let stage = Mixed::Stage(Arc::new(status::stage(&hosted.kept().record)));
    let missed = async |mixed: Result<_, _>| mixed.ok();
    let mixed = stream::once(async { stage }).chain(log.filter_map(missed));
    Box::pin(mixed.map(|mixed| to_wire(&mixed)))
}

/// The log as it travels.
fn to_wire(mixed: &Mixed) -> v1::FollowResponse {
    use v1::follow_response::Message;
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
    };
    v1::FollowResponse { message: Some(message) }
}

fn stage_to_wire(stage: &Stage) -> v1::StageState {
    let seat = |seat: &stentor_mix::Seat| v1::Participant {
        id: seat.participant.to_string(),
        muted: seat.muted,
        gain_db: seat.gain_db,
        ..v1::Participant::default()
    };
    v1::StageState { version: stage.version, seats: stage.seats.iter().map(seat).collect() }
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

fn step_to_wire(step: Step) -> v1::mix_step::Step {
    use v1::mix_step::Step as Wire;
    let packet = |packet: stentor_mix::PacketRef| v1::PacketRef { stream: packet.stream, seq: packet.seq };
    match step {
        Step::Packet(name) => Wire::Packet(packet(name)),
        Step::Conceal(samples) => Wire::Conceal(samples),
        Step::Fec(name) => Wire::Fec(packet(name)),
        Step::Drift(by) => Wire::Drift(by),
    }
}
