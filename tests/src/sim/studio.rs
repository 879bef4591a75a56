//! What the origins of watched rooms do with time: they come and go, mix, follow each other, and obey moderators.

use std::rc::Rc;

use stentor_ids::{Epoch, Lineage, NodeId, Slot};
use stentor_mix::{Config, Mixer, REPLAY_MIN_SLOTS};
use stentor_ownership::{Event, OwnerKey, Successor};
use stentor_pace::{Invariant, Time};
use stentor_relay::{Act, Due, Heard, Inserted};

use super::{
    audio::{Origin, stage},
    directory::RoomIx,
    errands::millis,
    message::{Message, Note, Run},
    net::NodeIx,
    world::{START, World},
};

/// How often an owner tells its mirror who may speak, in milliseconds.
const STAGE_MS: u64 = 500;
/// What a replay takes.
const REPLAY_MS: u64 = 8;

impl World {
    pub(super) fn origin(&mut self, n: NodeIx, room: RoomIx) -> Option<&mut Origin> {
        self.audio.get_mut(room)?.origins.get_mut(&n)
    }

    /// A node begins to pass on what a room's owner mixes.
    pub(super) fn keep(&mut self, n: NodeIx, room: RoomIx, owner: &OwnerKey) {
        let (time, peer) = (self.time(), self.number_of(Some(&owner.node)));
        let Some(audio) = self.audio.get_mut(room) else { return };
        let mirror = || Origin::mirror(time, owner.epoch, owner.from_slot);
        audio.origins.entry(n).or_insert_with(mirror).peer = peer;
    }

    /// A node decides what a room is, from a record or from what was told last: it is on the air from the claim's slot on.
    pub(super) fn decide(&mut self, n: NodeIx, run: Run, record: Option<&Rc<[u8]>>) {
        self.open_books(n, run, record);
        let Some(running) = self.running(n, run) else { return };
        let (key, peer) = (running.published.owner().clone(), running.tenure.other().cloned());
        let told = running.ledger.as_ref().map(|ledger| stage(ledger.room().record()));
        let peer = self.number_of(peer.as_ref());
        let Some(audio) = self.audio.get_mut(run.room) else { return };
        let origin = audio.origins.entry(n).or_insert_with(|| Origin::owner(&key));
        origin.peer = peer.or(origin.peer);
        if let Some(told) = told {
            origin.set_stage(told);
        }
    }

    /// Another node is the room's other origin. Who has lost its key is still the other one.
    pub(super) fn follow(&mut self, n: NodeIx, room: RoomIx, node: Option<&NodeId>) {
        let peer = self.number_of(node);
        let connects = peer.is_some_and(|peer| self.answers(n, peer));
        if let Some(running) = self.nodes[n].control.rooms.get_mut(&room) {
            running.connected = connects;
        }
        if let Some(origin) = self.origin(n, room) {
            origin.peer = peer.or(origin.peer);
        }
    }

    /// The room has another owner, or another epoch: this node's own or another's.
    pub(super) fn term(&mut self, n: NodeIx, room: RoomIx, key: &OwnerKey) {
        let (epoch, from, own) = (key.epoch, key.from_slot, self.nodes[n].id == key.node);
        let Some(origin) = self.origin(n, room) else { return };
        origin.claimed(epoch, from, own);
        if own {
            origin.end = None;
        }
        for child in origin.children.clone() {
            self.tell(n, child, Message::Fence { room, epoch, from });
        }
    }

    /// Nothing is emitted from a slot on, and that is told when it has come.
    pub(super) fn end_at(&mut self, n: NodeIx, run: Run, slot: Slot) {
        match self.origin(n, run.room) {
            Some(origin) => {
                origin.leadership.yield_at(slot);
                origin.end = Some((slot, run));
            }
            // Of a room whose audio is not simulated.
            None => {
                let due = (START + millis(slot.offset())).saturating_sub(self.now);
                self.tell_in(due, n, Message::AudioDone { run });
            }
        }
    }

    /// Frames of older epochs are refused from a slot on.
    pub(super) fn fence_at(&mut self, n: NodeIx, room: RoomIx, epoch: Epoch, from: Slot) {
        let Some(origin) = self.origin(n, room) else { return };
        origin.claimed(epoch, from, false);
        for child in origin.children.clone() {
            self.tell(n, child, Message::Fence { room, epoch, from });
        }
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

    fn mix(&mut self, n: NodeIx, room: RoomIx) {
        let (now, time) = (self.now, self.time());
        let stood = Time::from_millis(self.nodes[n].paused_until);
        loop {
            let Some(origin) = self.origin(n, room).filter(|origin| origin.busy <= now) else { return };
            origin.leadership.stood_still(stood);
            if origin.is_over() {
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
        let Some(origin) = self.origin(n, room) else { return };
        if origin.is_over()
            && let Some((_, run)) = origin.end.take()
        {
            return self.tell_run(n, run, Event::AudioDone);
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
        let owns = self.epoch_of(n, room).is_some();
        let due = |origin: &&mut Origin| origin.stage_at <= now && owns;
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
        let claimed = origin.claimed(frame.epoch, frame.slot, false);
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
        if claimed {
            let node = self.nodes[from].id.clone();
            let successor = Successor { node, epoch: frame.epoch, from_slot: frame.slot };
            self.tell_room(n, room, Event::Claimed(successor));
        }
    }

    /// The owner told who may speak; or packets came.
    pub(super) fn told_studio(&mut self, n: NodeIx, message: Message) {
        let time = self.time();
        match message {
            Message::Stage { room, stage } => {
                let mirrors = self.mirrors(n, room);
                if let Some(origin) = self.origin(n, room).filter(|_| mirrors) {
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
