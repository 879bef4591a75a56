//! The loop of one room's audio: it waits for what is due or told, and does what `relay::Origin` says. What is decided is
//! decided there; here is in which order things are read, mixed, passed on and told.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use ractor::ActorRef;
use stentor_ids::{Epoch, Lineage, Slot};
use stentor_link::{Follower, Mirror};
use stentor_mix::Config;
use stentor_pace::{Time, WallTime, check::SlotOnce};
use stentor_proto::v1::{self, happening::What};
use stentor_relay::{Due, Frame, Inserted, Way, origin::Act};
use stentor_telemetry::{Frames, Tier};
use tokio::{sync::watch, time::sleep_until};

use super::{
    start::{Failure, Start, Steer},
    studio::Studio,
};
use crate::{hosted::Hosted, message::Message, mix_log::Mixed, origin::Origin};

/// How long after it was due a slot is to be mixed at latest: the shortest seam buffer that is of use (60 ms), less the slot's
/// mixing and its way over two hops.
const SEAM: Duration = Duration::from_millis(50);
/// Most that is read of the other origin at once before this one looks what is due: more than its stream holds back.
const READ_AT_ONCE: usize = 256;

pub(super) struct Loop {
    pub(super) origin: Arc<Origin>,
    pub(super) hosted: Arc<Hosted>,
    pub(super) actor: ActorRef<Message>,
    steered: watch::Receiver<Steer>,
    /// What the actor said last; the machine may know more by now.
    pub(super) steer: Steer,
    pub(super) machine: stentor_relay::Origin<Mirror>,
    pub(super) studio: Studio,
    follower: Follower,
    check: SlotOnce,
}

impl Loop {
    pub(super) fn new(start: Start, mut steered: watch::Receiver<Steer>) -> Self {
        let Start { origin, hosted, actor, .. } = start;
        let steer = steered.borrow_and_update().clone();
        let bitrate_bps = hosted.published().record.spec().bitrate_bps;
        let config = Config { bitrate_bps, complexity: origin.config.complexity, ..Config::default() };
        let mut studio =
            Studio::new(hosted.id.clone(), config, origin.engines.clone(), origin.metrics.clone());
        studio.set_stage(steer.stage.stage.clone());
        let follower = Follower::new(origin.me.clone(), origin.pool.clone(), hosted.id.clone());
        let mut machine = stentor_relay::Origin::new(steer.term, steer.peer.clone());
        machine.stage(Way::Own, steer.stage.id());
        if let Some(begin) = steer.begin {
            machine.begin(stentor_clock::now(), stentor_clock::wall(), begin);
        }
        let check = SlotOnce::default();
        Self { origin, hosted, actor, steered, steer, machine, studio, follower, check }
    }

    pub(super) fn now(&self) -> Time {
        stentor_clock::now()
    }

    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let sleep = sleep_until(stentor_clock::instant(self.now()));
        tokio::pin!(sleep);
        loop {
            self.lift();
            if !self.studio.is_open() {
                // An open one takes them slot by slot.
                self.studio.take_packets(&self.hosted.speakers);
            }
            // Before anything is concluded: a pause of this process says nothing of the other origin.
            self.feel_pulse();
            if self.act().await? {
                return Ok(());
            }
            sleep.as_mut().reset(stentor_clock::instant(self.machine.next_deadline().at));
            tokio::select! {
                // What is told goes before what is due, so that a slot is mixed under the newest stage, and none is taken
                // for missing that is here already.
                biased;
                changed = self.steered.changed() => match changed {
                    Ok(()) => self.obey(),
                    // The handle is dropped, and this task with it.
                    Err(_) => return Ok(()),
                },
                followed = self.follower.next() => self.told(followed),
                () = &mut sleep => {}
            }
        }
    }

    /// Does what is to be done now. Returns whether the end has come.
    async fn act(&mut self) -> Result<bool, Failure> {
        // The time is read for each: a replay and a mix take some of it.
        while let Some(act) = self.machine.poll(self.now()) {
            match act {
                Act::Read => self.read_up().await,
                Act::TakeOver { slot, due, promised } => self.take_over(slot, due, promised).await?,
                Act::Emit { due, epoch, lineage } => {
                    self.emit(due, epoch, lineage).await?;
                    // A loop that makes up for a stall lets others run in between.
                    tokio::task::yield_now().await;
                }
                Act::Yield => self.keep(),
                Act::Follow { peer, epoch, another } => self.follow(peer, epoch, another),
                Act::Say => self.say(),
                Act::Over => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Before a slot of the other origin is said to be missing, what it has sent is read: this loop may come late to its turn,
    /// and so may the connection that brings it.
    async fn read_up(&mut self) {
        for again in [true, false] {
            self.feel_pulse();
            for _ in 0..READ_AT_ONCE {
                let Some(followed) = self.follower.next().now_or_never() else { break };
                self.told(followed);
            }
            if again {
                // The connection's own task has its turn, and then what it brought is read.
                tokio::task::yield_now().await;
            }
        }
        self.machine.has_read();
    }

    fn feel_pulse(&mut self) {
        if let Some(stood) = self.origin.pulse.stood(self.now()) {
            self.machine.stood_still(stood);
        }
    }

    /// Obeys the actor: the stage first, as what begins or ends with it is mixed under it; the end last, as a beginning
    /// forgets the one before.
    fn obey(&mut self) {
        let steer = self.steered.borrow_and_update().clone();
        let old = std::mem::replace(&mut self.steer, steer);
        let stage = self.steer.stage.clone();
        if !Arc::ptr_eq(&old.stage.stage, &stage.stage) && self.heed(Way::Own, &stage) {
            self.write(|| Mixed::Stage(stage));
        }
        if old.term != self.steer.term {
            self.machine.enter(self.steer.term);
        }
        if old.peer != self.steer.peer {
            self.machine.meet(self.steer.peer.clone());
        }
        if let Some(begin) = self.steer.begin.filter(|begin| old.begin != Some(*begin)) {
            self.machine.begin(self.now(), stentor_clock::wall(), begin);
        }
        if let Some(end) = self.steer.end {
            self.machine.end_at(end);
        }
        self.heed_record();
    }

    fn follow(&mut self, peer: Option<Mirror>, epoch: Epoch, another: bool) {
        if another {
            self.hosted.peer.become_another(peer.clone());
        }
        self.follower.follow(peer, epoch);
    }

    /// The other origin mixes from now on.
    pub(super) fn keep(&mut self) {
        self.studio.close();
        self.hosted.set_leads(false);
        // Who is how loud is known to who mixes.
        self.hosted.levels.lock().clear();
    }

    /// The other origin has fallen silent, or this one's time has come.
    async fn take_over(&mut self, slot: Slot, due: Time, promised: bool) -> Result<(), Failure> {
        let started = self.now();
        // The owner's stream may bring nothing for a while before it is found lost.
        self.heed_record();
        let replayed = self.studio.open(slot, promised, &self.origin.replays, due + SEAM).await?;
        let took = self.now().since(started);
        tracing::info!(room = %self.hosted.id, %slot, replayed, ?took, "this origin goes on with the audio");
        Ok(())
    }

    /// Goes above what any child has seen: slots, and lineages too; and above any that one is stuck on.
    fn lift(&mut self) {
        let room = &self.hosted.id;
        if let Some(seen) = self.hosted.feed.reported()
            && let Some(ahead) = self.machine.lift(seen.slot, seen.lineage)
        {
            tracing::info!(%room, ahead, "a child has seen later slots; going on above them");
        }
        if let Some(stuck) = self.hosted.feed.stuck()
            && let Some(lineage) = self.machine.lift_above_stuck(self.now(), stuck.lineage)
        {
            let (on, stood) = (stuck.lineage, stuck.stood);
            tracing::info!(%room, %on, ?stood, %lineage, "a child is stuck on a lineage; going on above it");
        }
    }

    async fn emit(&mut self, due: Due, epoch: Epoch, lineage: Lineage) -> Result<(), Failure> {
        let Due { slot, late, skipped } = due;
        if !self.studio.is_open() {
            // A room that begins here and is not taken over: nobody has said of it that a replay is ready.
            let by = self.now() + SEAM;
            self.studio.open(slot, false, &self.origin.replays, by).await?;
        }
        let metrics = &self.origin.metrics;
        metrics.tick_late().observe(late);
        metrics.frames(Tier::Origin, Frames::Skipped).inc_by(skipped);
        self.studio.take_packets(&self.hosted.speakers);
        let started = self.now();
        let Some(output) = self.studio.tick(started, slot, &self.hosted.speakers)? else { return Ok(()) };
        self.origin.metrics.mix().observe(self.now().since(started));
        let captured = output.captured.unwrap_or_default();
        let frame = Frame { epoch, lineage, slot, opus: output.opus, captured };
        // Children first: everything after this can wait, a slot cannot.
        let (now, inserted) = self.pass(&frame);
        if let Err(violation) = self.check.given(slot, lineage) {
            self.origin.metrics.violated(&violation);
        }
        if let Some(before) = self.machine.emitted(now, &frame, inserted) {
            self.become_leader(slot, before, lineage);
        }
        for (who, opus) in output.monitors {
            if let Some(edge) = self.hosted.speakers.link(&who) {
                edge.monitor(&who, slot, opus);
            }
        }
        let levels = output.talkers.into_iter().map(|talker| (talker.participant, talker.level_dbov));
        *self.hosted.levels.lock() = levels.collect();
        // What the slot was made of goes before the slot: a mirror that has the frame has what it needs to go on after it.
        self.write(|| Mixed::Slot(Arc::new(output.log)));
        self.write(|| Mixed::Frame(frame));
        Ok(())
    }

    /// Gives a frame to those who follow. Returns when, and whether it was good.
    pub(super) fn pass(&mut self, frame: &Frame) -> (Time, Inserted) {
        let inserted = self.hosted.feed.push(frame.clone());
        let outcome = match inserted {
            Inserted::New => Frames::In,
            Inserted::Duplicate => Frames::Duplicate,
            Inserted::Fenced => Frames::Fenced,
            Inserted::TooOld | Inserted::OldLineage => Frames::Late,
        };
        self.origin.metrics.frames(Tier::Origin, outcome).inc();
        let now = self.now();
        if inserted == Inserted::New {
            self.hosted.passed(now, frame.slot);
        }
        (now, inserted)
    }

    /// Tells everyone that concerns it that this origin leads now, under this lineage.
    fn become_leader(&mut self, slot: Slot, from: Lineage, to: Lineage) {
        self.hosted.set_leads(true);
        let leader = self.origin.me.to_string();
        let change = v1::LineageChange { from: from.0, to: to.0, leader, slot: slot.0 };
        self.origin.journal.tell(Some(&self.hosted.id), What::Lineage(change));
        self.say();
    }

    /// Says how this origin stands.
    pub(super) fn say(&mut self) {
        let state = self.machine.say(self.now(), self.studio.is_ready());
        self.write(|| Mixed::Origin(state));
    }

    /// Says something to the other origin, if it follows.
    fn write(&self, mixed: impl FnOnce() -> Mixed) {
        if self.hosted.mix_log.is_followed() {
            self.hosted.mix_log.write(mixed());
        }
    }

    /// The room is live since then: slots are due.
    pub(super) fn become_live(&mut self, since: WallTime) {
        self.machine.become_live(self.now(), stentor_clock::wall().since(since));
    }
}
