//! Who drives each of the two origins: it knows who has claimed the room and says from where, and tells the machine what
//! comes. What is mixed, believed and begun, and under which epoch and lineage, the machine says.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use stentor_ids::{Epoch, Lineage, Slot};
use stentor_pace::WallTime;
use stentor_relay::{
    Begin, Frame, Inserted, Ring, Side, Term,
    origin::{Act, Effect, Verdict, Word},
};

use super::{
    host::Host,
    world::{Message, START, World, time, wall},
};

/// Longest replay: what lies between a take-over and its first frame.
const REPLAY_MS: u64 = 8;

impl World {
    /// Who is not the owner claims the room from so many slots ahead on; the owner learns of it `told` milliseconds later.
    pub(super) fn claim(&mut self, ahead: u64, told: u64) {
        let (heir, now) = (1 - self.owner.0, self.now);
        let host = &mut self.hosts[heir];
        let Some(next) = host.machine.next().filter(|_| host.runs(now)) else { return };
        let (epoch, from) = (self.owner.1.next(), next.plus(ahead));
        self.owner = (heir, epoch, from);
        host.ring.fence(epoch, from);
        host.machine.enter(Term { epoch, from, side: Side::Owner });
        let (lineage, line) = (Lineage::of(epoch), host.under_way(time(now)));
        host.machine.begin(time(now), wall(now), Begin { slot: from, lineage, since: wall(START), line });
        self.wire(told, heir, 1 - heir, Message::Claim { epoch, from, owner: heir });
        for relay in [2, 3] {
            let delay = 1 + self.random(200);
            self.wire(delay, heir, relay, Message::Claim { epoch, from, owner: heir });
        }
    }

    /// A new process in the place of a dead one: it mirrors, or claims the room that is still its own.
    pub(super) fn restart(&mut self, who: usize) {
        if self.owner.0 != who {
            return self.mirror(who);
        }
        let (slot, lineage) = self.seen();
        let live = Slot::at(Duration::from_millis(self.now - START));
        let from = live.max(slot).plus(5);
        self.owner = (who, self.owner.1.next(), from);
        let epoch = self.owner.1;
        let mut host = Host::new(who, Term { epoch, from, side: Side::Owner }, self.hosts[who].life + 1);
        let begin = Begin { slot: from, lineage: Lineage::of(epoch), since: wall(START), line: None };
        host.machine.begin(time(self.now), wall(self.now), begin);
        host.reported = Some((slot, lineage));
        self.hosts[who] = host;
        self.wire(50, who, 1 - who, Message::Claim { epoch, from, owner: who });
    }

    /// A mirror that begins with nothing but what the directory says and its children have seen.
    fn mirror(&mut self, who: usize) {
        let (_, epoch, from) = self.owner;
        let mut host = Host::new(who, Term { epoch, from, side: Side::Mirror }, self.hosts[who].life + 1);
        host.machine.become_live(time(self.now), Duration::from_millis(self.now - START));
        host.reported = Some(self.seen());
        self.hosts[who] = host;
    }

    /// The highest slot and lineage that a relay has seen.
    fn seen(&self) -> (Slot, Lineage) {
        let relays = &self.rings[..2];
        let slot = relays.iter().filter_map(Ring::highest).max().unwrap_or_default();
        (slot, relays.iter().map(Ring::lineage).max().unwrap_or_default())
    }

    /// An origin has its turn, as `host/media/run` does it.
    pub(super) fn turn(&mut self, who: usize) -> Result<(), TestCaseError> {
        let now = time(self.now);
        let host = &mut self.hosts[who];
        if let Some((slot, lineage)) = host.reported.filter(|_| host.runs(self.now)) {
            host.machine.lift(slot, lineage);
        }
        if let Some(stood) = host.stood.filter(|stood| *stood <= self.now) {
            host.machine.stood_still(time(stood));
        }
        while self.hosts[who].runs(self.now)
            && let Some(act) = self.hosts[who].machine.poll(now)
        {
            let host = &mut self.hosts[who];
            match act {
                // What has come was delivered before.
                Act::Read => host.machine.has_read(),
                Act::TakeOver { .. } => host.busy = self.now + REPLAY_MS,
                Act::Emit { due, epoch, lineage } => self.emit(who, due.slot, epoch, lineage)?,
                Act::Yield => {}
                Act::Follow { peer, .. } => host.follows = peer,
                Act::Say => self.say(who),
                Act::Over => self.mirror(who),
            }
        }
        Ok(())
    }

    fn emit(&mut self, who: usize, slot: Slot, epoch: Epoch, lineage: Lineage) -> Result<(), TestCaseError> {
        let process = (who, self.hosts[who].life);
        let began = *self.begun.entry(lineage).or_insert(process);
        prop_assert_eq!(began, process, "lineage {} is begun twice", lineage);
        let frame = Frame { epoch, lineage, slot, opus: Bytes::new(), captured: WallTime::default() };
        let host = &mut self.hosts[who];
        let inserted = host.pass(time(self.now), &frame);
        if host.machine.emitted(time(self.now), &frame, inserted).is_some() {
            self.say(who);
        }
        self.send(who, 1 - who, Message::Frame(frame.clone()));
        if inserted == Inserted::New {
            self.feed(who, frame);
        }
        Ok(())
    }

    fn say(&mut self, who: usize) {
        let state = self.hosts[who].machine.say(time(self.now), true);
        self.send(who, 1 - who, Message::State(state));
    }

    pub(super) fn hear(&mut self, from: usize, who: usize, message: Message) -> Result<(), TestCaseError> {
        let now = time(self.now);
        let host = &mut self.hosts[who];
        if !matches!(message, Message::Claim { .. }) && host.follows != Some(from) {
            return Ok(());
        }
        let effects = match message {
            Message::Frame(frame) => {
                let verdict = host.machine.judge(now, &frame, || None);
                prop_assert!(verdict != Verdict::Refuse, "{:?} is refused", frame);
                if verdict == Verdict::Drop {
                    return Ok(());
                }
                let inserted = host.pass(now, &frame);
                let effects = host.machine.heard(now, &frame, inserted);
                if inserted == Inserted::New {
                    self.feed(who, frame);
                }
                effects
            }
            Message::State(state) => {
                prop_assert!(host.machine.told(state) != Word::Refused, "{:?} is refused", state);
                Vec::new()
            }
            Message::Claim { epoch, from, owner } => {
                self.shown(who, owner, epoch, from);
                Vec::new()
            }
            Message::Gone => {
                host.machine.lost();
                Vec::new()
            }
        };
        for effect in effects {
            match effect {
                Effect::Refused => prop_assert!(false, "a claim is refused"),
                Effect::Fence { epoch, from } => drop(self.hosts[who].ring.fence(epoch, from)),
                Effect::Claimed { by, epoch, from } => self.shown(who, by, epoch, from),
                Effect::StepDown { .. } => self.say(who),
            }
        }
        Ok(())
    }

    /// Who decides at an origin learns who owns the room: an owner goes on up to that slot, a mirror works under the claim.
    fn shown(&mut self, who: usize, owner: usize, epoch: Epoch, from: Slot) {
        let host = &mut self.hosts[who];
        let term = host.machine.term();
        if owner == who || epoch < term.epoch {
            return;
        }
        host.ring.fence(epoch, from);
        match term.side {
            Side::Owner if epoch > term.epoch => host.machine.end_at(from),
            Side::Owner => {}
            Side::Mirror => host.machine.enter(Term { epoch, from, side: Side::Mirror }),
        }
    }
}
