//! Plays one room: follows its feed, gives each slot out at its time, to the shards and to listeners that are tasks, and
//! lets the room go when nobody has been there for a while.
//!
//! Invariants: `SlotOnce` and `EdgeFed`, counted here for all listeners at once.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use stentor_ids::{Code, Fault};
use stentor_link::{Carry, Closed, Cursor, Item};
use stentor_pace::{Time, WallTime, check};
use stentor_relay::{Frame, Output, Playout, Pushed, STALL, Word};
use stentor_telemetry::{Frames, Tier};
use tokio::{
    task::yield_now,
    time::{MissedTickBehavior, interval, sleep, sleep_until, timeout},
};

use super::{Heard, OnAir, Rooms};
use crate::fanout::Close;

/// How long a room is played on with nobody listening, so that someone who reloads a page finds it playing.
const LINGER: Duration = Duration::from_secs(10);
/// How often listeners are counted and reported.
const BEAT: Duration = Duration::from_secs(1);
/// How long to look for a room that the carrier let go, and how long between two tries.
const LOST: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(250);
/// How late this task comes to a slot when it was held up: a slot, which no timer is late by on a machine with time.
const HELD_UP: Duration = Duration::from_millis(20);
/// How often others have their turn then: for each of those who bring a frame from the socket to here, and once more.
const TURNS: usize = 5;
/// How long nothing may be played while slots come that are of too low a lineage: until it is stuck (a second), until that was
/// told to a relay and by that to the origin (a beat each, and one of this player), and for the way of the slots.
const FED: Duration = Duration::from_millis(4_500);
/// Most that is read at once: more than a feed keeps for its readers.
const READ_AT_ONCE: usize = 256;

/// The playout task of one room.
pub(super) struct Player {
    rooms: Rooms,
    on_air: Arc<OnAir>,
    cursor: Cursor,
    playout: Playout,
    outputs: Vec<Output>,
    once: check::SlotOnce,
    fed: check::EdgeFed,
    /// When a slot of too low a lineage came last.
    refused: Time,
    /// Slots that nobody had in time.
    filled: u64,
    /// When someone was last seen here.
    busy: Time,
}

/// Why a room is played no more.
enum End {
    Idle,
    Stopped,
    Closed(Closed),
}

impl Player {
    pub(super) fn new(rooms: Rooms, on_air: Arc<OnAir>) -> Self {
        let playout = Playout::adaptive(rooms.0.buffer, rooms.0.buffer_max);
        let cursor = on_air.follow_feed();
        let (once, fed) = (check::SlotOnce::default(), check::EdgeFed::default());
        let (refused, busy) = (Time::default(), stentor_clock::now());
        Self { rooms, on_air, cursor, playout, outputs: Vec::new(), once, fed, refused, filled: 0, busy }
    }

    pub(super) async fn run(mut self) {
        let end = self.play().await;
        let room = self.on_air.room();
        self.rooms.0.carrier.report_listeners(room, 0);
        self.rooms.0.carrier.report_stuck(room, None);
        match end {
            End::Idle => tracing::debug!(%room, "nobody listens; the room is let go"),
            End::Stopped => {
                self.rooms.leave(&self.on_air, Close::Lost, false);
                self.on_air.tell(Heard::Closed(Closed::Moved));
            }
            End::Closed(closed) => {
                let close = if closed == Closed::Ended { Close::Ended } else { Close::Lost };
                tracing::info!(%room, ?closed, listeners = self.on_air.listeners(), "the room is over here");
                self.rooms.leave(&self.on_air, close, false);
                self.on_air.tell(Heard::Closed(closed));
            }
        }
    }

    async fn play(&mut self) -> End {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.rooms.0.stop.clone();
        let mut over = None;
        loop {
            let due = self.playout.next_deadline().unwrap_or_default();
            tokio::select! {
                item = self.cursor.next(), if over.is_none() => over = self.take(item).await,
                () = sleep_until(stentor_clock::instant(due)), if self.playout.next_deadline().is_some() => {}
                _ = beat.tick() => if self.beat() { return End::Idle },
                () = stop.cancelled() => return End::Stopped,
            }
            if over.is_none() {
                over = self.read_up().await;
            }
            // What waits behind the seam buffer is played before the end.
            match over.take_if(|_| self.playout.pending() == 0) {
                Some(closed) => return End::Closed(closed),
                None => self.give(),
            }
        }
    }

    /// Before a slot that is due is given up, what has come is read: this task may have been held up, and so may those that
    /// bring it, which then have a few turns as well.
    async fn read_up(&mut self) -> Option<Closed> {
        for turn in 1..=TURNS {
            let now = stentor_clock::now();
            let due = self.playout.next_deadline().filter(|due| *due <= now)?;
            let held_up = now.since(due) > HELD_UP;
            for _ in 0..READ_AT_ONCE {
                let Some(item) = self.cursor.next().now_or_never() else { break };
                let over = self.take(item).await;
                if over.is_some() {
                    return over;
                }
            }
            if !held_up || turn == TURNS || self.playout.pending() > 0 {
                return None;
            }
            yield_now().await;
        }
        None
    }

    /// Takes in what came. Returns why the room is over, if it says so.
    async fn take(&mut self, item: Item) -> Option<Closed> {
        match item {
            Item::Frame(frame) => self.push(frame),
            Item::Status(_) => self.on_air.changed(),
            Item::Bans { words, .. } => self.bans(words),
            Item::Event(event) => self.on_air.tell(Heard::Event(Arc::new(event))),
            // Levels are read when somebody asks. A gap shows as missing slots, and the feed's ring keeps the fence.
            Item::Levels(_) | Item::Gap { .. } | Item::Fence { .. } | Item::Stage(_) => {}
            Item::Closed(Closed::Moved) => return self.follow_again().await.err(),
            Item::Closed(closed) => return Some(closed),
        }
        None
    }

    fn push(&mut self, frame: Frame) {
        let (now, slot, metrics) = (stentor_clock::now(), frame.slot, &self.rooms.0.metrics);
        match self.playout.push(now, frame) {
            Pushed::Taken => {
                let margin = self.playout.deadline_of(slot).map_or(Duration::ZERO, |at| at.since(now));
                metrics.playout_margin().observe(margin);
            }
            Pushed::Late => {
                metrics.frames(Tier::Edge, Frames::Late).inc();
            }
            Pushed::Duplicate => {}
            Pushed::OldLineage => self.refuse(now),
        }
    }

    /// Somebody mixes, under a lineage below the one that is played. If nothing of a higher one comes, whoever mixes is to hear
    /// of it, and to go above.
    fn refuse(&mut self, now: Time) {
        if now.since(self.refused) > STALL {
            // Nobody was heard before.
            self.fed.fed(now);
        }
        self.refused = now;
        if let Err(violation) = self.fed.waits(now, FED) {
            self.rooms.0.metrics.violated(&violation);
        }
    }

    /// Who is banned is cut off. An owner that begins names everyone anew, who may be here no more than before.
    fn bans(&self, words: Vec<Word>) {
        for word in words.into_iter().filter(|word| !word.lifted) {
            self.rooms.0.fanout.cut(self.on_air.room(), &word.participant);
        }
        self.on_air.changed();
    }

    /// Gives out what is due.
    fn give(&mut self) {
        let (now, metrics) = (stentor_clock::now(), &self.rooms.0.metrics);
        self.playout.poll(now, &mut self.outputs);
        for output in self.outputs.drain(..) {
            match &output {
                Output::Play(frame) => {
                    self.fed.fed(now);
                    if let Err(violation) = self.once.given(frame.slot, frame.lineage) {
                        metrics.violated(&violation);
                    }
                    if frame.captured != WallTime::default() {
                        metrics.mouth_to_ear().observe(stentor_clock::wall().since(frame.captured));
                    }
                }
                Output::Gap { count, .. } => {
                    self.filled += count;
                    metrics.frames(Tier::Edge, Frames::Lost).inc_by(*count);
                }
            }
            self.rooms.0.fanout.play(self.on_air.room(), &output);
            self.on_air.tell(Heard::Output(output));
        }
    }

    /// Reports how many listen and what they missed, and says whether the room was let go because nobody has for a while.
    fn beat(&mut self) -> bool {
        let (now, listeners) = (stentor_clock::now(), self.on_air.listeners());
        self.rooms.0.carrier.report_listeners(self.on_air.room(), listeners as u64);
        self.rooms.0.carrier.report_filled(self.on_air.room(), self.filled);
        self.rooms.0.carrier.report_stuck(self.on_air.room(), self.playout.stuck(now));
        self.rooms.0.metrics.playout_buffer().observe(self.playout.depth());
        if !self.on_air.is_idle() {
            self.busy = now;
        }
        now.since(self.busy) >= LINGER && self.rooms.leave(&self.on_air, Close::Lost, true)
    }

    /// Follows the room anew after the carrier let it go.
    async fn follow_again(&mut self) -> Result<(), Closed> {
        let room = self.on_air.room().clone();
        let again = async {
            loop {
                match self.rooms.0.carrier.feed(&room).await {
                    Ok(feed) if feed.closed().is_none() => return Ok(feed),
                    Ok(_) => {}
                    Err(fault) if fault.retry_after.is_none() => return Err(fault),
                    Err(_) => {}
                }
                sleep(AGAIN).await;
            }
        };
        match timeout(LOST, again).await {
            Ok(Ok(feed)) => {
                self.on_air.refeed(feed);
                self.cursor = self.on_air.follow_feed();
                Ok(())
            }
            Ok(Err(fault)) => Err(Closed::Fault(fault)),
            Err(_) => {
                let detail = format!("room {room} could not be had for {LOST:?}");
                Err(Closed::Fault(Fault::new(Code::NodeUnavailable, detail).retry_after(LOST)))
            }
        }
    }
}
