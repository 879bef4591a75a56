//! The simulated cluster as it stands, and what is to happen when. Nothing here reads a clock, a thread or a hash map's order,
//! so that a seed is a world. How it goes on is in `course`.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hasher},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use stentor_directory::EtcdConfig;
use stentor_ids::{NodeId, RoomId, Slot};
use stentor_pace::{Time, Violation, WallTime, check::OwnerSettles};

use super::{
    audio::Audio,
    directory::{Book, Directory, Lease, Op, Revision, RoomIx},
    fault::{Back, Fault, How},
    message::{Answer, Ask, Message, Note},
    net::{DIRECTORY, Net, NodeIx},
    node::{NEWER, Node},
    plan::{Plan, START},
    promise::Promises,
    stats::Stats,
};

/// How often a node looks after its rooms, in milliseconds.
pub(super) const TURN_MS: u64 = 40;

/// What happens at a moment.
pub(super) enum Event {
    Strike(Fault),
    Resume(NodeIx),
    Tell { to: NodeIx, life: u32, message: Message },
    Ask { from: NodeIx, life: u32, lease: Lease, to: Ask, op: Op },
}

/// The cluster.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) random: SmallRng,
    pub(super) queue: BTreeMap<(u64, u64), Event>,
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
    pub(super) promises: Promises,
    /// Until when something is wrong beside the links between rooms' origins.
    pub(super) unwell_until: u64,
    /// Whether nothing but the directory has failed so far.
    pub(super) only_directory: bool,
    /// Since zones were split from each other: how the owners of rooms change.
    pub(super) split: Option<Vec<OwnerSettles>>,
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
            promises: Promises::default(),
            unwell_until: START + plan.warm_up_ms,
            only_directory: true,
            split: None,
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
        world
    }

    /// Asks the directory. Who asks is answered, by nobody if it takes too long.
    pub(super) fn ask(&mut self, from: NodeIx, to: Ask, op: Op) {
        let (life, lease) = (self.nodes[from].life, self.nodes[from].lease);
        if let Some(delay) = self.net.delay(self.now, from, DIRECTORY, &mut self.random) {
            self.at(self.now + delay, Event::Ask { from, life, lease, to, op });
        }
        self.give_up_in(self.request_ms, from, to);
    }

    /// Nobody has answered by then.
    pub(super) fn give_up_in(&mut self, wait_ms: u64, n: NodeIx, to: Ask) {
        self.tell_in(wait_ms, n, Message::Answer { to, answer: Answer::Nothing });
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

    /// Lets something happen at a moment, after what is to happen then already.
    pub(super) fn at(&mut self, at: u64, event: Event) {
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
