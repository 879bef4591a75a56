//! The world in which the two origins stand: what the links do, and the driver of each origin. The driver is what a host has
//! to be: it knows the claims, tells its `Leadership` of them, and passes on what it follows.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::{
    Pulse, Time, WallTime,
    check::{self, EpochFence, SlotOnce},
};
use stentor_relay::{
    Act, Frame, Grid, Heard, Inserted, Leadership, Output, PENDING_FRAMES, Playout, Ring, Side,
};

/// Origins are 0 and 1, relays 2 and 3, the edge 4.
const EDGE: usize = 4;
pub(crate) const LINKS: [(usize, usize); 8] =
    [(0, 1), (1, 0), (0, 2), (0, 3), (1, 2), (1, 3), (2, 4), (3, 4)];
/// A moment after the start of the processes, and when the room went live, in milliseconds.
const START: u64 = 100_000;
/// Longest replay: what lies between a take-over and its first frame.
const REPLAY_MS: u64 = 8;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// An origin stands still.
    Pause(usize, u64),
    /// An origin's turn comes late, because its process serves others first.
    Late(usize, u64),
    /// An origin's process ends, with or without its peers being told, and another comes in its place.
    Kill { who: usize, told: bool, ms: u64 },
    /// A link brings nothing, one way.
    Cut(usize, u64),
    /// The two origins do not hear each other.
    Part(u64),
    /// A link loses a third, and the rest comes out of order and late.
    Slow(usize, u64),
    /// The owner hands the room to the other at a slot a second ahead.
    HandOver,
    /// The mirror claims the room though nothing is wrong; the owner learns of it so much later.
    TakeOver(u64),
}

#[derive(Debug, Clone)]
enum Message {
    Frame(Frame),
    /// Twice a second: whether the other leads, and the highest lineage it knows.
    State {
        leads: bool,
        lineage: Lineage,
    },
    /// Somebody owns the room from a slot on.
    Claim {
        epoch: Epoch,
        from: Slot,
        owner: usize,
    },
    /// The stream has ended.
    Gone,
}

struct Origin {
    leadership: Leadership,
    side: Side,
    /// Epochs by rising number, with their first slots.
    claims: Vec<(Epoch, Slot)>,
    /// Which process this is.
    life: u32,
    /// Paused, busy with others, or replaying until then.
    busy: u64,
    /// When its process goes on after it stood still.
    still: Option<u64>,
    dead: Option<u64>,
}

impl Origin {
    fn new(side: Side, leadership: Leadership, epoch: Epoch, life: u32) -> Self {
        Self { leadership, side, claims: vec![(epoch, Slot(0))], life, busy: 0, still: None, dead: None }
    }

    fn epoch_at(&self, slot: Slot) -> Epoch {
        let known = self.claims.iter().rev().find(|(_, from)| slot >= *from);
        known.or(self.claims.first()).unwrap().0
    }

    fn epoch(&self) -> Epoch {
        self.claims.last().unwrap().0
    }

    /// Learns of a claim, its own or another's.
    fn claimed(&mut self, epoch: Epoch, from: Slot, own: bool) {
        if epoch <= self.epoch() {
            return;
        }
        self.claims.push((epoch, from));
        self.side = if own { Side::Owner } else { Side::Mirror };
        self.leadership.become_side(self.side);
        if own {
            self.leadership.lead_from(from, Lineage::of(epoch));
        } else {
            self.leadership.saw(Lineage::of(epoch));
            self.leadership.yield_at(from);
        }
    }
}

pub(crate) struct World {
    now: u64,
    random: u64,
    serial: u64,
    wires: BTreeMap<(u64, u64), (usize, Message)>,
    /// Until when a link is cut, and until when it is slow.
    cut: [u64; LINKS.len()],
    slow: [u64; LINKS.len()],
    origins: [Origin; 2],
    rings: [Ring; 3],
    fences: [EpochFence; 3],
    playout: Playout,
    once: SlotOnce,
    /// The directory's word.
    owner: (usize, Epoch),
    /// Claims that are to be made if nobody else has: when a dead owner's room is taken over.
    due: Vec<(u64, Epoch)>,
    /// Which process began a lineage.
    pub(crate) begun: BTreeMap<Lineage, (usize, u32)>,
    pub(crate) gaps: Vec<(Slot, u64)>,
    pub(crate) played: u64,
}

impl World {
    pub(crate) fn new(random: u64) -> Self {
        let now = Time::from_millis(START);
        let first = Lineage::of(Epoch(1));
        let leading = Leadership::leading(Side::Owner, first, Grid::resumed(Slot(0), now));
        let keeping = Leadership::keeping(Side::Mirror, now, Duration::ZERO);
        Self {
            now: START,
            random: random | 1,
            serial: 0,
            wires: BTreeMap::new(),
            cut: [0; LINKS.len()],
            slow: [0; LINKS.len()],
            origins: [
                Origin::new(Side::Owner, leading, Epoch(1), 0),
                Origin::new(Side::Mirror, keeping, Epoch(1), 0),
            ],
            rings: std::array::from_fn(|_| Ring::new()),
            fences: Default::default(),
            playout: Playout::new(Duration::from_millis(60)),
            once: SlotOnce::default(),
            owner: (0, Epoch(1)),
            due: Vec::new(),
            begun: BTreeMap::from([(first, (0, 0))]),
            gaps: Vec::new(),
            played: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        let link = LINKS.iter().position(|link| *link == (from, to)).unwrap();
        let slow = self.slow[link] > self.now;
        if self.cut[link] > self.now || (slow && self.random(3) == 0) {
            return;
        }
        let delay = 1 + self.random(if slow { 90 } else { 4 });
        self.wire(delay, to, message);
    }

    fn wire(&mut self, delay: u64, to: usize, message: Message) {
        self.serial += 1;
        self.wires.insert((self.now + delay, self.serial), (to, message));
    }

    pub(crate) fn strike(&mut self, fault: Fault) {
        let until = |ms: u64| START.max(self.now) + ms;
        match fault {
            Fault::Pause(who, ms) => {
                let noticed = Duration::from_millis(ms) > Pulse::STILL;
                (self.origins[who].busy, self.origins[who].still) = (until(ms), noticed.then_some(until(ms)));
            }
            Fault::Late(who, ms) => self.origins[who].busy = until(ms),
            Fault::Cut(link, ms) => self.cut[link] = until(ms),
            Fault::Part(ms) => [self.cut[0], self.cut[1]] = [until(ms); 2],
            Fault::Slow(link, ms) => self.slow[link] = until(ms),
            Fault::Kill { who, told, ms } => {
                self.origins[who].dead = Some(until(ms));
                if told {
                    self.wire(1, 1 - who, Message::Gone);
                }
                if self.owner.0 == who {
                    self.due.push((self.now + 1_500, self.owner.1));
                }
            }
            Fault::HandOver => self.claim(50, 1),
            Fault::TakeOver(told) => self.claim(5, told),
        }
    }

    /// Who is not the owner claims the room from so many slots ahead on; the owner learns of it `told` milliseconds later.
    fn claim(&mut self, ahead: u64, told: u64) {
        let heir = 1 - self.owner.0;
        let (alive, next) = (self.origins[heir].dead.is_none(), self.origins[heir].leadership.next());
        let Some(next) = next.filter(|_| alive && self.origins[heir].busy <= self.now) else { return };
        let (epoch, from) = (self.owner.1.next(), next.plus(ahead));
        self.owner = (heir, epoch);
        self.origins[heir].claimed(epoch, from, true);
        self.wire(told, 1 - heir, Message::Claim { epoch, from, owner: heir });
        for relay in [2, 3] {
            let delay = 1 + self.random(200);
            self.wire(delay, relay, Message::Claim { epoch, from, owner: heir });
        }
    }

    /// A new process in the place of a dead one: it mirrors, or claims the room that is still its own.
    fn restart(&mut self, who: usize) {
        let now = Time::from_millis(self.now);
        let live = Duration::from_millis(self.now - START);
        let seen = self.rings[..2].iter().map(|ring| (ring.lineage(), ring.highest())).max().unwrap();
        let life = self.origins[who].life + 1;
        if self.owner.0 == who {
            let epoch = self.owner.1.next();
            self.owner.1 = epoch;
            let first = Slot::at(live).max(seen.1.unwrap_or_default()).plus(5);
            let wait = Duration::from_millis(first.0 * 20) - live;
            let mut leadership =
                Leadership::leading(Side::Owner, Lineage::of(epoch), Grid::resumed(first, now + wait));
            leadership.lift(seen.1.unwrap_or_default().next(), seen.0);
            self.begun.insert(leadership.lineage(), (who, life));
            self.origins[who] = Origin::new(Side::Owner, leadership, epoch, life);
            self.wire(50, 1 - who, Message::Claim { epoch, from: first, owner: who });
        } else {
            let mut leadership = Leadership::keeping(Side::Mirror, now, live);
            leadership.saw(seen.0);
            self.origins[who] = Origin::new(Side::Mirror, leadership, self.owner.1, life);
        }
    }

    fn step(&mut self) -> Result<(), TestCaseError> {
        let due: Vec<_> = self.due.extract_if(.., |(at, _)| *at <= self.now).collect();
        if due.iter().any(|(_, epoch)| *epoch == self.owner.1) {
            self.claim(5, 300);
        }
        for who in 0..2 {
            if self.origins[who].dead.is_some_and(|until| until <= self.now) {
                self.restart(who);
            }
        }
        for origin in &mut self.origins {
            if let Some(still) = origin.still.take_if(|until| *until <= self.now) {
                origin.leadership.stood_still(Time::from_millis(still));
            }
        }
        while let Some(entry) = self.wires.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, message) = entry.remove();
            self.deliver(to, message)?;
        }
        for who in 0..2 {
            while self.origins[who].dead.is_none() && self.origins[who].busy <= self.now {
                let now = Time::from_millis(self.now);
                let Some(act) = self.origins[who].leadership.poll(now) else { break };
                self.act(who, act)?;
            }
            if self.now % 500 == 250 && self.origins[who].dead.is_none() && self.origins[who].busy <= self.now
            {
                let leadership = &self.origins[who].leadership;
                let state =
                    Message::State { leads: leadership.leads().is_some(), lineage: leadership.lineage() };
                self.send(who, 1 - who, state);
            }
        }
        self.play()?;
        self.now += 1;
        Ok(())
    }

    fn act(&mut self, who: usize, act: Act) -> Result<(), TestCaseError> {
        match act {
            Act::TakeOver { .. } => self.origins[who].busy = self.now + REPLAY_MS,
            Act::Yielded => {}
            Act::Emit { due, lineage } => {
                let process = (who, self.origins[who].life);
                let began = *self.begun.entry(lineage).or_insert(process);
                prop_assert_eq!(began, process, "lineage {} is begun twice", lineage);
                let epoch = self.origins[who].epoch_at(due.slot);
                let frame = Frame {
                    epoch,
                    lineage,
                    slot: due.slot,
                    opus: Bytes::new(),
                    captured: WallTime::default(),
                };
                self.send(who, 1 - who, Message::Frame(frame.clone()));
                self.feed(who, frame);
            }
        }
        Ok(())
    }

    fn feed(&mut self, who: usize, frame: Frame) {
        self.send(who, 2, Message::Frame(frame.clone()));
        self.send(who, 3, Message::Frame(frame));
    }

    fn deliver(&mut self, to: usize, message: Message) -> Result<(), TestCaseError> {
        if to < 2 {
            let busy = self.origins[to].busy;
            if self.origins[to].dead.is_none() && busy > self.now {
                self.wire(busy - self.now, to, message);
            } else if self.origins[to].dead.is_none() {
                self.hear(to, message);
            }
            return Ok(());
        }
        let (ring, fence) = (&mut self.rings[to - 2], &mut self.fences[to - 2]);
        match message {
            Message::Frame(frame) => {
                let before = ring.epoch();
                let inserted = ring.insert(frame.clone());
                if inserted == Inserted::New {
                    prop_assert_eq!(fence.took(frame.epoch, frame.slot), Ok(()));
                }
                if ring.epoch() > before {
                    fence.claimed(frame.epoch, frame.slot);
                }
                match (inserted, to) {
                    (Inserted::New, EDGE) => drop(self.playout.push(Time::from_millis(self.now), frame)),
                    (Inserted::New, _) => self.send(to, EDGE, Message::Frame(frame)),
                    _ => {}
                }
            }
            Message::Claim { epoch, from, .. } => {
                ring.fence(epoch, from);
                fence.claimed(epoch, from);
                if to != EDGE {
                    self.send(to, EDGE, message);
                }
            }
            Message::State { .. } | Message::Gone => {}
        }
        Ok(())
    }

    fn hear(&mut self, who: usize, message: Message) {
        let now = Time::from_millis(self.now);
        let origin = &mut self.origins[who];
        match message {
            Message::Frame(frame) => {
                origin.claimed(frame.epoch, frame.slot, false);
                if origin.leadership.heard(now, frame.slot, frame.lineage) != Heard::Behind {
                    self.feed(who, frame);
                }
            }
            Message::State { leads, lineage } => {
                if !leads && origin.leadership.leads().is_some() {
                    origin.leadership.lift(Slot(0), lineage);
                }
            }
            Message::Claim { epoch, from, owner } => origin.claimed(epoch, from, owner == who),
            Message::Gone => origin.leadership.lost(),
        }
    }

    fn play(&mut self) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        self.playout.poll(Time::from_millis(self.now), &mut out);
        for output in out {
            match output {
                Output::Play(frame) => {
                    prop_assert_eq!(self.once.given(frame.slot, frame.lineage), Ok(()));
                    self.played += 1;
                }
                Output::Gap { slot, count } => self.gaps.push((slot, count)),
            }
        }
        prop_assert_eq!(check::bounded("playout", self.playout.pending(), PENDING_FRAMES), Ok(()));
        Ok(())
    }

    pub(crate) fn run(&mut self, ms: u64) -> Result<(), TestCaseError> {
        (0..ms).try_for_each(|_| self.step())
    }

    pub(crate) fn leaders(&self) -> usize {
        self.origins.iter().filter(|origin| origin.leadership.leads().is_some()).count()
    }
}
