//! The loop of one room's audio: it waits for what is due or told, and does what `relay::Leadership` says.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use ractor::ActorRef;
use stentor_ids::{Epoch, Lineage, Slot};
use stentor_link::{Follower, Mirror};
use stentor_mix::Config;
use stentor_pace::{Time, WallTime, check::SlotOnce};
use stentor_proto::v1::{self, happening::What};
use stentor_relay::{Act, Ceiling, Due, Frame, Grid, Inserted, Leadership, Side};
use stentor_telemetry::{Frames, Tier};
use tokio::{sync::watch, time::sleep_until};

use super::{Begin, Failure, Reign, Start, Steer, studio::Studio};
use crate::{actor::Message, hosted::Hosted, mirror::Mixed, origin::Origin, timebase::wall};

/// How far a child's report may be ahead of a room that is on the air already: the clocks of two origins differ, and what
/// was emitted by one of them is no reason for the other to jump.
const CLOCKS_DIFFER: u64 = 25;
/// Furthest that a child's report moves a room forward: an hour. No clock is that wrong for long, and a report that says
/// more is a bug that must not take the room's numbers to their end.
const FURTHEST_LIFT: u64 = 3600 * stentor_ids::SLOTS_PER_SECOND;
/// How often the other origin is told how this one stands, changes apart.
const SAY_EVERY: Duration = Duration::from_millis(400);
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
    pub(super) steer: Steer,
    /// Slots below the reign's first one are of this epoch's.
    before: Reign,
    /// `None` until the room is live, as far as is known here.
    pub(super) leadership: Option<Leadership>,
    pub(super) studio: Studio,
    pub(super) follower: Follower,
    /// Whom the follower follows, and under which epoch.
    followed: Option<(Mirror, Epoch)>,
    check: SlotOnce,
    /// Which slots of the other origin are believed.
    pub(super) ceiling: Ceiling,
    said: v1::OriginState,
    say_at: Time,
    /// Nothing was emitted yet.
    fresh: bool,
}

impl Loop {
    pub(super) fn new(start: Start, mut steered: watch::Receiver<Steer>) -> Self {
        let Start { origin, hosted, actor, .. } = start;
        let steer = steered.borrow_and_update().clone();
        let bitrate_bps = hosted.kept().record.spec().bitrate_bps;
        let config = Config { bitrate_bps, complexity: origin.config.complexity, ..Config::default() };
        let mut studio =
            Studio::new(hosted.id.clone(), config, origin.engines.clone(), origin.metrics.clone());
        studio.set_stage(steer.stage.clone());
        let follower = Follower::new(origin.me.clone(), origin.pool.clone(), hosted.id.clone());
        let mut media = Self {
            origin,
            hosted,
            actor,
            steered,
            before: steer.reign,
            leadership: None,
            studio,
            follower,
            followed: None,
            check: SlotOnce::default(),
            ceiling: Ceiling::default(),
            said: v1::OriginState::default(),
            say_at: Time::default(),
            fresh: true,
            steer,
        };
        if let Some(begin) = media.steer.begin {
            media.begin(begin);
        }
        media
    }

    pub(super) fn now(&self) -> Time {
        self.origin.timebase.now()
    }

    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let sleep = sleep_until(self.origin.timebase.instant(self.now()));
        tokio::pin!(sleep);
        loop {
            self.lift();
            if !self.studio.is_open() {
                // An open one takes them slot by slot.
                self.studio.take_packets(&self.hosted.speakers);
            }
            self.read_up().await;
            if self.act().await? {
                return Ok(());
            }
            self.follow();
            self.say();
            let due =
                self.leadership.as_ref().and_then(Leadership::deadline).map_or(self.say_at, |due| due.at);
            sleep.as_mut().reset(self.origin.timebase.instant(due.min(self.say_at)));
            tokio::select! {
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

    /// Before a slot of the other origin is said to be missing, what it has sent is read: this loop may come late to its turn,
    /// and so may the connection that brings it.
    async fn read_up(&mut self) {
        for again in [true, false] {
            let now = self.now();
            let Some(leadership) = &mut self.leadership else { return };
            if let Some(stood) = self.origin.pulse.stood(now) {
                leadership.stood_still(stood);
            }
            if leadership.leads().is_some()
                || leadership.deadline().is_none_or(|deadline| !deadline.is_due(now))
            {
                return;
            }
            for _ in 0..READ_AT_ONCE {
                let Some(followed) = self.follower.next().now_or_never() else { break };
                self.told(followed);
            }
            if again {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does what is to be done now. Returns whether the end has come.
    async fn act(&mut self) -> Result<bool, Failure> {
        loop {
            let now = self.now();
            let Some(act) = self.leadership.as_mut().and_then(|leadership| leadership.poll(now)) else {
                return Ok(self.is_over());
            };
            match act {
                Act::TakeOver { slot, due } => self.take_over(slot, due).await?,
                Act::Emit { due, lineage } => {
                    self.emit(due, lineage).await?;
                    // A loop that makes up for a stall lets others run in between.
                    tokio::task::yield_now().await;
                }
                Act::Yielded => self.keep(),
            }
        }
    }

    /// Whether the end that the actor set has come, led here or by the other origin.
    fn is_over(&self) -> bool {
        let Some(end) = self.steer.end else { return false };
        self.leadership.as_ref().is_none_or(|leadership| {
            leadership.leads().is_none() && leadership.next().is_none_or(|next| next >= end)
        })
    }

    /// Obeys the actor.
    fn obey(&mut self) {
        let steer = self.steered.borrow_and_update().clone();
        let old = std::mem::replace(&mut self.steer, steer);
        if !Arc::ptr_eq(&old.stage, &self.steer.stage) {
            self.studio.set_stage(self.steer.stage.clone());
            self.write(|| Mixed::Stage(self.steer.stage.clone()));
        }
        if old.reign != self.steer.reign {
            self.reign_after(old.reign);
        }
        if let Some(begin) = self.steer.begin.filter(|begin| old.begin != Some(*begin)) {
            self.begin(begin);
        }
        if let (Some(end), Some(leadership)) = (self.steer.end, &mut self.leadership) {
            leadership.yield_at(end);
        }
    }

    /// Follows the other origin. One that is to lead later hears the former owner up to then.
    fn follow(&mut self) {
        let waits = self.steer.begin.is_some_and(|begin| {
            let leadership = self.leadership.as_ref().filter(|leadership| leadership.leads().is_none());
            leadership.and_then(Leadership::next).is_some_and(|next| next < begin.slot)
        });
        let wanted = self.steer.peer.clone().map(|peer| (peer, self.steer.reign.epoch));
        if waits || wanted == self.followed {
            return;
        }
        let place = |followed: &Option<(Mirror, Epoch)>| followed.as_ref().map(|(peer, _)| peer.clone());
        if place(&wanted) != place(&self.followed) {
            self.hosted.peer.become_another(place(&wanted));
        }
        self.follower.follow(place(&wanted), self.steer.reign.epoch);
        self.followed = wanted;
    }

    /// The other origin mixes from now on.
    pub(super) fn keep(&mut self) {
        self.studio.close();
        self.hosted.set_leads(false);
        // Who is how loud is known to who mixes.
        self.hosted.levels.lock().clear();
    }

    /// This origin is to lead.
    fn begin(&mut self, begin: Begin) {
        let Begin { slot, lineage, since, line } = begin;
        let now = self.now();
        match &mut self.leadership {
            Some(leadership) if leadership.next().is_some() => leadership.lead_from(slot, lineage),
            _ => {
                let by_clock = || Grid::new(slot, since, wall(), now);
                let grid = line.map_or_else(by_clock, |line| Grid::going_on(slot, line));
                self.leadership = Some(Leadership::leading(self.steer.reign.side, lineage, grid));
            }
        }
    }

    /// The other origin has fallen silent, or this one's time has come.
    async fn take_over(&mut self, slot: Slot, due: Time) -> Result<(), Failure> {
        let started = self.now();
        let replayed = self.studio.open(slot, self.said.ready, &self.origin.replays, due + SEAM).await?;
        let took = self.now().since(started);
        tracing::info!(room = %self.hosted.id, %slot, replayed, ?took, "this origin goes on with the audio");
        Ok(())
    }

    /// Goes above what any child has seen: slots, and lineages too.
    fn lift(&mut self) {
        let Some(seen) = self.hosted.feed.reported() else { return };
        let epoch = self.steer.reign.epoch;
        let Some(leadership) = self.leadership.as_mut().filter(|leadership| leadership.leads().is_some())
        else {
            return;
        };
        if seen.lineage.epoch() > epoch && seen.lineage > leadership.lineage() {
            leadership.lift(Slot(0), seen.lineage);
        }
        let next = leadership.next().unwrap_or_default();
        let ahead = seen.slot.next().since(next);
        let least = if self.fresh { 0 } else { CLOCKS_DIFFER };
        if ahead > least && ahead <= FURTHEST_LIFT {
            leadership.lift(seen.slot.next(), Lineage::default());
            tracing::info!(room = %self.hosted.id, ahead, "a child has seen later slots; going on above them");
        }
    }

    async fn emit(&mut self, due: Due, lineage: Lineage) -> Result<(), Failure> {
        let Due { slot, late, skipped } = due;
        if !self.studio.is_open() {
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
        let frame = Frame {
            epoch: self.epoch_of(slot),
            lineage,
            slot,
            opus: output.opus,
            captured: output.captured.unwrap_or_default(),
        };
        self.pass(&frame);
        if let Err(violation) = self.check.given(slot, lineage) {
            self.origin.metrics.violated(&violation);
        }
        self.become_leader(slot, lineage);
        for (who, opus) in output.monitors {
            if let Some(edge) = self.hosted.speakers.link(&who) {
                edge.monitor(&who, slot, opus);
            }
        }
        let levels = output.talkers.into_iter().map(|talker| (talker.participant, talker.level_dbov));
        *self.hosted.levels.lock() = levels.collect();
        self.write(|| Mixed::Slot(Arc::new(output.log)));
        self.write(|| Mixed::Frame(frame));
        self.fresh = false;
        Ok(())
    }

    /// Gives a frame to those who follow, and says whether it is good.
    pub(super) fn pass(&mut self, frame: &Frame) -> Inserted {
        let inserted = self.hosted.feed.push(frame.clone());
        let outcome = match inserted {
            Inserted::New => Frames::In,
            Inserted::Duplicate => Frames::Duplicate,
            Inserted::Fenced => Frames::Fenced,
            Inserted::TooOld | Inserted::OldLineage => Frames::Late,
        };
        self.origin.metrics.frames(Tier::Origin, outcome).inc();
        if inserted == Inserted::New {
            let now = self.now();
            self.hosted.passed(now, frame.slot);
            self.ceiling.took(now, frame.slot);
        }
        inserted
    }

    /// Tells everyone that concerns it that this origin leads now, under this lineage.
    fn become_leader(&mut self, slot: Slot, lineage: Lineage) {
        if self.hosted.leads() && self.said.lineage == lineage.0 {
            return;
        }
        self.hosted.set_leads(true);
        let leader = self.origin.me.to_string();
        let change = v1::LineageChange { from: self.said.lineage, to: lineage.0, leader, slot: slot.0 };
        self.origin.journal.tell(Some(&self.hosted.id), What::Lineage(change));
        self.say_now();
    }

    /// The epoch of a slot that this origin emits.
    fn epoch_of(&self, slot: Slot) -> Epoch {
        let reign = self.steer.reign;
        if slot >= reign.from { reign.epoch } else { self.before.epoch }
    }

    /// Says how this origin stands, if it is time.
    pub(super) fn say(&mut self) {
        let now = self.now();
        if now < self.say_at {
            return;
        }
        self.say_at = now + SAY_EVERY;
        let leadership = self.leadership.as_ref();
        self.said = v1::OriginState {
            leads: leadership.is_some_and(|leadership| leadership.leads().is_some()),
            lineage: leadership.map_or(0, |leadership| leadership.lineage().0),
            ready: self.studio.is_ready(),
        };
        self.write(|| Mixed::Origin(self.said));
    }

    /// Says something to the other origin, if it follows.
    fn write(&self, mixed: impl FnOnce() -> Mixed) {
        if self.hosted.mix_log.is_followed() {
            self.hosted.mix_log.write(mixed());
        }
    }

    /// Slots from `from` on are of another epoch: the owner's new one.
    pub(super) fn learn_reign(&mut self, epoch: Epoch, from: Slot) {
        let side = self.steer.reign.side;
        let before = std::mem::replace(&mut self.steer.reign, Reign { epoch, from, side });
        self.reign_after(before);
    }

    /// The reign is another one than before.
    fn reign_after(&mut self, before: Reign) {
        self.before = before;
        if let Some(leadership) = &mut self.leadership {
            leadership.become_side(self.steer.reign.side);
            // What is begun from now on is above all of the epoch before.
            leadership.saw(Lineage::of(self.steer.reign.epoch));
        }
    }

    /// Says how this origin stands at once.
    pub(super) fn say_now(&mut self) {
        self.say_at = Time::default();
        self.say();
    }

    /// Whether the stage, the room's state and its events come from the other origin.
    pub(super) fn mirrors(&self) -> bool {
        self.steer.reign.side == Side::Mirror
    }

    /// The room is live since then: slots are due.
    pub(super) fn become_live(&mut self, since: WallTime) {
        if self.leadership.is_none() {
            let live = wall().since(since);
            self.leadership = Some(Leadership::keeping(self.steer.reign.side, self.now(), live));
        }
    }
}
