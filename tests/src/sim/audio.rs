//! The audio of one watched room at its origins, slot by slot: what each of them does is `relay::Origin`'s to say, what is kept
//! for a replay `mix::History`'s. A slot's packet is empty, the log of it is real.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use stentor_ids::{Epoch, Lineage, ParticipantId, Role, Slot};
use stentor_mix::{
    HISTORY_SLOTS, History, LogEntry, Packet, PacketRef, SpeakerPacket, Stage, Step, VoiceLog,
};
use stentor_ownership::OwnerKey;
use stentor_pace::{Time, WallTime, check::EpochFence};
use stentor_relay::{
    Begin, Counts, Frame, Heed, Inserted, Line, Origin as Machine, Ring, Side, StageId, Term, Way,
};
use stentor_room::{Actor, Command, Record, Room, Spec};

use super::{
    message::Run,
    net::NodeIx,
    plan::{Plan, Roles, START},
    staged::Staged,
    tap::Tap,
};

/// Speakers of a watched room.
pub(super) const SPEAKERS: usize = 3;
/// How many slots a packet waits at the origin that mixes.
const JITTER_SLOTS: u64 = 2;
/// Packets that an origin remembers to have: those of a second and more.
const PACKETS: usize = 64 * SPEAKERS;

/// A watched room.
#[derive(Debug)]
pub(super) struct Audio {
    pub(super) origins: BTreeMap<NodeIx, Origin>,
    /// Relays and edges.
    pub(super) taps: BTreeMap<NodeIx, Tap>,
    /// The edges that people listen at; the first is where the speakers are.
    pub(super) edges: Vec<NodeIx>,
    /// What owners decided of who may speak.
    pub(super) decided: VecDeque<Decision>,
    pub(super) next_packet: u64,
    pub(super) next_command: u64,
}

/// Who may speak from a moment on.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) at: u64,
    /// The stage that came of it.
    pub(super) stage: StageId,
    pub(super) open: BTreeSet<ParticipantId>,
}

/// A watched room at one of its origins.
#[derive(Debug)]
pub(super) struct Origin {
    /// Which life of the room it is of.
    pub(super) run: Run,
    pub(super) machine: Machine<NodeIx>,
    /// It is over, as that life of the room was told.
    pub(super) over: bool,
    pub(super) ring: Ring,
    pub(super) fence: EpochFence,
    pub(super) children: BTreeSet<NodeIx>,
    pub(super) counts: Counts,
    pub(super) history: History,
    pub(super) staged: Staged,
    /// Children have not been told of it.
    pub(super) tells_stage: bool,
    /// The stage that the directory shows.
    pub(super) recorded: Option<Staged>,
    /// It mixes.
    pub(super) open: bool,
    /// Replaying until then.
    pub(super) busy: u64,
    pub(super) line: Line,
    /// The highest that a child has seen.
    seen: Option<(Slot, Lineage)>,
    packets: BTreeSet<(u64, ParticipantId)>,
}

/// A speaker of a watched room.
pub(super) fn speaker(n: usize) -> ParticipantId {
    ParticipantId::new(format!("speaker-{n}")).expect("it is a name")
}

/// The packet that every speaker sends in every slot.
fn packet(seq: u64) -> SpeakerPacket {
    let packet = Packet::parse(Bytes::from_static(&[0xf8, 0xff, 0xfe])).expect("it is 20 ms of Opus");
    SpeakerPacket { stream: 1, seq, packet, captured: WallTime::default() }
}

impl Audio {
    /// A room that nobody runs yet, with all edges of a small world or four of a large one.
    pub(super) fn new(plan: &Plan) -> Self {
        let edges = plan.nodes.iter().enumerate().filter(|(_, (roles, _))| roles.edge).map(|(n, _)| n);
        let edges: Vec<_> = edges.collect();
        let edges = edges[edges.len().saturating_sub(4)..].to_vec();
        let taps = edges.iter().map(|edge| (*edge, Tap::edge())).collect();
        Self {
            origins: BTreeMap::new(),
            taps,
            edges,
            decided: VecDeque::new(),
            next_packet: 0,
            next_command: START + 2_000,
        }
    }

    /// The room as it went live, with its speakers on the stage.
    pub(super) fn first_record(&self) -> Record {
        let mut room = Room::new(Record::new(Spec::default()).expect("the default spec is in bounds"));
        let now = WallTime::from_millis(START);
        let mut told = |by: &Actor, command| drop(room.handle(now, by, command));
        told(&Actor::Operator, Command::Open);
        told(&Actor::Operator, Command::GoLive);
        for n in 0..SPEAKERS {
            let by = Actor::Participant { id: speaker(n), name: String::new(), role: Role::Speaker };
            told(&by, Command::Join);
        }
        room.record().clone()
    }

    /// A relay that carries the room.
    pub(super) fn relay(&self, place: usize) -> Option<NodeIx> {
        let relays = self.taps.iter().filter(|(_, tap)| tap.listener.is_none() && !tap.children.is_empty());
        relays.map(|(node, _)| *node).nth(place)
    }

    /// A process ended: what it held is gone.
    pub(super) fn forget(&mut self, n: NodeIx) {
        self.origins.remove(&n);
        self.taps.remove(&n);
    }

    /// Another process came in its place: its listeners come back.
    pub(super) fn arrive(&mut self, n: NodeIx, roles: Roles) {
        if roles.edge && self.edges.contains(&n) {
            self.taps.insert(n, Tap::edge());
        }
    }
}

impl Origin {
    /// One that works under a term, and knows of no slot yet.
    pub(super) fn new(run: Run, key: &OwnerKey, side: Side, peer: Option<NodeIx>) -> Self {
        let term = Term { epoch: key.epoch, from: key.from_slot, side };
        let mut origin = Self {
            run,
            machine: Machine::new(term, peer),
            over: false,
            ring: Ring::new(),
            fence: EpochFence::default(),
            children: BTreeSet::new(),
            counts: Counts::default(),
            history: History::new(),
            staged: Staged::default(),
            tells_stage: false,
            recorded: None,
            open: false,
            busy: 0,
            line: Line::default(),
            seen: None,
            packets: BTreeSet::new(),
        };
        origin.refuse_older(term.epoch, term.from);
        origin
    }

    /// Nothing of an older epoch is passed on from this slot on.
    pub(super) fn refuse_older(&mut self, epoch: Epoch, from: Slot) {
        self.ring.fence(epoch, from);
        self.fence.claimed(epoch, from);
    }

    /// A child has seen slots up to below this one, and this lineage.
    pub(super) fn reported(&mut self, next: Slot, lineage: Lineage) {
        let (slot, known) = self.seen.unwrap_or_default();
        self.seen = Some((slot.max(Slot(next.0.saturating_sub(1))), known.max(lineage)));
    }

    /// Goes above what any child has seen.
    pub(super) fn lift(&mut self) {
        if let Some((slot, lineage)) = self.seen {
            self.machine.lift(slot, lineage);
        }
    }

    /// Goes above whoever is stuck below.
    pub(super) fn lift_above_stuck(&mut self, now: Time) {
        let known = self.ring.lineage().max(Lineage::of(self.ring.epoch()));
        if let Some(stuck) = self.counts.stuck(now, known) {
            self.machine.lift_above_stuck(now, stuck.lineage);
        }
    }

    /// The highest epoch that a frame or a child has shown.
    pub(super) fn epoch(&self) -> Epoch {
        let seen = self.seen.map_or(Epoch(0), |(_, lineage)| lineage.epoch());
        self.ring.epoch().max(seen)
    }

    /// Takes a frame, emitted here or by the other origin.
    pub(super) fn pass(&mut self, now: Time, frame: &Frame) -> Inserted {
        let inserted = self.ring.insert(frame.clone());
        if inserted == Inserted::New {
            self.line.passed(now, frame.slot);
        }
        inserted
    }

    /// From where on, and under which lineage, an owner with this key begins.
    pub(super) fn beginning(&self, now: Time, clock: Slot, key: &OwnerKey) -> Begin {
        let line = self.line.under_way(now);
        let above = self.seen.map_or(Slot(0), |(slot, _)| slot.next());
        let slot = line.map_or(clock, |(next, _)| next).max(above).max(key.from_slot);
        let (seen, first) = (self.ring.lineage(), Lineage::of(key.epoch));
        let lineage = if seen < first { first } else { Side::Owner.after(seen) };
        Begin { slot, lineage, since: WallTime::from_millis(START), line }
    }

    /// Another loop begins with what outlives one: what was passed on, and who takes it.
    pub(super) fn restart(&mut self, run: Run, key: &OwnerKey, side: Side) {
        let new = Self::new(run, key, side, None);
        let old = std::mem::replace(self, new);
        let Self { ring, fence, children, counts, line, seen, packets, .. } = old;
        (self.ring, self.fence, self.children, self.counts) = (ring, fence, children, counts);
        (self.line, self.seen, self.packets) = (line, seen, packets);
    }

    /// Who may speak from the next slot on, as it comes this way, if that counts.
    pub(super) fn heed(&mut self, way: Way, told: Staged) {
        if self.machine.stage(way, told.id()) == Heed::Take {
            self.set_stage(told.stage.clone());
            self.staged = told;
            self.tells_stage = true;
        }
    }

    /// What the directory shows, if that is to be heeded. It may be said again.
    pub(super) fn heed_record(&mut self) {
        if let Some(recorded) = self.recorded.clone().filter(|_| self.machine.heeds(Way::Record)) {
            self.heed(Way::Record, recorded);
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        let goes_back = |newest: &Stage| stage.version <= newest.version && stage != *newest;
        if self.history.newest_stage().is_some_and(goes_back) {
            // A new owner's record lacks what the old one had decided and could not commit.
            self.history.clear();
        }
        self.history.push_stage(stage);
    }

    /// Whether it could go on at once.
    pub(super) fn is_ready(&self) -> bool {
        self.open || self.history.ready(HISTORY_SLOTS).is_ok()
    }

    /// The packets of speakers of this number. Of who may not speak none is taken.
    pub(super) fn take_packets(&mut self, now: Time, seq: u64, from: Vec<ParticipantId>) {
        let open = |who: &ParticipantId| {
            self.staged.stage.participants.iter().any(|one| one.id == *who && !one.muted)
        };
        for who in from.into_iter().filter(open) {
            self.history.push_packet(now, &who, packet(seq));
            self.packets.insert((seq, who));
        }
        while self.packets.len() > PACKETS {
            self.packets.pop_first();
        }
    }

    /// What a slot is made of: of everyone who may speak a packet, or a concealment if that has not come.
    pub(super) fn mix(&self, slot: Slot) -> LogEntry {
        let seq = slot.0.saturating_sub(JITTER_SLOTS);
        let voice = |participant: ParticipantId| {
            let came = (seq, participant);
            let here = self.packets.contains(&came);
            let step = if here { Step::Packet(PacketRef { stream: 1, seq }) } else { Step::Conceal(960) };
            VoiceLog { participant: came.1, carried: 0, steps: vec![step] }
        };
        let Stage { version, participants } = &self.staged.stage;
        let open = participants.iter().filter(|one| !one.muted);
        let voices = open.map(|one| voice(one.id.clone())).collect();
        LogEntry { slot, stage_version: *version, voices }
    }
}
