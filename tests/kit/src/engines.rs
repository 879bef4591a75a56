//! Mixers with a test in between.

use std::sync::Arc;

use stentor_host::{Engine, EngineFactory, Replay};
use stentor_ids::{ParticipantId, RoomId, Slot};
use stentor_mix::{CodecError, Mixer, Push, SlotOutput, SpeakerPacket, Stage};
use stentor_pace::Time;

/// What a test does when a mixer is called, before the mixer does what it should. It is called where the mixer runs: who
/// waits here holds the room up, and who panics breaks it.
pub trait Meddler: Send + Sync + 'static {
    /// It is made from what was kept of a room.
    fn replays(&self, _room: &RoomId, _replay: &Replay<'_>) {}
    /// It is given a packet that came at `now`.
    fn takes(&self, _now: Time, _who: &ParticipantId, _packet: &SpeakerPacket) {}
    /// It is to mix a slot.
    fn ticks(&self, _room: &RoomId) {}
}

/// Mixers that someone meddles with.
#[must_use]
pub fn meddled(by: Arc<impl Meddler>) -> EngineFactory {
    let by: Arc<dyn Meddler> = by;
    Arc::new(move |room, config, replay| {
        let mixer = match replay {
            Some(replay) => {
                by.replays(room, &replay);
                Mixer::replay(config, replay.history, replay.at, replay.slots)?
            }
            None => Mixer::new(config)?,
        };
        Ok(Box::new(Meddled { mixer, room: room.clone(), by: by.clone() }))
    })
}

struct Meddled {
    mixer: Mixer,
    room: RoomId,
    by: Arc<dyn Meddler>,
}

impl Engine for Meddled {
    fn set_stage(&mut self, stage: Stage) {
        self.mixer.set_stage(stage);
    }

    fn push(&mut self, now: Time, who: &ParticipantId, packet: SpeakerPacket) -> Push {
        self.by.takes(now, who, &packet);
        self.mixer.push(now, who, packet)
    }

    fn monitor(&mut self, who: &ParticipantId, on: bool) -> Result<(), CodecError> {
        self.mixer.monitor(who, on)
    }

    fn tick(&mut self, now: Time, slot: Slot) -> Result<SlotOutput, CodecError> {
        self.by.ticks(&self.room);
        self.mixer.tick(now, slot)
    }
}
