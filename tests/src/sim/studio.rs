//! What the origins of watched rooms do with time: `relay::Origin` is told what comes, and what it says is done.

use std::rc::Rc;

use stentor_ids::{Epoch, Lineage, ParticipantId, Slot};
use stentor_mix::{Config, LogEntry, Mixer, REPLAY_MIN_SLOTS};
use stentor_ownership::{Event, OwnerKey, Successor};
use stentor_pace::{Invariant, Time};
use stentor_relay::{
    Due, Frame, Inserted, Side, Term, Way,
    origin::{Act, Effect, State, Verdict, Word},
};

use super::{
    audio::{Origin, SPEAKERS, speaker},
    directory::RoomIx,
    message::{Message, Note, Run},
    net::{NodeIx, millis},
    plan::START,
    staged::staged,
    world::World,
};

/// What a replay takes, in milliseconds.
const REPLAY_MS: u64 = 8;

impl World {
    pub(super) fn origin(&mut self, n: NodeIx, room: RoomIx) -> Option<&mut Origin> {
        self.audio.get_mut(room)?.origins.get_mut(&n)
    }

    /// A node begins to pass on what a room's owner mixes.
    pub(super) fn keep(&mut self, n: NodeIx, run: Run, owner: &OwnerKey) {
        let peer = self.number_of(Some(&owner.node));
        let Some(audio) = self.audio.get_mut(run.room) else { return self.follow(n, run.room, peer) };
        match audio.origins.get_mut(&n) {
            Some(origin) => {
                origin.restart(run, owner, Side::Mirror);
                origin.machine.meet(peer);
            }
            None => drop(audio.origins.insert(n, Origin::new(run, owner, Side::Mirror, peer))),
        }
    }

    /// A node decides what a room is, from a record or from what was told last, and goes on the air if it is not.
    pub(super) fn decide(&mut self, n: NodeIx, run: Run, record: Option<&Rc<[u8]>>) {
        self.open_books(n, run, record);
        let Some(running) = self.running(n, run) else { return };
        let (key, peer) = (running.published.owner().clone(), running.tenure.other().cloned());
        let told = running.ledger.as_ref().map(|ledger| staged(key.epoch, ledger.room().record()));
        let peer = self.number_of(peer.as_ref());
        let (time, wall, clock) = (self.time(), self.wall(), self.slot());
        let Some(audio) = self.audio.get_mut(run.room) else { return self.follow(n, run.room, peer) };
        let new = || Origin::new(run, &key, Side::Owner, peer);
        let origin = audio.origins.entry(n).or_insert_with(new);
        if origin.run != run {
            origin.restart(run, &key, Side::Owner);
            origin.machine.meet(peer);
        }
        let begin = origin.beginning(time, clock, &key);
        origin.refuse_older(key.epoch, begin.slot);
        if let Some(told) = told {
            origin.heed(Way::Own, told);
        }
        origin.machine.begin(time, wall, begin);
    }

    /// The room has another owner, or another epoch: this node's own or another's.
    pub(super) fn term(&mut self, n: NodeIx, room: RoomIx, key: &OwnerKey) {
        let (epoch, from, own) = (key.epoch, key.from_slot, self.nodes[n].id == key.node);
        let side = if own { Side::Owner } else { Side::Mirror };
        if let Some(origin) = self.origin(n, room) {
            origin.machine.enter(Term { epoch, from, side });
            self.fence_at(n, room, epoch, from);
        }
    }

    /// Nothing is emitted from a slot on, and that is told when it has come.
    pub(super) fn end_at(&mut self, n: NodeIx, run: Run, slot: Slot) {
        match self.origin(n, run.room) {
            Some(origin) => origin.machine.end_at(slot),
            // Of a room whose audio is not simulated.
            None => {
                let due = (START + millis(slot.offset())).saturating_sub(self.now);
                self.tell_in(due, n, Message::AudioDone { run });
            }
        }
    }

    /// Frames of older epochs are refused from a slot on; all who take the room from here hear of it.
    pub(super) fn fence_at(&mut self, n: NodeIx, room: RoomIx, epoch: Epoch, from: Slot) {
        let Some(origin) = self.origin(n, room) else { return };
        origin.refuse_older(epoch, from);
        for child in origin.children.clone() {
            self.tell(n, child, Message::Fence { room, epoch, from });
        }
        self.tell_followers(n, room, &Message::PeerFence { room, from: n, epoch, slot: from });
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
                    self.act(n, room);
                    self.stage_goes_down(n, room);
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
            let audio = &self.audio[room];
            let lets_up = |who: &ParticipantId| audio.taps.get(&edge).is_none_or(|tap| tap.lets_up(who));
            let from: Vec<_> = (0..SPEAKERS).map(speaker).filter(lets_up).collect();
            let origins: Vec<_> = audio.origins.keys().copied().collect();
            for n in origins {
                if self.awake(edge) {
                    self.tell(edge, n, Message::Packets { room, seq, from: from.clone() });
                }
            }
        }
    }

    /// Does what an origin says is to be done now.
    fn act(&mut self, n: NodeIx, room: RoomIx) {
        let (now, time) = (self.now, self.time());
        let stood = Time::from_millis(self.nodes[n].stood);
        loop {
            let Some(origin) = self.origin(n, room).filter(|one| one.busy <= now && !one.over) else {
                return;
            };
            origin.machine.stood_still(stood);
            origin.lift();
            origin.lift_above_stuck(time);
            match origin.machine.poll(time) {
                None => return,
                // What has come is told before anything is due.
                Some(Act::Read) => origin.machine.has_read(),
                Some(Act::TakeOver { slot, .. }) => self.lead(n, room, slot),
                Some(Act::Emit { due, epoch, lineage }) => self.emit(n, room, due, epoch, lineage),
                Some(Act::Yield) => self.close(n, room),
                Some(Act::Follow { peer, .. }) => self.follow(n, room, peer),
                Some(Act::Say) => self.say(n, room),
                Some(Act::Over) => {
                    origin.over = true;
                    let run = origin.run;
                    return self.tell_run(n, run, Event::AudioDone);
                }
            }
        }
    }

    /// The other origin mixes from now on.
    fn close(&mut self, n: NodeIx, room: RoomIx) {
        if let Some(origin) = self.origin(n, room) {
            origin.open = false;
        }
        self.note(Note::Keeps { room, node: n });
    }

    fn say(&mut self, n: NodeIx, room: RoomIx) {
        let time = self.time();
        let Some(origin) = self.origin(n, room) else { return };
        let ready = origin.is_ready();
        let state = origin.machine.say(time, ready);
        self.tell_followers(n, room, &Message::State { room, from: n, state });
    }

    /// A keeper begins to mix. One that is ready must be able to.
    fn lead(&mut self, n: NodeIx, room: RoomIx, slot: Slot) {
        let (now, time) = (self.now, self.time());
        let Some(origin) = self.origin(n, room) else { return };
        (origin.busy, origin.open) = (now + REPLAY_MS, true);
        origin.heed_record();
        let ready = origin.history.ready(REPLAY_MIN_SLOTS).is_ok();
        let replayed =
            ready.then(|| Mixer::replay(Config::default(), &origin.history, time, REPLAY_MIN_SLOTS));
        if let Some(Err(error)) = replayed {
            self.broken(Invariant::MirrorReady.broken(format!("room {room} at node {n}: {error}")));
        }
        self.stats.led(ready);
        self.note(Note::Leads { room, node: n, slot, ready });
    }

    fn emit(&mut self, n: NodeIx, room: RoomIx, due: Due, epoch: Epoch, lineage: Lineage) {
        let time = self.time();
        let Some(origin) = self.origin(n, room) else { return };
        origin.open = true;
        let entry = origin.mix(due.slot);
        origin.history.push_log(entry.clone());
        let frame = Frame { epoch, lineage, slot: due.slot, ..empty() };
        let inserted = origin.pass(time, &frame);
        let news = origin.machine.emitted(time, &frame, inserted).is_some();
        self.judge_gate(n, room, &entry);
        self.send_down(n, room, &frame);
        if news {
            self.say(n, room);
        }
        self.tell_followers(n, room, &Message::Mixed { room, from: n, frame, entry });
    }

    /// Something came from the other origin of a room.
    pub(super) fn told_studio(&mut self, n: NodeIx, message: Message) {
        match message {
            Message::Packets { room, seq, from } => {
                let time = self.time();
                if let Some(origin) = self.origin(n, room) {
                    origin.take_packets(time, seq, from);
                }
            }
            Message::Mixed { room, from, frame, entry } if self.beaten(n, room, from) => {
                self.mixed(n, room, &frame, entry);
            }
            Message::State { room, from, state } if self.beaten(n, room, from) => self.stands(n, room, state),
            Message::PeerFence { room, from, epoch, slot } if self.beaten(n, room, from) => {
                let effects = self.origin(n, room).map(|origin| origin.machine.fence(epoch, slot));
                self.follows_from(n, room, effects.unwrap_or_default());
            }
            Message::Ended { room, from } if self.beaten(n, room, from) && self.mirrors(n, room) => {
                self.tell_room(n, room, Event::OwnerEnded);
            }
            Message::Stage { room, from, told } if self.beaten(n, room, from) => {
                // Slots are due since the world began.
                let (time, live) = (self.time(), self.time().since(Time::from_millis(START)));
                if let Some(origin) = self.origin(n, room).filter(|origin| origin.machine.heeds(Way::Stream))
                {
                    origin.machine.become_live(time, live);
                    origin.heed(Way::Stream, told);
                }
            }
            _ => {}
        }
    }

    /// The other origin mixed a slot.
    fn mixed(&mut self, n: NodeIx, room: RoomIx, frame: &Frame, entry: LogEntry) {
        let (time, clock) = (self.time(), self.slot());
        let Some(origin) = self.origin(n, room) else { return };
        if !origin.open {
            origin.history.push_log(entry);
        }
        if origin.machine.judge(time, frame, || Some(clock)) != Verdict::Pass {
            return;
        }
        let inserted = origin.pass(time, frame);
        let effects = origin.machine.heard(time, frame, inserted);
        if inserted == Inserted::New {
            let fenced = origin.fence.took(frame.epoch, frame.slot);
            self.hold(fenced);
            self.send_down(n, room, frame);
        }
        self.follows_from(n, room, effects);
    }

    /// The other origin says how it stands.
    fn stands(&mut self, n: NodeIx, room: RoomIx, state: State) {
        let Some(word) = self.origin(n, room).map(|origin| origin.machine.told(state)) else { return };
        if word == Word::Refused {
            return;
        }
        if let Some(running) = self.nodes[n].control.rooms.get_mut(&room) {
            running.stream.state = Some(state);
        }
        if word == Word::Changed {
            self.tell_room(n, room, Event::PeerChanged);
        }
    }

    /// Does what follows from what the other origin said.
    fn follows_from(&mut self, n: NodeIx, room: RoomIx, effects: Vec<Effect<NodeIx>>) {
        for effect in effects {
            match effect {
                Effect::Refused => {}
                Effect::Fence { epoch, from } => self.fence_at(n, room, epoch, from),
                Effect::Claimed { by, epoch, from } => {
                    let successor = Successor { node: self.nodes[by].id.clone(), epoch, from_slot: from };
                    self.tell_room(n, room, Event::Claimed(successor));
                }
                Effect::StepDown { .. } => {
                    self.close(n, room);
                    self.say(n, room);
                }
            }
        }
    }
}

/// A frame of nothing.
fn empty() -> Frame {
    Frame {
        epoch: Epoch(0),
        lineage: Lineage::default(),
        slot: Slot(0),
        opus: bytes::Bytes::new(),
        captured: stentor_pace::WallTime::default(),
    }
}
