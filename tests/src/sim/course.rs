//! How a world goes by: what happens next, and to whom.
//!
//! A node is deaf while it is paused: what comes waits, in order. A process that ended takes what was under way to it along.

use super::{
    directory::{Op, Reply},
    message::{Answer, Message},
    net::{DIRECTORY, NodeIx},
    plan::{Plan, START},
    world::{Event, TURN_MS, World},
};

/// A step of the world, in milliseconds.
const STEP_MS: u64 = 2;

impl World {
    /// The world of a plan as it begins; `trace` keeps what happens as text.
    pub(super) fn begun(plan: &Plan, trace: bool) -> Self {
        let mut world = Self::new(plan, trace);
        if plan.stood {
            world.found();
        }
        for (at, fault) in &plan.faults {
            world.at(START + at, Event::Strike(*fault));
        }
        world
    }

    /// Lets time go on until `end`, or until something is broken.
    pub(super) fn run(&mut self, end: u64) {
        while self.now < end && self.violations.is_empty() {
            self.now += STEP_MS;
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.happen(event);
            }
            self.restore();
            if self.dir.up && self.now.is_multiple_of(100) {
                self.dir.expire(self.now);
                self.revision_at.push((self.now, self.dir.revision));
                self.judge_keys();
            }
            for n in 0..self.nodes.len() {
                if self.nodes[n].next_turn <= self.now && self.awake(n) {
                    self.nodes[n].next_turn = self.now + TURN_MS;
                    self.turn(n);
                }
            }
            self.play();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Strike(fault) => self.strike(fault),
            Event::Resume(n) => self.resume(n),
            Event::Tell { to, life, message } => {
                let node = &self.nodes[to];
                if !node.up || node.life != life {
                    return;
                }
                if node.paused_until > self.now {
                    let at = node.paused_until;
                    self.at(at, Event::Tell { to, life, message });
                } else {
                    self.hear(to, message);
                }
            }
            Event::Ask { from, life, lease, to, op } => {
                if !self.dir.up {
                    return;
                }
                let claimed = if let Op::Claim { room, .. } = op { Some(room) } else { None };
                let former = claimed.and_then(|room| self.dir.now(room).owner);
                let reply = self.dir.apply(self.now, from, lease, op);
                if claimed.is_some_and(|room| self.lose_answer(from, room)) {
                    return;
                }
                self.violations.append(&mut self.dir.broken);
                if let (Some(room), Reply::Claimed(Ok(_))) = (claimed, &reply) {
                    self.judge_settles(from, room, former.map(|owner| owner.node));
                }
                if let Some(delay) = self.net.delay(self.now, DIRECTORY, from, &mut self.random) {
                    let message = Message::Answer { to, answer: Answer::Directory(reply) };
                    self.at(self.now + delay, Event::Tell { to: from, life, message });
                }
            }
        }
    }

    /// A node hears something.
    fn hear(&mut self, n: NodeIx, message: Message) {
        match message {
            Message::Answer { to, answer } => self.answered(n, to, answer),
            Message::Follow { room, from } => self.followed(n, room, from),
            Message::Unfollow { room, from } => self.unfollowed(n, room, from),
            Message::Opened { room, from, told } => self.stream_opened(n, room, from, told),
            Message::Lost { room, from } => self.refused_stream(n, room, from),
            Message::Beat { room, from } => drop(self.beaten(n, room, from)),
            Message::Probe { .. } => self.probed_by(n, message),
            Message::Probed { .. } => self.probed(n, message),
            Message::Unanswered { question } => self.conclude(n, question),
            Message::Called { .. } => self.called(n, message),
            Message::AudioDone { run } => self.tell_run(n, run, stentor_ownership::Event::AudioDone),
            Message::Gone { peer } => self.disconnected(n, peer),
            Message::Mixed { .. }
            | Message::Stage { .. }
            | Message::State { .. }
            | Message::Ended { .. }
            | Message::PeerFence { .. }
            | Message::Packets { .. } => self.told_studio(n, message),
            Message::Subscribe { .. } => self.subscribe(n, message),
            Message::Subscribed { room, parent, taken } => self.subscribed(n, room, parent, taken),
            Message::Unsubscribe { room, child } => self.unsubscribe(n, room, child),
            Message::Frame { room, parent, frame } => self.framed(n, room, parent, &frame),
            Message::Staged { room, told } => self.stage_came(n, room, &told),
            Message::Fence { .. } => self.fence(n, message),
            Message::Count { room, child, count, stuck } => self.counted(n, room, child, (count, stuck)),
        }
    }
}
