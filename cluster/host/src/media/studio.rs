//! What a room is mixed with: the engine while this origin leads, and all along the history from which it could begin to.

use std::{collections::BTreeSet, sync::Arc};

use stentor_ids::{ParticipantId, RoomId, SLOT_SAMPLES, Slot};
use stentor_mix::{
    CodecError, Config, HISTORY_SLOTS, History, LogEntry, Push, REPLAY_MIN_SLOTS, ReplayError, SlotOutput,
    SlotStats, Stage,
};
use stentor_pace::{Invariant, Time};
use stentor_telemetry::{NodeMetrics, Packet, Tier};

use crate::{
    edges::Edge,
    engine::{Engine, EngineFactory, Replay},
    replays::Replays,
    speakers::{Arrival, Speakers},
};

/// Slots between the end of the history and the first to mix, beyond which nothing is replayed: what was decoded then has
/// little to do with what comes now.
const LONGEST_GAP: u64 = 10;

/// The engine and the history of one room.
pub(super) struct Studio {
    room: RoomId,
    config: Config,
    engines: EngineFactory,
    metrics: NodeMetrics,
    engine: Option<Box<dyn Engine>>,
    stage: Arc<Stage>,
    history: History,
    /// When the last slot of the history came.
    logged: Time,
    /// Who hears the room without itself, as of this version of the speakers.
    monitors: (u64, BTreeSet<ParticipantId>),
    arrivals: Vec<Arrival>,
    /// Samples concealed that do not make a packet yet.
    concealed: u32,
}

impl Studio {
    pub(super) fn new(room: RoomId, config: Config, engines: EngineFactory, metrics: NodeMetrics) -> Self {
        Self {
            room,
            config,
            engines,
            metrics,
            engine: None,
            stage: Arc::default(),
            history: History::new(),
            logged: Time::default(),
            monitors: (0, BTreeSet::new()),
            arrivals: Vec::new(),
            concealed: 0,
        }
    }

    /// Who may be mixed from the next slot on.
    pub(super) fn set_stage(&mut self, stage: Arc<Stage>) {
        let goes_back = |newest: &Stage| stage.version <= newest.version && *stage != *newest;
        if self.history.newest_stage().is_some_and(goes_back) {
            // A new owner's record lacks what the former one had decided and could not commit any more.
            self.history.clear();
        }
        self.history.push_stage((*stage).clone());
        if let Some(engine) = &mut self.engine {
            engine.set_stage((*stage).clone());
        }
        self.stage = stage;
    }

    /// Whether a start could be made at once with all that one needs.
    pub(super) fn is_ready(&self) -> bool {
        self.engine.is_some() || self.history.ready(HISTORY_SLOTS).is_ok()
    }

    /// Begins to mix at a slot, which is to be mixed `by` then: from the history as far as it reaches and there is time,
    /// else with fresh codecs. `promised` says that this origin has told that it is ready. Returns how many slots were
    /// replayed.
    pub(super) async fn open(
        &mut self,
        slot: Slot,
        promised: bool,
        replays: &Arc<Replays>,
        by: Time,
    ) -> Result<usize, ReplayError> {
        let reaches = self.history.last_slot().is_some_and(|last| slot.since(last) <= LONGEST_GAP);
        let lengths = [HISTORY_SLOTS, REPLAY_MIN_SLOTS];
        let slots = lengths.into_iter().find(|slots| reaches && self.history.ready(*slots).is_ok());
        if promised
            && reaches
            && let Err(lacks) = self.history.ready(HISTORY_SLOTS)
        {
            self.metrics.violated(&Invariant::MirrorReady.broken(format!("at slot {slot}: {lacks}")));
        }
        let (mut engine, replayed) = match slots {
            // Fresh codecs are as good, and made at once.
            Some(slots) if self.history.rests() => (self.make(Some(slots))?, 0),
            Some(most) => self.replay(most, replays, by).await?,
            None => (self.make(None)?, 0),
        };
        engine.set_stage((*self.stage).clone());
        self.engine = Some(engine);
        self.monitors = (0, BTreeSet::new());
        Ok(replayed)
    }

    fn make(&self, slots: Option<usize>) -> Result<Box<dyn Engine>, ReplayError> {
        let replay = slots.map(|slots| Replay { history: &self.history, at: self.logged, slots });
        (self.engines)(&self.room, self.config, replay)
    }

    /// Replays at most so many slots, when this room's turn comes. The history is lent for that long.
    async fn replay(
        &mut self,
        most: usize,
        replays: &Arc<Replays>,
        by: Time,
    ) -> Result<(Box<dyn Engine>, usize), ReplayError> {
        let (engines, room, config, at) = (self.engines.clone(), self.room.clone(), self.config, self.logged);
        let history = std::mem::take(&mut self.history);
        let replay = move |slots: usize| {
            let slots = slots.min(most);
            let engine = engines(&room, config, Some(Replay { history: &history, at, slots }));
            (history, engine.map(|engine| (engine, slots)))
        };
        let (history, outcome) = replays.run(by, replay).await;
        self.history = history;
        outcome
    }

    pub(super) const fn is_open(&self) -> bool {
        self.engine.is_some()
    }

    /// The other origin mixes from now on. What was mixed here is kept: whoever is heard next may fall silent at once
    /// (ADR 25).
    pub(super) fn close(&mut self) {
        self.engine = None;
    }

    /// What a slot of the other origin was made of.
    pub(super) fn log(&mut self, now: Time, entry: LogEntry) {
        self.history.push_log(entry);
        self.logged = now;
    }

    /// Takes what the speakers have sent since the last slot.
    pub(super) fn take_packets(&mut self, speakers: &Speakers<Edge>) {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        speakers.drain(&mut arrivals);
        for Arrival { at, who, packet } in arrivals.drain(..) {
            self.history.push_packet(at, &who, packet.clone());
            let Some(engine) = &mut self.engine else { continue };
            let outcome = match engine.push(at, &who, packet) {
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

    /// Mixes a slot; `None` while the studio is closed.
    pub(super) fn tick(
        &mut self,
        now: Time,
        slot: Slot,
        speakers: &Speakers<Edge>,
    ) -> Result<Option<SlotOutput>, CodecError> {
        self.set_monitors(speakers)?;
        let Some(engine) = &mut self.engine else { return Ok(None) };
        let output = engine.tick(now, slot)?;
        self.history.push_log(output.log.clone());
        self.logged = now;
        self.count(output.stats);
        Ok(Some(output))
    }

    fn set_monitors(&mut self, speakers: &Speakers<Edge>) -> Result<(), CodecError> {
        let version = speakers.version();
        let Some(engine) = &mut self.engine else { return Ok(()) };
        if version == self.monitors.0 {
            return Ok(());
        }
        let wanted: BTreeSet<_> = speakers.monitors().into_iter().collect();
        for who in self.monitors.1.difference(&wanted) {
            engine.monitor(who, false)?;
        }
        for who in wanted.difference(&self.monitors.1) {
            engine.monitor(who, true)?;
        }
        self.monitors = (version, wanted);
        Ok(())
    }

    fn count(&mut self, stats: SlotStats) {
        self.concealed += stats.concealed_samples;
        let packets = self.concealed / SLOT_SAMPLES as u32;
        self.concealed %= SLOT_SAMPLES as u32;
        self.metrics.uplink_packets(Tier::Origin, Packet::Concealed).inc_by(packets.into());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stentor_ids::NodeId;
    use stentor_mix::Participant;
    use stentor_telemetry::Metrics;

    use super::*;
    use crate::engine::mixers;

    #[tokio::test]
    async fn one_that_steps_down_could_go_on_at_once() {
        let (room, node) = (RoomId::new("room").unwrap(), NodeId::new("origin").unwrap());
        let metrics = Metrics::new().for_node(&node);
        let mut studio = Studio::new(room, Config::default(), mixers(), metrics);
        let participants = vec![Participant::open(ParticipantId::new("ann").unwrap())];
        studio.set_stage(Arc::new(Stage { version: 1, participants }));
        let now = stentor_clock::now();
        studio.open(Slot(0), false, &Replays::new(), now).await.unwrap();
        let speakers = Speakers::new();
        for slot in 0..HISTORY_SLOTS as u64 {
            let at = now + Duration::from_millis(20) * u32::try_from(slot).unwrap();
            assert!(studio.tick(at, Slot(slot), &speakers).unwrap().is_some());
        }
        studio.close();
        assert!(!studio.is_open() && studio.is_ready());
    }
}
