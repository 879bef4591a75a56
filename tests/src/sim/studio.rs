//! What the origins of watched rooms do with time: they come and go, mix, follow each other, and obey moderators.

use std::{collections::BTreeSet, rc::Rc};

use rand::RngExt;
use stentor_ids::{Lineage, Slot};
use stentor_mix::{Config, Mixer, REPLAY_MIN_SLOTS};
use stentor_pace::{Invariant, Time};
use stentor_relay::{Act, Due, Heard, Inserted};
use stentor_room::{Actor, Command, Record};

use super::{
    audio::{Origin, speaker},
    directory::{Mirror, Op, Owner, RoomIx},
    message::{Message, Note},
    net::NodeIx,
    world::World,
};

/// How often an owner tells its mirror who may speak, in milliseconds.
const STAGE_MS: u64 = 500;
/// Longest that an old owner goes on to its successor's first slot.
const RETIRE_MS: u64 = 5_000;
/// What a replay takes.
const REPLAY_MS: u64 = 8;
/// Decisions that are remembered: those of a second and more.
const DECISIONS: usize = 16;
/// Most time between two commands of moderators.
const COMMAND_MS: u64 = 3_000;

impl World {
    fn origin(&mut self, n: NodeIx, room: RoomIx) -> Option<&mut Origin> {
        self.audio.get_mut(room)?.origins.get_mut(&n)
    }

    /// A node owns a room: it mixes from the claim's slot on.
    pub(super) fn go_on_air(&mut self, n: NodeIx, room: RoomIx, owner: Owner, record: Option<Rc<Record>>) {
        let Some(audio) = self.audio.get_mut(room) else { return };
        let origin = audio.origins.entry(n).or_insert_with(|| Origin::owner(&owner));
        origin.claimed(owner.epoch, owner.from, true);
        origin.retires = None;
        if let Some(record) = record {
            origin.take_record(&record);
        }
        let children = origin.children.clone();
        for child in children {
            self.tell(n, child, Message::Fence { room, epoch: owner.epoch, from: owner.from });
        }
    }

    /// A node mirrors a room.
    pub(super) fn stand_by(&mut self, n: NodeIx, room: RoomIx) {
        let (time, view) = (self.time(), self.nodes[n].view);
        let Some(owner) = self.dir.room(room, view).owner else { return };
        let Some(audio) = self.audio.get_mut(room) else { return };
        let origin = audio.origins.entry(n).or_insert_with(|| Origin::mirror(time, owner.epoch, owner.from));
        (origin.retires, origin.peer) = (None, Some(owner.node));
    }

    /// The view shows who the other origin is.
    pub(super) fn follow(&mut self, n: NodeIx, room: RoomIx, owner: Option<Owner>, mirror: Option<Mirror>) {
        let owns = self.nodes[n].control.owned.contains_key(&room);
        let Some(origin) = self.origin(n, room) else { return };
        let shown = if owns { mirror.map(|mirror| mirror.node) } else { owner.map(|owner| owner.node) };
        // Who has lost its key is still the other origin.
        origin.peer = shown.filter(|node| *node != n).or(origin.peer);
        if let Some(owner) = owner.filter(|owner| owner.node != n) {
            origin.claimed(owner.epoch, owner.from, false);
        }
    }

    /// Another node owns the room from a slot on.
    pub(super) fn retire(&mut self, n: NodeIx, room: RoomIx, successor: Owner) {
        let retires = Some((successor.from, self.now + RETIRE_MS));
        let Some(origin) = self.origin(n, room) else { return };
        origin.claimed(successor.epoch, successor.from, false);
        origin.leadership.yield_at(successor.from);
        (origin.room, origin.peer, origin.retires) = (None, Some(successor.node), retires);
    }

    /// A node has nothing more to do with a room.
    pub(super) fn leave_air(&mut self, n: NodeIx, room: RoomIx) {
        let Some(origin) = self.audio.get_mut(room).and_then(|audio| audio.origins.remove(&n)) else {
            return;
        };
        let parent = (n, self.nodes[n].life);
        for child in origin.children {
            self.tell(n, child, Message::Subscribed { room, parent, taken: false });
        }
    }

    /// What an owner would write.
    pub(super) fn record(&self, n: NodeIx, room: RoomIx) -> Option<Rc<Record>> {
        let origin = self.audio.get(room)?.origins.get(&n)?;
        origin.room.as_ref().map(|room| Rc::new(room.record().clone()))
    }

    /// Whether a mirror could go on at once.
    pub(super) fn is_ready(&self, n: NodeIx, room: RoomIx) -> bool {
        self.audio.get(room).is_none_or(|audio| audio.origins.get(&n).is_some_and(Origin::is_ready))
    }

    /// What is due in the audio of all watched rooms.
    pub(super) fn play(&mut self) {
        for room in 0..self.audio.len() {
            self.speak(room);
            self.moderate(room);
            let origins: Vec<_> = self.audio[room].origins.keys().copied().collect();
            for n in origins {
                if self.awake(n) {
                    self.mix(n, room);
                }
            }
            self.listen(room);
        }
    }

    /// The speakers' packets leave their edge for every origin of the room.
    fn speak(&mut self, room: RoomIx) {
        let slot = self.slot().0;
        let edge = self.audio[room].edges[0];
        while self.audio[room].next_packet <= slot {
            let seq = self.audio[room].next_packet;
            self.audio[room].next_packet += 1;
            let origins: Vec<_> = self.audio[room].origins.keys().copied().collect();
            for n in origins {
                if self.awake(edge) {
                    self.tell(edge, n, Message::Packets { room, seq });
                }
            }
        }
    }

    /// Somebody is muted or heard again, by the word of the owner.
    fn moderate(&mut self, room: RoomIx) {
        if self.audio[room].next_command > self.now {
            return;
        }
        self.audio[room].next_command = self.now + self.random.random_range(200..COMMAND_MS);
        let (id, muted) = (speaker(self.random.random_range(0..3)), self.random.random_bool(0.6));
        let wall = self.wall();
        let owner =
            self.audio[room].origins.iter().find(|(n, origin)| origin.room.is_some() && self.awake(**n));
        let Some(n) = owner.map(|(n, _)| *n) else { return };
        let Some(origin) = self.origin(n, room) else { return };
        let handled =
            origin.room.as_mut().map(|room| room.handle(wall, &Actor::Operator, Command::Mute { id, muted }));
        if !matches!(handled, Some(Ok(effects)) if !effects.is_empty()) {
            return;
        }
        let Some(stage) = origin.stage_of_room() else { return };
        origin.set_stage(stage.clone());
        let peer = origin.peer;
        let open = stage.participants.iter().filter(|one| !one.muted).map(|one| one.id.clone());
        let open: BTreeSet<_> = open.collect();
        self.note(Note::Mutes { room, version: stage.version });
        let decided = &mut self.audio[room].decided;
        decided.push_back((self.now, open));
        if decided.len() > DECISIONS {
            decided.pop_front();
        }
        if let Some(peer) = peer {
            self.tell(n, peer, Message::Stage { room, stage });
        }
        let owned = self.nodes[n].control.owned.get(&room).map(|owned| (owned.epoch, owned.revision));
        if let Some((epoch, revision)) = owned {
            let record = self.record(n, room);
            self.ask(n, room, Op::Commit { room, epoch, revision, record });
        }
    }

    fn mix(&mut self, n: NodeIx, room: RoomIx) {
        let (now, time) = (self.now, self.time());
        let stood = Time::from_millis(self.nodes[n].paused_until);
        loop {
            let Some(origin) = self.origin(n, room).filter(|origin| origin.busy <= now) else { return };
            origin.leadership.stood_still(stood);
            if origin.is_over(now) {
                break;
            }
            match origin.leadership.poll(time) {
                None => break,
                Some(Act::TakeOver { slot, .. }) => self.lead(n, room, slot),
                Some(Act::Emit { due, lineage }) => self.emit(n, room, due, lineage),
                Some(Act::Yielded) => {
                    origin.keep_anew();
                    self.note(Note::Keeps { room, node: n });
                }
            }
        }
        let mirrors = self.nodes[n].control.mirrored.contains_key(&room);
        let Some(origin) = self.origin(n, room) else { return };
        if origin.is_over(now) {
            origin.retires = None;
            if !mirrors {
                return self.leave_air(n, room);
            }
        }
        self.tell_stage(n, room);
    }

    /// A keeper begins to mix. One that is ready must be able to.
    fn lead(&mut self, n: NodeIx, room: RoomIx, slot: Slot) {
        let (now, time) = (self.now, self.time());
        let Some(origin) = self.origin(n, room) else { return };
        origin.busy = now + REPLAY_MS;
        let ready = origin.history.ready(REPLAY_MIN_SLOTS).is_ok();
        let replayed =
            ready.then(|| Mixer::replay(Config::default(), &origin.history, time, REPLAY_MIN_SLOTS));
        if let Some(Err(error)) = replayed {
            self.broken(Invariant::MirrorReady.broken(format!("room {room} at node {n}: {error}")));
        }
        self.stats.led(ready);
        self.note(Note::Leads { room, node: n, slot, ready });
    }

    fn emit(&mut self, n: NodeIx, room: RoomIx, due: Due, lineage: Lineage) {
        let Some(origin) = self.origin(n, room) else { return };
        let (frame, entry) = (origin.frame(due.slot, lineage), origin.mix(due.slot));
        origin.ring.insert(frame.clone());
        self.judge_gate(n, room, &entry);
        self.send_down(n, room, &frame);
        let origins = self.audio[room].origins.iter();
        let followers: Vec<_> =
            origins.filter(|(_, other)| other.peer == Some(n)).map(|(follower, _)| *follower).collect();
        for follower in followers {
            let (frame, entry) = (frame.clone(), entry.clone());
            self.tell(n, follower, Message::Mixed { room, from: n, frame, entry });
        }
    }

    /// The owner's stream begins with the stage; here it is told now and then.
    fn tell_stage(&mut self, n: NodeIx, room: RoomIx) {
        let now = self.now;
        let due = |origin: &&mut Origin| origin.stage_at <= now && origin.room.is_some();
        let Some(origin) = self.origin(n, room).filter(due) else { return };
        origin.stage_at = now + STAGE_MS;
        let (stage, peer) = (origin.stage.clone(), origin.peer);
        if let Some(peer) = peer {
            self.tell(n, peer, Message::Stage { room, stage });
        }
    }

    /// The other origin mixed a slot.
    pub(super) fn mixed(&mut self, n: NodeIx, message: Message) {
        let Message::Mixed { room, from, frame, entry } = message else { return };
        let time = self.time();
        self.beaten(n, room, from);
        let Some(origin) = self.origin(n, room) else { return };
        origin.claimed(frame.epoch, frame.slot, false);
        let heard = origin.leadership.heard(time, frame.slot, frame.lineage);
        match heard {
            Heard::Behind => return,
            Heard::StepDown => origin.keep_anew(),
            Heard::Follow => {}
        }
        origin.history.push_log(entry);
        let inserted = origin.ring.insert(frame.clone());
        let fenced = origin.fence.took(frame.epoch, frame.slot);
        if inserted == Inserted::New {
            self.hold(fenced);
            self.send_down(n, room, &frame);
        }
        if heard == Heard::StepDown {
            self.note(Note::Keeps { room, node: n });
        }
    }

    /// The owner told who may speak; or packets came.
    pub(super) fn told_studio(&mut self, n: NodeIx, message: Message) {
        let time = self.time();
        match message {
            Message::Stage { room, stage } => {
                if let Some(origin) = self.origin(n, room).filter(|origin| origin.room.is_none()) {
                    origin.set_stage(stage);
                }
            }
            Message::Packets { room, seq } => {
                if let Some(origin) = self.origin(n, room) {
                    origin.take_packets(time, seq);
                }
            }
            _ => {}
        }
    }
}
