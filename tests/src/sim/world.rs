//! The simulated cluster and its time: what happens next, and to whom. Nothing here reads a clock, a thread or a hash map's
//! order, so that a seed is a world.
//!
//! A node is deaf while it is paused: what comes waits, in order. A process that ended takes what was under way to it along.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hasher},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use stentor_directory::EtcdConfig;
use stentor_ids::{NodeId, RoomId, Slot};
use stentor_pace::{Time, Violation, WallTime};

use super::{
    audio::Audio,
    control::Control,
    directory::{Book, Directory, Lease, Op, Revision, RoomIx},
    fault::{Back, Fault, How},
    message::{Answer, Ask, Message, Note},
    net::{DIRECTORY, Net, NodeIx},
    plan::Plan,
    stats::Stats,
};

/// When the world begins, in milliseconds: nothing is before it.
pub(super) const START: u64 = 100_000;
/// The schema of the newest records.
pub(super) const NEWER: u32 = 2;
/// A step of the world, in milliseconds.
const STEP_MS: u64 = 2;
/// How often a node looks after its rooms, in milliseconds.
const TURN_MS: u64 = 40;

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) zone: &'static str,
    pub(super) roles: Roles,
    /// Which process this is.
    pub(super) life: u32,
    pub(super) up: bool,
    /// Its process ended and its machine did not: its port refuses connections.
    pub(super) refuses: bool,
    pub(super) paused_until: u64,
    /// The highest schema of records that its build reads.
    pub(super) schema: u32,
    /// Until when its clock bars it from taking rooms.
    pub(super) barred_until: u64,
    /// When a standstill ended that the process noticed.
    pub(super) stood: u64,
    pub(super) draining: bool,
    pub(super) lease: Lease,
    pub(super) renew_at: u64,
    /// How far it has read the directory, and how far it will have at its next turn.
    pub(super) view: Revision,
    pub(super) unread: Revision,
    pub(super) current: bool,
    /// When it will notice that the directory is silent.
    pub(super) blind_at: Option<u64>,
    pub(super) next_turn: u64,
    pub(super) control: Control,
}

/// What a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Roles {
    pub(super) origin: bool,
    pub(super) relay: bool,
    pub(super) edge: bool,
}

enum Event {
    Strike(Fault),
    Resume(NodeIx),
    Tell { to: NodeIx, life: u32, message: Message },
    Ask { from: NodeIx, life: u32, lease: Lease, to: Ask, op: Op },
}

/// The cluster.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) random: SmallRng,
    queue: BTreeMap<(u64, u64), Event>,
    serial: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) net: Net,
    pub(super) dir: Directory,
    pub(super) rooms: Vec<RoomId>,
    /// Rooms and nodes by their names.
    room_numbers: BTreeMap<RoomId, RoomIx>,
    pub(super) numbers: BTreeMap<NodeId, NodeIx>,
    /// Commands that are not answered yet.
    pub(super) commands: BTreeSet<u64>,
    /// How calls end, until when.
    pub(super) odd: Option<(How, u64)>,
    /// A room whose next claim is not answered, until when.
    pub(super) lose_claim: Option<(RoomIx, u64)>,
    /// How long a call of the directory may take, in milliseconds.
    request_ms: u64,
    pub(super) audio: Vec<Audio>,
    /// Whether at most one thing is wrong at a time, so that listeners are to miss nothing.
    pub(super) single: bool,
    /// Until when something is wrong.
    pub(super) trouble_until: u64,
    /// Whether nothing but the directory has failed so far.
    pub(super) only_directory: bool,
    /// When the directory comes back, as what, and from when.
    pub(super) dir_back: Option<(u64, Back, Revision)>,
    /// Where the directory stood when.
    pub(super) revision_at: Vec<(u64, Revision)>,
    /// Who owned which room when the directory went.
    pub(super) owners_before: Vec<Option<NodeIx>>,
    pub(super) stats: Stats,
    pub(super) violations: Vec<Violation>,
    hash: DefaultHasher,
    trace: Option<Vec<String>>,
}

impl World {
    /// The world of a plan; `trace` keeps what happens as text.
    pub(super) fn new(plan: &Plan, trace: bool) -> Self {
        let random = SmallRng::seed_from_u64(plan.seed);
        let rooms: Vec<_> =
            (0..plan.rooms).map(|n| RoomId::new(format!("room-{n}")).expect("it is a name")).collect();
        let audio: Vec<_> = (0..plan.watched).map(|_| Audio::new(plan)).collect();
        let record = |room: usize| audio.get(room).map(|audio: &Audio| audio.first_record().encode().into());
        let records: Vec<Book> = (0..plan.rooms).map(record).collect();
        let mut world = Self {
            now: START,
            random,
            queue: BTreeMap::new(),
            serial: 0,
            nodes: plan.nodes.iter().map(|(roles, zone)| Node::new(*roles, zone)).collect(),
            net: Net::default(),
            dir: Directory::new(plan.nodes.len(), records),
            room_numbers: rooms.iter().cloned().zip(0..).collect(),
            numbers: BTreeMap::new(),
            commands: BTreeSet::new(),
            odd: None,
            lose_claim: None,
            request_ms: EtcdConfig::default().request_timeout_ms,
            rooms,
            audio,
            single: plan.single,
            trouble_until: START + plan.warm_up_ms,
            only_directory: true,
            dir_back: None,
            revision_at: Vec::new(),
            owners_before: Vec::new(),
            stats: Stats::of(plan),
            violations: Vec::new(),
            hash: DefaultHasher::new(),
            trace: trace.then(Vec::new),
        };
        for n in 0..world.nodes.len() {
            world.nodes[n].id = NodeId::new(format!("node-{n}")).expect("it is a name");
            world.numbers.insert(world.nodes[n].id.clone(), n);
            // Builds mix where that is to matter.
            let old = plan.mixes_builds() && n.is_multiple_of(2);
            world.nodes[n].schema = if old { 1 } else { NEWER };
            world.nodes[n].next_turn = START + world.random.random_range(0..TURN_MS);
        }
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
                let reply = self.dir.apply(self.now, from, lease, op);
                if claimed.is_some_and(|room| self.lose_answer(from, room)) {
                    return;
                }
                self.violations.append(&mut self.dir.broken);
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
            Message::Fence { .. } => self.fence(n, message),
            Message::Count { room, child, count } => self.counted(n, room, child, count),
        }
    }

    /// Asks the directory. Who asks is answered, by nobody if it takes too long.
    pub(super) fn ask(&mut self, from: NodeIx, to: Ask, op: Op) {
        let (life, lease) = (self.nodes[from].life, self.nodes[from].lease);
        if let Some(delay) = self.net.delay(self.now, from, DIRECTORY, &mut self.random) {
            self.at(self.now + delay, Event::Ask { from, life, lease, to, op });
        }
        self.give_up_in(self.request_ms, from, to);
    }

    /// A number that nothing else has.
    pub(super) const fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A room by its name.
    pub(super) fn room_of(&self, id: &RoomId) -> Option<RoomIx> {
        self.room_numbers.get(id).copied()
    }

    /// Sends a message to another node, or to oneself.
    pub(super) fn tell(&mut self, from: NodeIx, to: NodeIx, message: Message) {
        if let Some(delay) = self.net.delay(self.now, from, to, &mut self.random) {
            self.tell_in(delay, to, message);
        }
    }

    /// Brings a message to a node, if its process of now is there then.
    pub(super) fn tell_in(&mut self, delay: u64, to: NodeIx, message: Message) {
        let life = self.nodes[to].life;
        self.at(self.now + delay, Event::Tell { to, life, message });
    }

    /// Sees to it that a node goes on then: it comes back, or its pause is over.
    pub(super) fn resume_in(&mut self, delay: u64, n: NodeIx) {
        self.at(self.now + delay, Event::Resume(n));
    }

    fn at(&mut self, at: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((at, self.serial), event);
    }

    /// Whether a node does anything now.
    pub(super) fn awake(&self, n: NodeIx) -> bool {
        self.nodes[n].up && self.nodes[n].paused_until <= self.now
    }

    /// Whether a node would answer another now.
    pub(super) fn answers(&self, from: NodeIx, to: NodeIx) -> bool {
        self.awake(to) && self.net.answers(self.now, from, to)
    }

    /// The moment, for the cores.
    pub(super) const fn time(&self) -> Time {
        Time::from_millis(self.now)
    }

    /// The same by the wall clock, which all nodes share here.
    pub(super) const fn wall(&self) -> WallTime {
        WallTime::from_millis(self.now)
    }

    /// The slot that is under way in every room: they all went live when the world began.
    pub(super) fn slot(&self) -> Slot {
        Slot::at(Duration::from_millis(self.now - START))
    }

    /// Any number.
    pub(super) fn draw(&mut self) -> u64 {
        self.random.random()
    }

    /// Writes down what happened.
    pub(super) fn note(&mut self, note: Note) {
        self.hash.write_u64(self.now);
        note.fold(&mut self.hash);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:9.3} {note:?}", (self.now - START) as f64 / 1000.0));
        }
    }

    /// Writes down that an invariant is broken.
    pub(super) fn broken(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// The same, if it is.
    pub(super) fn hold(&mut self, outcome: Result<(), Violation>) {
        if let Err(violation) = outcome {
            self.broken(violation);
        }
    }

    /// Everything that happened, in 64 bits.
    pub(super) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// What happened, as far as it was kept.
    pub(super) fn trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }
}

impl Node {
    fn new(roles: Roles, zone: &'static str) -> Self {
        Self {
            id: NodeId::new("node").expect("it is a name"),
            zone,
            roles,
            life: 0,
            up: true,
            refuses: false,
            paused_until: 0,
            stood: 0,
            barred_until: 0,
            schema: NEWER,
            draining: false,
            lease: 0,
            renew_at: 0,
            view: 0,
            unread: 0,
            current: false,
            blind_at: None,
            next_turn: START,
            control: Control::default(),
        }
    }

    /// Another process in the place of the one that was.
    pub(super) fn restart(&mut self) {
        let (id, next_turn, schema) = (self.id.clone(), self.next_turn, self.schema);
        *self = Self { id, life: self.life + 1, next_turn, schema, ..Self::new(self.roles, self.zone) };
    }
}
