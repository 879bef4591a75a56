//! The world in which the two origins stand: time, what the links do and what fails, the relays and the edge.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use stentor_ids::{Epoch, Lineage, SLOT_DURATION, Slot};
use stentor_pace::{
    Pulse, Time, WallTime,
    check::{self, EpochFence, SlotOnce},
};
use stentor_relay::{
    Begin, Frame, Inserted, Output, PENDING_FRAMES, Playout, Ring, Side, Term, origin::State,
};

use super::host::Host;

/// Origins are 0 and 1, relays 2 and 3, the edge 4.
const EDGE: usize = 4;
pub(crate) const LINKS: [(usize, usize); 8] =
    [(0, 1), (1, 0), (0, 2), (0, 3), (1, 2), (1, 3), (2, 4), (3, 4)];
/// A moment after the start of the processes, and when the room went live, in milliseconds.
pub(super) const START: u64 = 100_000;
/// Longest that a link takes while nothing is wrong with it, in milliseconds.
pub(crate) const HOP_MS: u64 = 4;
/// Go-live by the wall clock, which nobody sets here, in milliseconds.
const SINCE: u64 = 1_000_000_000;
/// The seam buffer of an edge that nobody configures (`edge.buffer_ms`).
pub(crate) const BUFFER: Duration = Duration::from_millis(60);

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
pub(super) enum Message {
    Frame(Frame),
    /// How the other stands.
    State(State),
    /// Somebody owns the room from a slot on.
    Claim {
        epoch: Epoch,
        from: Slot,
        owner: usize,
    },
    /// The stream has ended.
    Gone,
}

pub(super) fn time(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// The wall clock at that time.
pub(super) const fn wall(millis: u64) -> WallTime {
    WallTime::from_millis(SINCE + millis - START)
}

pub(crate) struct World {
    pub(super) now: u64,
    random: u64,
    serial: u64,
    wires: BTreeMap<(u64, u64), (usize, usize, Message)>,
    /// Until when a link is cut, and until when it is slow.
    cut: [u64; LINKS.len()],
    slow: [u64; LINKS.len()],
    pub(super) hosts: [Host; 2],
    pub(super) rings: [Ring; 3],
    fences: [EpochFence; 3],
    playout: Playout,
    once: SlotOnce,
    /// The directory's word: who owns the room, under which epoch and from which slot on.
    pub(super) owner: (usize, Epoch, Slot),
    /// Claims that are to be made if nobody else has: when a dead owner's room is taken over.
    due: Vec<(u64, Epoch)>,
    /// Which process began a lineage.
    pub(crate) begun: BTreeMap<Lineage, (usize, u32)>,
    pub(crate) gaps: Vec<(Slot, u64)>,
    pub(crate) played: u64,
    /// Longest that a slot was given out after it was due on the grid of go-live.
    pub(crate) latest: Duration,
    /// Shortest.
    pub(crate) earliest: Duration,
}

impl World {
    pub(crate) fn new(random: u64) -> Self {
        let term = |side| Term { epoch: Epoch(1), from: Slot(0), side };
        let mut hosts = [Host::new(0, term(Side::Owner), 0), Host::new(1, term(Side::Mirror), 0)];
        let lineage = Lineage::of(Epoch(1));
        let begin = Begin { slot: Slot(0), lineage, since: wall(START), line: None };
        hosts[0].machine.begin(time(START), wall(START), begin);
        hosts[1].machine.become_live(time(START), Duration::ZERO);
        Self {
            now: START,
            random: random | 1,
            serial: 0,
            wires: BTreeMap::new(),
            cut: [0; LINKS.len()],
            slow: [0; LINKS.len()],
            hosts,
            rings: std::array::from_fn(|_| Ring::new()),
            fences: Default::default(),
            playout: Playout::new(BUFFER),
            once: SlotOnce::default(),
            owner: (0, Epoch(1), Slot(0)),
            due: Vec::new(),
            begun: BTreeMap::new(),
            gaps: Vec::new(),
            played: 0,
            latest: Duration::ZERO,
            earliest: Duration::MAX,
        }
    }

    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    pub(super) fn send(&mut self, from: usize, to: usize, message: Message) {
        let link = LINKS.iter().position(|link| *link == (from, to)).unwrap();
        let slow = self.slow[link] > self.now;
        if self.cut[link] > self.now || (slow && self.random(3) == 0) {
            return;
        }
        let delay = 1 + self.random(if slow { 90 } else { HOP_MS });
        self.wire(delay, from, to, message);
    }

    pub(super) fn wire(&mut self, delay: u64, from: usize, to: usize, message: Message) {
        self.serial += 1;
        self.wires.insert((self.now + delay, self.serial), (from, to, message));
    }

    pub(crate) fn strike(&mut self, fault: Fault) {
        let until = |ms: u64| START.max(self.now) + ms;
        match fault {
            Fault::Pause(who, ms) => {
                let noticed = Duration::from_millis(ms) > Pulse::STILL;
                let host = &mut self.hosts[who];
                (host.busy, host.stood) = (until(ms), noticed.then_some(until(ms)).or(host.stood));
            }
            Fault::Late(who, ms) => self.hosts[who].busy = until(ms),
            Fault::Cut(link, ms) => self.cut[link] = until(ms),
            Fault::Part(ms) => [self.cut[0], self.cut[1]] = [until(ms); 2],
            Fault::Slow(link, ms) => self.slow[link] = until(ms),
            Fault::Kill { who, told, ms } => {
                self.hosts[who].dead = Some(until(ms));
                if told {
                    self.wire(1, who, 1 - who, Message::Gone);
                }
                if self.owner.0 == who {
                    self.due.push((self.now + 1_500, self.owner.1));
                }
            }
            Fault::HandOver => self.claim(50, 1),
            Fault::TakeOver(told) => self.claim(5, told),
        }
    }

    fn step(&mut self) -> Result<(), TestCaseError> {
        let due: Vec<_> = self.due.extract_if(.., |(at, _)| *at <= self.now).collect();
        if due.iter().any(|(_, epoch)| *epoch == self.owner.1) {
            self.claim(5, 300);
        }
        for who in 0..2 {
            if self.hosts[who].dead.is_some_and(|until| until <= self.now) {
                self.restart(who);
            }
        }
        while let Some(entry) = self.wires.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (from, to, message) = entry.remove();
            self.deliver(from, to, message)?;
        }
        for who in 0..2 {
            self.turn(who)?;
        }
        self.play()?;
        self.now += 1;
        Ok(())
    }

    pub(super) fn feed(&mut self, who: usize, frame: Frame) {
        self.send(who, 2, Message::Frame(frame.clone()));
        self.send(who, 3, Message::Frame(frame));
    }

    fn deliver(&mut self, from: usize, to: usize, message: Message) -> Result<(), TestCaseError> {
        if to < 2 {
            let host = &self.hosts[to];
            if host.dead.is_none() && host.busy > self.now {
                self.wire(host.busy - self.now, from, to, message);
            } else if host.dead.is_none() {
                self.hear(from, to, message)?;
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
                    (Inserted::New, EDGE) => drop(self.playout.push(time(self.now), frame)),
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
            Message::State(_) | Message::Gone => {}
        }
        Ok(())
    }

    fn play(&mut self) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        self.playout.poll(time(self.now), &mut out);
        for output in out {
            match output {
                Output::Play(frame) => {
                    prop_assert_eq!(self.once.given(frame.slot, frame.lineage), Ok(()));
                    self.played += 1;
                    let due = time(START) + SLOT_DURATION * u32::try_from(frame.slot.0).unwrap();
                    let after = time(self.now).since(due);
                    (self.latest, self.earliest) = (self.latest.max(after), self.earliest.min(after));
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
        self.hosts.iter().filter(|host| host.machine.leads().is_some()).count()
    }
}
