//! Steps in, PCM out: decodes, conceals and stretches one speaker's audio as it is told, and hands it out by
//! the slot.
//!
//! It decides nothing, so that a replay of the same steps gives the same PCM. Steps may come from a peer's
//! log: whatever they say, what is held stays bounded and nothing panics.

use stentor_ids::SLOT_SAMPLES;

use crate::{
    codec::{CodecError, Decoder},
    log::Step,
    packet::Packet,
    stretch,
};

/// Longest run that is concealed: 80 ms. Speech made up for longer than that is noise, so it has faded out by
/// then.
pub(crate) const CONCEAL_MAX: usize = 3840;
/// How much of it is given at full loudness: 20 ms, one packet.
const CONCEAL_HOLD: usize = 960;
/// Length of the fade that follows.
const FADE_OUT: f32 = (CONCEAL_MAX - CONCEAL_HOLD) as f32;
/// Length of the fade-in afterwards: 5 ms.
const FADE_IN: f32 = 240.0;
/// Most audio held: 200 ms, three times what the longest packet and all corrections can leave. Only a peer's
/// log can reach it; what exceeds it is not taken.
const HELD_MAX: usize = 9600;

pub(crate) struct Player {
    decoder: Decoder,
    stream: Option<u64>,
    held: Vec<f32>,
    /// Samples concealed since the last packet.
    concealed: usize,
    /// Where the fade stands: 0 is silence.
    fade: f32,
}

impl Player {
    pub(crate) fn new() -> Result<Self, CodecError> {
        let held = Vec::with_capacity(HELD_MAX);
        Ok(Self { decoder: Decoder::new()?, stream: None, held, concealed: CONCEAL_MAX, fade: 0.0 })
    }

    /// Samples decoded and not handed out yet.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether all that could be concealed was: what follows is silence.
    pub(crate) fn faded_out(&self) -> bool {
        self.concealed >= CONCEAL_MAX
    }

    /// Whether there is nothing to hear and nothing to go on from.
    pub(crate) fn at_rest(&self) -> bool {
        self.faded_out() && self.held.is_empty()
    }

    /// Does one step. `packet` is the one that it names. If it is missing, or libopus cannot make sense of
    /// it, as much is concealed: one speaker's packet never stops the room.
    pub(crate) fn apply(&mut self, step: Step, packet: Option<&Packet>) {
        if self.held.len() >= HELD_MAX {
            return;
        }
        let done = match (step, packet) {
            (Step::Packet(name), Some(packet)) => self.decode(name.stream, packet),
            (Step::Fec(name), Some(packet)) => self.recover(name.stream, packet),
            (Step::Packet(_) | Step::Fec(_), None) => return self.conceal(SLOT_SAMPLES),
            (Step::Conceal(samples), _) => return self.conceal(samples as usize),
            (Step::Drift(by), _) => return self.drift(by),
        };
        if done.is_err() {
            self.conceal(packet.map_or(SLOT_SAMPLES, Packet::samples));
        }
    }

    /// Hands out the next slot; what is not there is silence.
    pub(crate) fn take(&mut self, slot: &mut [f32; SLOT_SAMPLES]) {
        let there = self.held.len().min(SLOT_SAMPLES);
        slot[..there].copy_from_slice(&self.held[..there]);
        slot[there..].fill(0.0);
        self.held.drain(..there);
    }

    /// Holds exactly `samples`, as the log says it was: drops the oldest or puts silence before them.
    pub(crate) fn align(&mut self, samples: usize) {
        let samples = samples.min(HELD_MAX);
        let held = self.held.len();
        if held > samples {
            self.held.drain(..held - samples);
        } else {
            self.held.splice(0..0, std::iter::repeat_n(0.0, samples - held));
        }
    }

    /// Drops what is held and goes to rest.
    pub(crate) fn cut(&mut self) {
        self.held.clear();
        (self.concealed, self.fade) = (CONCEAL_MAX, 0.0);
    }

    /// The lag of at most `longest` at which the audio held can be spliced best.
    pub(crate) fn best_lag(&self, longest: usize) -> Option<usize> {
        stretch::best_lag(&self.held, longest)
    }

    fn decode(&mut self, stream: u64, packet: &Packet) -> Result<(), CodecError> {
        self.follow(stream)?;
        let start = self.held.len();
        self.decoder.decode(packet, &mut self.held)?;
        self.fade_in(start);
        Ok(())
    }

    fn recover(&mut self, stream: u64, next: &Packet) -> Result<(), CodecError> {
        self.follow(stream)?;
        let start = self.held.len();
        self.decoder.recover(next, &mut self.held)?;
        self.fade_in(start);
        Ok(())
    }

    /// A new stream starts with a decoder that knows nothing of the old one.
    fn follow(&mut self, stream: u64) -> Result<(), CodecError> {
        if self.stream.replace(stream).is_some_and(|old| old != stream) {
            self.decoder.reset()?;
        }
        Ok(())
    }

    fn conceal(&mut self, samples: usize) {
        let (start, end) = (self.held.len(), self.held.len() + samples.min(CONCEAL_MAX));
        if !self.faded_out() && self.decoder.conceal(end - start, &mut self.held).is_ok() {
            self.fade_out(start);
        }
        self.held.resize(end, 0.0);
    }

    fn fade_in(&mut self, start: usize) {
        self.concealed = 0;
        for x in &mut self.held[start..] {
            if self.fade >= 1.0 {
                break;
            }
            self.fade += 1.0 / FADE_IN;
            *x *= self.fade.min(1.0);
        }
        self.fade = self.fade.min(1.0);
    }

    fn fade_out(&mut self, start: usize) {
        for x in &mut self.held[start..] {
            self.concealed += 1;
            if self.concealed > CONCEAL_HOLD {
                self.fade = (self.fade - 1.0 / FADE_OUT).max(0.0);
            }
            *x *= self.fade;
        }
    }

    fn drift(&mut self, by: i32) {
        if by.unsigned_abs() as usize > stretch::FINE_MAX {
            stretch::splice(&mut self.held, by);
        } else {
            let from = self.held.len().saturating_sub(SLOT_SAMPLES);
            stretch::stretch(&mut self.held, from, by);
        }
    }
}
