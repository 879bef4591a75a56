//! One speaker in the mix: what waits, what plays, and the decision what each slot takes.
//!
//! | the queue has     | and before it             | the slot gets                                                      |
//! |-------------------|---------------------------|--------------------------------------------------------------------|
//! | the next packet   |                           | it, and a correction of the speaker's clock                        |
//! | a later packet    | a gap of at most 80 ms    | the gap's redundancy or concealment, less what was concealed ahead |
//! | a later packet    | a longer gap              | that packet: the speaker had paused                                |
//! | nothing           | less than 80 ms concealed | concealment on account: the packet may be lost or only late        |
//! | nothing           | 80 ms concealed           | silence; the voice is at rest and costs nothing                    |
//! | a packet, at rest |                           | silence until the packet has the headroom it should have, then it  |

use std::time::Duration;

use stentor_ids::SLOT_SAMPLES;
use stentor_pace::{Time, WallTime};

use crate::{
    codec::CodecError,
    config::Config,
    level::Meter,
    log::{PacketRef, Step, VoiceLog},
    pacer::{Correction, Pacer},
    packet::{Packet, to_duration},
    player::{CONCEAL_MAX, Player},
    queue::{Push, Queue, SpeakerPacket},
};

/// A missing stretch is concealed in steps of 10 ms, the shortest that the speech mode conceals well.
const CONCEAL_STEP: usize = 480;
/// Gains change over 5 ms: too fast to be noticed as a fade, too slow to click.
const GAIN_RAMP: f32 = 240.0;

pub(crate) struct Voice {
    queue: Queue,
    pacer: Pacer,
    player: Player,
    /// Samples concealed while the queue was empty, not yet known to be a loss or a delay.
    on_account: usize,
    /// Length of the last packet, the best guess at the length of a missing one.
    packet_samples: usize,
    /// Capture time of the last packet taken, and how long it is.
    captured: Option<(WallTime, usize)>,
    last_tick: Time,
    gain: f32,
    target_gain: f32,
    meter: Meter,
    /// This slot's audio, with its gain.
    pub(crate) pcm: [f32; SLOT_SAMPLES],
}

impl Voice {
    pub(crate) fn new(config: &Config, gain: f32) -> Result<Self, CodecError> {
        Ok(Self {
            queue: Queue::new(config.max_delay()),
            pacer: Pacer::new(config.headroom(), config.max_delay()),
            player: Player::new()?,
            on_account: 0,
            packet_samples: SLOT_SAMPLES,
            captured: None,
            last_tick: Time::default(),
            gain,
            target_gain: gain,
            meter: Meter::new(),
            pcm: [0.0; SLOT_SAMPLES],
        })
    }

    pub(crate) fn push(&mut self, now: Time, packet: SpeakerPacket) -> Push {
        let (stream, seq, samples) = (packet.stream, packet.seq, packet.packet.samples());
        if stream > self.queue.stream() {
            self.pacer.pause();
            self.on_account = 0;
        }
        let push = self.queue.push(now, packet);
        if !matches!(push, Push::Queued | Push::Late) {
            return push;
        }
        if !self.player.at_rest()
            && let Some(ahead) = self.queue.ahead(seq, samples)
        {
            self.pacer.observe(ahead + self.player.held() as i64 - since(now, self.last_tick));
        }
        match self.queue.shed() {
            0 => push,
            dropped => {
                self.pacer.shift(-(dropped as i64));
                Push::Full
            }
        }
    }

    /// Sets what the voice is mixed with from now on; 0 takes it out and forgets all that waits.
    pub(crate) fn set_gain(&mut self, gain: f32) {
        self.target_gain = gain;
        if gain == 0.0 {
            self.queue.clear();
        }
    }

    /// Whether nothing of it is left to be heard.
    pub(crate) fn at_rest(&self) -> bool {
        self.player.at_rest() && self.queue.front().is_none()
    }

    /// Audio held back, decoded or not.
    pub(crate) fn delay(&self) -> Duration {
        to_duration(self.queue.samples() + self.player.held())
    }

    /// Decides and does what this slot takes; gives what was done, or nothing for a voice at rest.
    pub(crate) fn fill(&mut self, now: Time) -> Option<(u32, Vec<Step>)> {
        self.last_tick = now;
        if self.at_rest() {
            return None;
        }
        self.pacer.slot();
        let (carried, mut steps) = (self.player.held() as u32, Vec::new());
        if self.target_gain > 0.0 && (!self.player.at_rest() || self.start(now, &mut steps)) {
            while self.player.held() < SLOT_SAMPLES && self.pull(&mut steps) {}
        }
        let silent = self.player.at_rest() && steps.is_empty();
        (!silent).then_some((carried, steps))
    }

    /// Does again what a log says was done.
    pub(crate) fn repeat<'a>(
        &mut self,
        log: &VoiceLog,
        packet: impl Fn(PacketRef) -> Option<&'a SpeakerPacket>,
    ) {
        self.player.align(log.carried as usize);
        for step in &log.steps {
            let named = match *step {
                Step::Packet(name) | Step::Fec(name) => packet(name),
                Step::Conceal(_) | Step::Drift(_) => None,
            };
            if let (Step::Packet(_), Some(packet)) = (step, named) {
                self.took(packet.packet.samples(), packet.captured);
            }
            self.player.apply(*step, named.map(|packet| &packet.packet));
        }
    }

    /// Goes on after a replay: `last` is the last packet that was used, `now` the time of the last slot.
    pub(crate) fn resume(&mut self, last: Option<PacketRef>, now: Time) {
        self.last_tick = now;
        if let Some(last) = last {
            self.queue.resume_after(last.stream, last.seq);
        }
    }

    /// Hands this slot's audio out into `pcm`, and gives its level.
    pub(crate) fn render(&mut self) -> i8 {
        self.player.take(&mut self.pcm);
        // Not seen from libopus; one such sample would stay in the limiter for good.
        if !self.pcm.iter().sum::<f32>().is_finite() {
            self.pcm.fill(0.0);
        }
        let (from, to) = (self.gain, self.target_gain);
        for (i, x) in (1u16..).zip(&mut self.pcm) {
            *x *= from + (to - from) * (f32::from(i) / GAIN_RAMP).min(1.0);
        }
        self.gain = to;
        if to == 0.0 {
            self.player.cut();
        }
        let level = self.meter.measure(&self.pcm);
        if self.at_rest() {
            self.pacer.pause();
            self.meter = Meter::new();
        }
        level
    }

    /// When the first sample of the coming slot was captured, if that is known.
    pub(crate) fn captured(&self) -> Option<WallTime> {
        let (at, samples) = self.captured?;
        let held = self.player.held();
        (held > 0).then(|| {
            at + to_duration(samples.saturating_sub(held)) - to_duration(held.saturating_sub(samples))
        })
    }

    /// At rest with packets waiting: whether speech begins in this slot, with silence put before it so that
    /// the packet gets its headroom.
    fn start(&mut self, now: Time, steps: &mut Vec<Step>) -> bool {
        while self.queue.front().is_some_and(|(_, waiting)| waiting.packet.is_dtx()) {
            self.queue.take();
        }
        let Some((seq, waiting)) = self.queue.front() else { return false };
        let headroom = since(now, waiting.at) - SLOT_SAMPLES as i64;
        let pad = self.pacer.headroom_at_start() - headroom;
        if pad >= SLOT_SAMPLES as i64 {
            return false;
        }
        self.queue.give_up_to(seq);
        self.on_account = 0;
        self.pacer.observe(headroom + pad.max(0));
        if pad > 0 {
            self.step(Step::Conceal(pad as u32), None, steps);
        }
        true
    }

    /// Adds to what is held; false when there is nothing to add but silence.
    fn pull(&mut self, steps: &mut Vec<Step>) -> bool {
        let Some((seq, _)) = self.queue.front() else { return self.starve(steps) };
        let missing = self.queue.next().map_or(0, |next| seq.saturating_sub(next));
        if missing > 0 {
            self.bridge(seq, missing, steps);
        }
        self.play(steps);
        true
    }

    /// Nothing has come: conceals on account.
    fn starve(&mut self, steps: &mut Vec<Step>) -> bool {
        if self.player.faded_out() {
            return false;
        }
        let samples = (SLOT_SAMPLES - self.player.held()).next_multiple_of(CONCEAL_STEP);
        self.step(Step::Conceal(samples as u32), None, steps);
        self.on_account += samples;
        self.pacer.shift(samples as i64);
        true
    }

    /// The packets before `seq` are lost: conceals what was not concealed on account already.
    fn bridge(&mut self, seq: u64, missing: u64, steps: &mut Vec<Step>) {
        let lost = usize::try_from(missing).unwrap_or(usize::MAX).saturating_mul(self.packet_samples);
        self.queue.give_up_to(seq);
        if lost > CONCEAL_MAX {
            self.pacer.pause();
            return;
        }
        let open = lost.saturating_sub(self.on_account) / CONCEAL_STEP * CONCEAL_STEP;
        self.pacer.shift(open as i64 - lost as i64);
        let Some((_, next)) = self.queue.front() else { return };
        let packet = next.packet.clone();
        let recovered = if open >= packet.samples() { packet.samples() } else { 0 };
        if open > recovered {
            self.step(Step::Conceal((open - recovered) as u32), None, steps);
        }
        if recovered > 0 {
            let name = PacketRef { stream: self.queue.stream(), seq };
            self.step(Step::Fec(name), Some(&packet), steps);
        }
    }

    /// Plays the oldest packet and corrects the clock.
    fn play(&mut self, steps: &mut Vec<Step>) {
        let Some((seq, waiting)) = self.queue.take() else { return };
        let samples = waiting.packet.samples();
        self.on_account = 0;
        if waiting.packet.is_dtx() {
            return self.step(Step::Conceal(samples as u32), None, steps);
        }
        self.took(samples, waiting.captured);
        let name = PacketRef { stream: self.queue.stream(), seq };
        self.step(Step::Packet(name), Some(&waiting.packet), steps);
        let by = match self.pacer.correction(samples) {
            Correction::None => return,
            Correction::Fine(by) => by,
            Correction::Repeat => self.player.best_lag(usize::MAX).map_or(0, |lag| lag as i32),
            Correction::Cut(most) => self.player.best_lag(most).map_or(0, |lag| -(lag as i32)),
        };
        if by == 0 {
            return;
        }
        let before = self.player.held() as i64;
        self.step(Step::Drift(by), None, steps);
        self.pacer.shift(self.player.held() as i64 - before);
    }

    fn step(&mut self, step: Step, packet: Option<&Packet>, steps: &mut Vec<Step>) {
        self.player.apply(step, packet);
        steps.push(step);
    }

    fn took(&mut self, samples: usize, captured: WallTime) {
        self.packet_samples = samples;
        self.captured = (captured != WallTime::default()).then_some((captured, samples));
    }
}

/// Samples at 48 kHz between two times.
fn since(now: Time, earlier: Time) -> i64 {
    let micros = if now >= earlier {
        now.since(earlier).as_micros() as i64
    } else {
        -(earlier.since(now).as_micros() as i64)
    };
    micros.saturating_mul(48) / 1000
}
