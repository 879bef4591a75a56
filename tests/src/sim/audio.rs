//! The audio of one watched room at its origins, slot by slot: who mixes (`relay::Leadership`), what a mirror keeps
//! (`mix::History`), who may speak. It follows `cluster/host/src/media`; a slot's packet is empty, the log of it is real.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use stentor_ids::{Epoch, Lineage, ParticipantId, Role, Slot};
use stentor_mix::{
    HISTORY_SLOTS, History, LogEntry, Packet, PacketRef, Participant, SpeakerPacket, Stage, Step, VoiceLog,
};
use stentor_ownership::OwnerKey;
use stentor_pace::{Time, WallTime, check::EpochFence};
use stentor_relay::{Counts, Frame, Grid, Leadership, Ring, Side};
use stentor_room::{Actor, Command, Record, Room, Spec};

use super::{
    message::Run,
    net::NodeIx,
    plan::Plan,
    tree::Tap,
    world::{Roles, START},
};

/// Speakers of a watched room.
const SPEAKERS: usize = 3;
/// How many slots a packet waits at the origin that mixes.
const JITTER_SLOTS: u64 = 2;
/// Slots by which the grids of two origins may differ.
const GRIDS_DIFFER: u64 = 25;
/// Packets that an origin remembers to have.
const PACKETS: usize = 64;

/// A watched room.
#[derive(Debug)]
pub(super) struct Audio {
    pub(super) origins: BTreeMap<NodeIx, Origin>,
    /// Relays and edges.
    pub(super) taps: BTreeMap<NodeIx, Tap>,
    /// The edges that people listen at; the first is where the speakers are.
    pub(super) edges: Vec<NodeIx>,
    /// When owners decided who may speak, and who may.
    pub(super) decided: VecDeque<(u64, BTreeSet<ParticipantId>)>,
    pub(super) next_packet: u64,
    pub(super) next_command: u64,
}

/// A watched room at one of its origins.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) leadership: Leadership,
    /// Epochs by rising number, with their first slots.
    claims: Vec<(Epoch, Slot)>,
    pub(super) ring: Ring,
    pub(super) fence: EpochFence,
    pub(super) children: BTreeSet<NodeIx>,
    pub(super) counts: Counts,
    pub(super) history: History,
    pub(super) stage: Stage,
    /// The other origin.
    pub(super) peer: Option<NodeIx>,
    /// Replaying until then.
    pub(super) busy: u64,
    pub(super) stage_at: u64,
    /// From which slot on it has nothing more to do, and whom that is told to.
    pub(super) end: Option<(Slot, Run)>,
    packets: BTreeSet<u64>,
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

/// Those of a record's stage who may speak, as the mixer is told.
pub(super) fn stage(record: &Record) -> Stage {
    let participant = |one: &stentor_room::Participant| Participant {
        id: one.id.clone(),
        muted: one.muted_itself || one.muted_by_moderator,
        gain_db: f32::from(one.gain_db),
    };
    Stage { version: record.stage_version(), participants: record.stage().iter().map(participant).collect() }
}

/// When a slot is due.
fn due(slot: Slot) -> Time {
    Time::from_millis(START) + slot.offset()
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
    /// One that keeps what the owner mixes.
    pub(super) fn mirror(now: Time, epoch: Epoch, from: Slot) -> Self {
        let live = now.since(Time::from_millis(START));
        Self::new(Leadership::keeping(Side::Mirror, now, live), epoch, from)
    }

    /// One that begins to mix.
    pub(super) fn owner(owner: &OwnerKey) -> Self {
        let (epoch, from) = (owner.epoch, owner.from_slot);
        let grid = Grid::resumed(from, due(from));
        Self::new(Leadership::leading(Side::Owner, Lineage::of(epoch), grid), epoch, from)
    }

    fn new(leadership: Leadership, epoch: Epoch, from: Slot) -> Self {
        let (mut ring, mut fence) = (Ring::new(), EpochFence::default());
        ring.fence(epoch, from);
        fence.claimed(epoch, from);
        Self {
            leadership,
            claims: vec![(epoch, from)],
            ring,
            fence,
            children: BTreeSet::new(),
            counts: Counts::default(),
            history: History::new(),
            stage: Stage::default(),
            peer: None,
            busy: 0,
            stage_at: 0,
            end: None,
            packets: BTreeSet::new(),
        }
    }

    /// The newest claim known.
    pub(super) fn claim(&self) -> (Epoch, Slot) {
        self.claims.last().copied().unwrap_or_default()
    }

    /// Learns of a claim, its own or another's. Returns whether it is news.
    pub(super) fn claimed(&mut self, epoch: Epoch, from: Slot, own: bool) -> bool {
        if epoch <= self.claim().0 {
            return false;
        }
        self.claims.push((epoch, from));
        self.ring.fence(epoch, from);
        self.fence.claimed(epoch, from);
        if own {
            self.leadership.become_side(Side::Owner);
            self.leadership.lead_from(from, Lineage::of(epoch));
        } else {
            self.leadership.become_side(Side::Mirror);
            self.leadership.saw(Lineage::of(epoch));
            if self.leadership.leads().is_some() {
                self.leadership.yield_at(from);
            }
        }
        true
    }

    /// A child has seen slots up to this one, and this lineage. What the other origin leads in this epoch is settled between
    /// the two; a few slots are what their grids differ by.
    pub(super) fn reported(&mut self, next: Slot, lineage: Lineage) {
        if lineage.epoch() > self.claim().0 {
            self.leadership.lift(Slot(0), lineage);
        }
        if next.since(self.leadership.next().unwrap_or_default()) > GRIDS_DIFFER {
            self.leadership.lift(next, Lineage::default());
        }
    }

    /// Who may speak from the next slot on.
    pub(super) fn set_stage(&mut self, stage: Stage) {
        let goes_back = |newest: &Stage| stage.version <= newest.version && stage != *newest;
        if self.history.newest_stage().is_some_and(goes_back) {
            // A new owner's record lacks what the old one had decided and could not commit.
            self.history.clear();
        }
        self.history.push_stage(stage.clone());
        self.stage = stage;
    }

    /// Forgets what was kept: another leads now.
    pub(super) fn keep_anew(&mut self) {
        self.history.clear();
        self.history.push_stage(self.stage.clone());
    }

    /// Whether the slot has come, mixed here or by the other, from which on it has nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        let come =
            |end| self.leadership.leads().is_none() && self.leadership.next().is_none_or(|next| next >= end);
        self.end.is_some_and(|(end, _)| come(end))
    }

    /// Whether it could go on at once.
    pub(super) fn is_ready(&self) -> bool {
        self.leadership.leads().is_some() || self.history.ready(HISTORY_SLOTS).is_ok()
    }

    /// The packets of all speakers of this number.
    pub(super) fn take_packets(&mut self, now: Time, seq: u64) {
        self.packets.insert(seq);
        if self.packets.len() > PACKETS {
            self.packets.pop_first();
        }
        if self.leadership.leads().is_none() {
            (0..SPEAKERS).for_each(|n| self.history.push_packet(now, &speaker(n), packet(seq)));
        }
    }

    /// What a slot is made of: of everyone who may speak a packet, or a concealment if that has not come.
    pub(super) fn mix(&self, slot: Slot) -> LogEntry {
        let seq = slot.0.saturating_sub(JITTER_SLOTS);
        let here = self.packets.contains(&seq);
        let step = if here { Step::Packet(PacketRef { stream: 1, seq }) } else { Step::Conceal(960) };
        let open = self.stage.participants.iter().filter(|one| !one.muted);
        let voices = open.map(|one| VoiceLog { participant: one.id.clone(), carried: 0, steps: vec![step] });
        LogEntry { slot, stage_version: self.stage.version, voices: voices.collect() }
    }

    /// The frame of a slot, under the epoch in force at it.
    pub(super) fn frame(&self, slot: Slot, lineage: Lineage) -> Frame {
        let known = self.claims.iter().rev().find(|(_, from)| slot >= *from).or(self.claims.first());
        let epoch = known.map_or(Epoch(0), |(epoch, _)| *epoch);
        Frame { epoch, lineage, slot, opus: Bytes::new(), captured: WallTime::default() }
    }
}
