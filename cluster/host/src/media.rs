//! The audio of one live room: every 20 ms it takes what the speakers sent, mixes a slot, and gives it to the feed. It runs
//! outside the room actor's mailbox, as a task that the actor starts, steers and restarts.
//!
//! Invariants: slots only rise, and none at or above the end that the actor set is emitted; a change of the stage holds
//! from the next slot on (`RoleGate`).

use std::{collections::BTreeSet, sync::Arc};

use stentor_ids::{Epoch, Lineage, ParticipantId, SLOT_SAMPLES, Slot};
use stentor_mix::{CodecError, Push, SlotOutput, SlotStats, Stage};
use stentor_pace::{WallTime, check::SlotOnce};
use stentor_relay::{Frame, Inserted};
use stentor_telemetry::{Frames, NodeMetrics, Packet, Tier};
use tokio::{sync::watch, task::AbortHandle, time::sleep_until};

use crate::{
    clock::Clock,
    engine::Engine,
    hosted::Hosted,
    mirror::Mixed,
    speakers::Arrival,
    timebase::{Timebase, wall},
};

/// Slots that are mixed and thrown away before the first one that is emitted, where there is time: speakers whose links
/// come over early are then in step already.
const WARM_UP: u64 = 50;

/// Furthest that a child's report moves a room forward: an hour. No clock is that wrong for long, and a report that says
/// more is a bug that must not take the room's numbers to their end.
const FURTHEST_LIFT: u64 = 3600 * stentor_ids::SLOTS_PER_SECOND;

/// What a media loop starts from.
pub(crate) struct Start {
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) stage: Arc<Stage>,
    pub(crate) epoch: Epoch,
    pub(crate) lineage: Lineage,
    /// Go-live time.
    pub(crate) since: WallTime,
    /// The first slot to emit.
    pub(crate) first: Slot,
    pub(crate) timebase: Timebase,
    pub(crate) metrics: NodeMetrics,
}

/// A running media loop. Dropping it stops the audio.
pub(crate) struct Media {
    steer: watch::Sender<Steer>,
    task: AbortHandle,
}

#[derive(Clone)]
struct Steer {
    stage: Arc<Stage>,
    /// The first slot that is not emitted any more.
    end: Option<Slot>,
}

/// How a media loop ended by itself.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It came to its end slot.
    Done,
    /// It panicked, or the codec could not be had; with what it said.
    Failed(String),
}

impl Media {
    /// Starts the loop; `ended` is told when it ends by itself.
    pub(crate) fn start(start: Start, ended: impl FnOnce(Outcome) + Send + 'static) -> Self {
        let (steer, steered) = watch::channel(Steer { stage: start.stage.clone(), end: None });
        let task = tokio::spawn(Loop::new(start, steered).run());
        let abort = task.abort_handle();
        tokio::spawn(async move {
            match task.await {
                Ok(Ok(())) => ended(Outcome::Done),
                Ok(Err(error)) => ended(Outcome::Failed(error.to_string())),
                Err(error) if error.is_panic() => ended(Outcome::Failed(text(&*error.into_panic()))),
                Err(_) => {}
            }
        });
        Self { steer, task: abort }
    }

    /// Whoever may speak from the next slot on.
    pub(crate) fn set_stage(&self, stage: Arc<Stage>) {
        self.steer.send_modify(|steer| steer.stage = stage);
    }

    /// Emits no slot from `end` on. Then the loop is done.
    pub(crate) fn end_at(&self, end: Slot) {
        self.steer.send_modify(|steer| steer.end = Some(end));
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a panic said.
fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

struct Loop {
    hosted: Arc<Hosted>,
    engine: Box<dyn Engine>,
    steered: watch::Receiver<Steer>,
    clock: Clock,
    epoch: Epoch,
    lineage: Lineage,
    first: Slot,
    timebase: Timebase,
    metrics: NodeMetrics,
    check: SlotOnce,
    /// Who hears the room without itself, as of this version of the speakers.
    monitors: (u64, BTreeSet<ParticipantId>),
    arrivals: Vec<Arrival>,
    /// Samples concealed that do not make a packet yet.
    concealed: u32,
}

impl Loop {
    fn new(start: Start, steered: watch::Receiver<Steer>) -> Self {
        let Start { hosted, mut engine, stage, epoch, lineage, since, first, timebase, metrics } = start;
        let (now, wall) = (timebase.now(), wall());
        let by_clock = Slot::at(wall.since(since)).next();
        let begin = Slot(first.0.saturating_sub(WARM_UP)).max(by_clock).min(first);
        engine.set_stage((*stage).clone());
        Self {
            clock: Clock::new(begin, since, wall, now),
            hosted,
            engine,
            steered,
            epoch,
            lineage,
            first,
            timebase,
            metrics,
            check: SlotOnce::default(),
            monitors: (0, BTreeSet::new()),
            arrivals: Vec::new(),
            concealed: 0,
        }
    }

    async fn run(mut self) -> Result<(), CodecError> {
        loop {
            sleep_until(self.timebase.instant(self.clock.at())).await;
            self.lift();
            while let Some(due) = self.clock.poll(self.timebase.now()) {
                if self.steer(due.slot) {
                    return Ok(());
                }
                self.metrics.tick_late().observe(due.late);
                self.metrics.frames(Tier::Origin, Frames::Skipped).inc_by(due.skipped);
                self.take_packets();
                self.set_monitors()?;
                let started = self.timebase.now();
                let output = self.engine.tick(started, due.slot)?;
                self.metrics.mix().observe(self.timebase.now().since(started));
                if due.slot >= self.first {
                    self.emit(due.slot, output);
                }
                // A loop that makes up for a stall lets others run in between.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Goes above what any child has seen: slots, and lineages too.
    fn lift(&mut self) {
        let Some(seen) = self.hosted.feed.reported() else { return };
        if seen.lineage > self.lineage {
            self.lineage = seen.lineage.next();
        }
        let next = self.first.max(self.clock.next());
        if seen.slot >= next && seen.slot.since(next) <= FURTHEST_LIFT {
            self.first = seen.slot.next();
            self.clock.lift(self.first);
            let skipped = self.first.since(next);
            tracing::info!(room = %self.hosted.id, skipped, "a child has seen later slots; going on above them");
        }
    }

    /// Obeys the actor. Returns whether the end has come.
    fn steer(&mut self, slot: Slot) -> bool {
        if self.steered.has_changed().unwrap_or(false) {
            let steer = self.steered.borrow_and_update().clone();
            self.engine.set_stage((*steer.stage).clone());
            self.write(|| Mixed::Stage(steer.stage));
        }
        self.steered.borrow().end.is_some_and(|end| slot >= end)
    }

    fn take_packets(&mut self) {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        self.hosted.speakers.drain(&mut arrivals);
        for Arrival { at, who, packet } in arrivals.drain(..) {
            let outcome = match self.engine.push(at, &who, packet) {
                Push::Queued => Packet::Taken,
                Push::Full => Packet::Dropped,
                Push::Late => Packet::Late,
                Push::OldStream => Packet::Stale,
                Push::Muted | Push::NotOnStage => Packet::Forbidden,
                // Sent twice on the way: nothing is lost and nothing gained.
                Push::Duplicate => continue,
            };
            self.metrics.uplink_packets(Tier::Origin, outcome).inc();
        }
        self.arrivals = arrivals;
    }

    fn set_monitors(&mut self) -> Result<(), CodecError> {
        let version = self.hosted.speakers.version();
        if version == self.monitors.0 {
            return Ok(());
        }
        let wanted: BTreeSet<_> = self.hosted.speakers.monitors().into_iter().collect();
        for who in self.monitors.1.difference(&wanted) {
            self.engine.monitor(who, false)?;
        }
        for who in wanted.difference(&self.monitors.1) {
            self.engine.monitor(who, true)?;
        }
        self.monitors = (version, wanted);
        Ok(())
    }

    fn emit(&mut self, slot: Slot, output: SlotOutput) {
        let SlotOutput { opus, talkers, captured, monitors, log, stats } = output;
        let (epoch, lineage) = (self.epoch, self.lineage);
        let frame = Frame { epoch, lineage, slot, opus, captured: captured.unwrap_or_default() };
        let outcome = match self.hosted.feed.push(frame.clone()) {
            Inserted::New => Frames::In,
            Inserted::Duplicate => Frames::Duplicate,
            Inserted::Fenced => Frames::Fenced,
            Inserted::TooOld | Inserted::OldLineage => Frames::Late,
        };
        self.metrics.frames(Tier::Origin, outcome).inc();
        if let Err(violation) = self.check.given(slot, lineage) {
            self.metrics.violated(&violation);
        }
        self.hosted.emitted(slot);
        for (who, opus) in monitors {
            if let Some(edge) = self.hosted.speakers.link(&who) {
                edge.monitor(&who, slot, opus);
            }
        }
        let levels = talkers.into_iter().map(|talker| (talker.participant, talker.level_dbov));
        *self.hosted.levels.lock() = levels.collect();
        self.write(|| Mixed::Slot(Arc::new(log)));
        self.write(|| Mixed::Frame(frame));
        self.count(stats);
    }

    /// Writes to the mix log, if anybody reads it.
    fn write(&self, mixed: impl FnOnce() -> Mixed) {
        if self.hosted.mix_log.is_followed() {
            self.hosted.mix_log.write(mixed());
        }
    }

    fn count(&mut self, stats: SlotStats) {
        self.concealed += stats.concealed_samples;
        let packets = self.concealed / SLOT_SAMPLES as u32;
        self.concealed %= SLOT_SAMPLES as u32;
        self.metrics.uplink_packets(Tier::Origin, Packet::Concealed).inc_by(packets.into());
    }
}
