//! What mixes a room, as the media loop sees it: the mixer, and in tests one that fails.

use std::sync::Arc;

use stentor_ids::{ParticipantId, RoomId, Slot};
use stentor_mix::{CodecError, Config, History, Mixer, Push, ReplayError, SlotOutput, SpeakerPacket, Stage};
use stentor_pace::Time;

/// Turns a room's speaker packets into its audio, slot by slot. See [`Mixer`] for what each call means.
pub trait Engine: Send {
    /// Who may be mixed from the next slot on.
    fn set_stage(&mut self, stage: Stage);
    /// Takes a packet that came at `now`.
    fn push(&mut self, now: Time, who: &ParticipantId, packet: SpeakerPacket) -> Push;
    /// Whether `who` gets the room without itself.
    ///
    /// # Errors
    /// When libopus has no memory.
    fn monitor(&mut self, who: &ParticipantId, on: bool) -> Result<(), CodecError>;
    /// Mixes one slot.
    ///
    /// # Errors
    /// When libopus refuses to encode.
    fn tick(&mut self, now: Time, slot: Slot) -> Result<SlotOutput, CodecError>;
}

impl Engine for Mixer {
    fn set_stage(&mut self, stage: Stage) {
        self.set_stage(stage);
    }

    fn push(&mut self, now: Time, who: &ParticipantId, packet: SpeakerPacket) -> Push {
        self.push(now, who, packet)
    }

    fn monitor(&mut self, who: &ParticipantId, on: bool) -> Result<(), CodecError> {
        self.monitor(who, on)
    }

    fn tick(&mut self, now: Time, slot: Slot) -> Result<SlotOutput, CodecError> {
        self.tick(now, slot)
    }
}

/// What an engine goes on from.
#[derive(Debug, Clone, Copy)]
pub struct Replay<'a> {
    /// What was kept of the room.
    pub history: &'a History,
    /// When its last slot came.
    pub at: Time,
    /// How many slots to do again.
    pub slots: usize,
}

/// Makes the engine of a room each time its audio starts here: from nothing, or from what was kept.
pub type EngineFactory =
    Arc<dyn Fn(&RoomId, Config, Option<Replay<'_>>) -> Result<Box<dyn Engine>, ReplayError> + Send + Sync>;

/// The factory of real mixers.
pub(crate) fn mixers() -> EngineFactory {
    Arc::new(|_, config, replay| {
        let mixer = match replay {
            Some(Replay { history, at, slots }) => Mixer::replay(config, history, at, slots)?,
            None => Mixer::new(config)?,
        };
        Ok(Box::new(mixer))
    })
}
