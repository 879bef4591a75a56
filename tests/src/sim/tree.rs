//! Relays and edges of watched rooms: which parents they take (`placement::parents`, `relay::Parents`), what passes through
//! them (`relay::Ring`), what is played (`relay::Playout`), and how many listen and who is stuck (`relay::Counts`).

use stentor_ids::{Lineage, Slot};
use stentor_pace::Time;
use stentor_placement::{parents, rank};
use stentor_relay::{Action, Count, Frame, Inserted, Output, Stuck};

use super::{
    directory::RoomIx,
    message::{Message, Note, Process},
    net::NodeIx,
    staged::Staged,
    tap::{COUNT_MS, Tap},
    world::World,
};

impl World {
    fn tap(&mut self, n: NodeIx, room: RoomIx) -> Option<&mut Tap> {
        self.audio.get_mut(room)?.taps.get_mut(&n)
    }

    /// A relay's or an edge's turn: parents are chosen anew, counts go up.
    pub(super) fn tend(&mut self, n: NodeIx) {
        for room in 0..self.audio.len() {
            if self.audio[room].taps.contains_key(&n) {
                self.take_parents(n, room);
                self.count(n, room);
            }
        }
    }

    fn take_parents(&mut self, n: NodeIx, room: RoomIx) {
        let ranked = self.nodes[n].current.then(|| self.ranked(n, room));
        let (time, random) = (self.time(), self.draw());
        let Some(tap) = self.tap(n, room) else { return };
        if let Some(ranked) = ranked.filter(|ranked| *ranked != tap.ranked) {
            tap.ranked.clone_from(&ranked);
            tap.parents.rank(ranked);
        }
        let mut actions = Vec::new();
        tap.parents.poll(time, random, &mut actions);
        let (next, lineage) = (tap.ring.highest().map(Slot::next), tap.ring.lineage());
        for action in actions {
            let (parent, takes) = match action {
                Action::Connect(parent) => (parent, true),
                Action::Drop(parent, _) => (parent, false),
            };
            if let Some(tap) = self.tap(n, room).filter(|_| !takes) {
                tap.open.remove(&parent);
            }
            self.note(Note::Parent { room, node: n, parent, takes });
            let life = parent.1;
            let message = match takes {
                true => Message::Subscribe { room, child: n, life, next, lineage },
                false => Message::Unsubscribe { room, child: n },
            };
            self.tell(n, parent.0, message);
        }
    }

    /// The parents of a relay are the room's origins, those of an edge two relays, where there are two.
    fn ranked(&self, n: NodeIx, room: RoomIx) -> Vec<Process> {
        let (node, view) = (&self.nodes[n], self.nodes[n].view);
        let process = |node: NodeIx| Some((node, self.dir.member(node, view)?.life));
        if node.roles.edge {
            let relays = self.candidates(n, |node| node.roles.relay);
            if relays.len() >= 2 {
                let id = &self.rooms[room];
                let edges = self.nodes.iter().filter(|node| node.roles.edge).count();
                let mut ranked = parents(id, &node.id, node.zone, &relays, edges);
                let others = rank(id, &relays);
                ranked.extend(others.into_iter().filter(|other| !ranked.contains(other)).collect::<Vec<_>>());
                let number = |id| self.nodes.iter().position(|node| node.id == id);
                return ranked.into_iter().filter_map(number).filter_map(process).collect();
            }
        }
        let keys = self.dir.room(room, view);
        let origins = [keys.owner.map(|owner| owner.node), keys.mirror.map(|mirror| mirror.node)];
        origins.into_iter().flatten().filter_map(process).collect()
    }

    /// A relay tells every parent its sum; an edge tells its best one how many listen, and all of them if it is stuck.
    fn count(&mut self, n: NodeIx, room: RoomIx) {
        let (now, time) = (self.now, self.time());
        let Some(tap) = self.tap(n, room).filter(|tap| tap.count_at <= now) else { return };
        tap.count_at = now + COUNT_MS;
        let plays = tap.listener.as_ref().map(|listener| listener.playout.stuck(time));
        tap.counts.plays(plays.flatten());
        let known = tap.ring.lineage().max(Lineage::of(tap.ring.epoch()));
        let (sum, stuck) = (tap.counts.sum(time), tap.counts.stuck(time, known));
        let (best, edge, open) = (tap.parents.best().copied(), plays.is_some(), tap.open.clone());
        for parent in open {
            let count = if !edge || best == Some(parent) { sum } else { Count::default() };
            self.tell(n, parent.0, Message::Count { room, child: n, count, stuck });
        }
    }

    /// A child tells how many listen below it, and who is stuck there.
    pub(super) fn counted(
        &mut self,
        n: NodeIx,
        room: RoomIx,
        child: NodeIx,
        (count, stuck): (Count, Option<Stuck>),
    ) {
        let time = self.time();
        let Some(audio) = self.audio.get_mut(room) else { return };
        let origin = audio.origins.get_mut(&n).map(|origin| &mut origin.counts);
        if let Some(counts) = origin.or(audio.taps.get_mut(&n).map(|tap| &mut tap.counts)) {
            counts.join(child as u64);
            counts.report(time, child as u64, count, stuck);
        }
    }

    /// A child wants the room.
    pub(super) fn subscribe(&mut self, n: NodeIx, message: Message) {
        let Message::Subscribe { room, child, life, next, lineage } = message else { return };
        let parent = (n, self.nodes[n].life);
        let relay = self.nodes[n].roles.relay;
        let audio = &mut self.audio[room];
        let found = if life != parent.1 {
            None
        } else if let Some(origin) = audio.origins.get_mut(&n) {
            origin.children.insert(child);
            origin.reported(next.unwrap_or_default(), lineage);
            let term = origin.machine.term();
            Some((Some((term.epoch, term.from)), Some(origin.staged.clone()), &origin.ring))
        } else if relay {
            let tap = audio.taps.entry(n).or_insert_with(Tap::relay);
            tap.children.insert(child);
            Some((None, tap.staged.clone(), &tap.ring))
        } else {
            None
        };
        let Some((claim, told, ring)) = found else {
            return self.tell(n, child, Message::Subscribed { room, parent, taken: false });
        };
        // Without a wish a little of what is held, so that two parents overlap.
        let from = next.or(ring.highest()).unwrap_or_default();
        let held: Vec<_> = ring.from(from).cloned().collect();
        let delay = self.net.delay(self.now, n, child, &mut self.random);
        let Some(delay) = delay else { return };
        self.tell_in(delay, child, Message::Subscribed { room, parent, taken: true });
        if let Some((epoch, from)) = claim {
            self.tell_in(delay, child, Message::Fence { room, epoch, from });
        }
        if let Some(told) = told {
            self.tell_in(delay, child, Message::Staged { room, told });
        }
        for frame in held {
            self.tell_in(delay, child, Message::Frame { room, parent, frame });
        }
    }

    /// The parent answered, or let go.
    pub(super) fn subscribed(&mut self, n: NodeIx, room: RoomIx, parent: Process, taken: bool) {
        let (time, random) = (self.time(), self.draw());
        let Some(tap) = self.tap(n, room) else { return };
        if taken {
            tap.open.insert(parent);
            tap.parents.opened(time, &parent);
        } else {
            tap.open.remove(&parent);
            tap.parents.lost(time, &parent, random);
        }
    }

    /// A child is gone.
    pub(super) fn unsubscribe(&mut self, n: NodeIx, room: RoomIx, child: NodeIx) {
        let Some(audio) = self.audio.get_mut(room) else { return };
        if let Some(origin) = audio.origins.get_mut(&n) {
            origin.children.remove(&child);
            origin.counts.leave(child as u64);
        }
        if let Some(tap) = audio.taps.get_mut(&n) {
            tap.children.remove(&child);
            tap.counts.leave(child as u64);
        }
    }

    /// A process at the other end of connections has ended: streams from it, to it, and beside it.
    pub(super) fn disconnected(&mut self, n: NodeIx, peer: Process) {
        self.gone(n, peer.0);
        for room in 0..self.audio.len() {
            self.subscribed(n, room, peer, false);
            self.unsubscribe(n, room, peer.0);
        }
    }

    /// Who may speak, as an origin takes it to be now, goes to all children.
    pub(super) fn stage_goes_down(&mut self, n: NodeIx, room: RoomIx) {
        let Some(origin) = self.origin(n, room) else { return };
        if !std::mem::take(&mut origin.tells_stage) {
            return;
        }
        let (told, children) = (origin.staged.clone(), origin.children.clone());
        for child in children {
            self.tell(n, child, Message::Staged { room, told: told.clone() });
        }
    }

    /// The same came from a parent: the newest counts, and goes on.
    pub(super) fn stage_came(&mut self, n: NodeIx, room: RoomIx, told: &Staged) {
        let Some(tap) = self.tap(n, room) else { return };
        if tap.take_stage(told) {
            for child in tap.children.clone() {
                self.tell(n, child, Message::Staged { room, told: told.clone() });
            }
        }
    }

    /// A slot goes to all children.
    pub(super) fn send_down(&mut self, n: NodeIx, room: RoomIx, frame: &Frame) {
        let parent = (n, self.nodes[n].life);
        let audio = &self.audio[room];
        let origin = audio.origins.get(&n).map(|origin| &origin.children);
        let children = origin.or(audio.taps.get(&n).map(|tap| &tap.children)).cloned().unwrap_or_default();
        for child in children {
            self.tell(n, child, Message::Frame { room, parent, frame: frame.clone() });
        }
    }

    /// A slot came from a parent.
    pub(super) fn framed(&mut self, n: NodeIx, room: RoomIx, parent: Process, frame: &Frame) {
        let (now, time) = (self.now, self.time());
        let Some(tap) = self.tap(n, room) else { return };
        tap.parents.delivered(time, &parent);
        tap.heard.insert(parent.0, now);
        let before = tap.ring.epoch();
        let inserted = tap.ring.insert(frame.clone());
        let fenced = if inserted == Inserted::New { tap.fence.took(frame.epoch, frame.slot) } else { Ok(()) };
        if tap.ring.epoch() > before {
            tap.fence.claimed(frame.epoch, frame.slot);
        }
        if inserted == Inserted::New {
            tap.counts.took(time, tap.ring.lineage());
            if let Some(listener) = &mut tap.listener {
                listener.playout.push(time, frame.clone());
            }
            self.hold(fenced);
            self.send_down(n, room, frame);
        }
    }

    /// A claim came down.
    pub(super) fn fence(&mut self, n: NodeIx, message: Message) {
        let Message::Fence { room, epoch, from } = message else { return };
        let Some(tap) = self.tap(n, room) else { return };
        tap.fence.claimed(epoch, from);
        if tap.ring.fence(epoch, from) {
            for child in tap.children.clone() {
                self.tell(n, child, Message::Fence { room, epoch, from });
            }
        }
    }

    /// Plays what is due at the edges of a room.
    pub(super) fn listen(&mut self, room: RoomIx) {
        let (now, time) = (self.now, self.time());
        // Listeners of a room that has ended are let go.
        if self.dir.now(room).record.as_ref().is_some_and(|stored| stored.ended) {
            return;
        }
        for place in 0..self.audio[room].edges.len() {
            let n = self.audio[room].edges[place];
            if !self.awake(n) {
                continue;
            }
            let Some(listener) = self.tap(n, room).and_then(|tap| tap.listener.as_mut()) else { continue };
            let mut out = Vec::new();
            if listener.playout.next_deadline().is_some_and(|due| due <= time) {
                listener.playout.poll(time, &mut out);
            }
            for output in out {
                self.heard_slot(n, room, now, &output);
            }
            self.judge_fed(n, room);
        }
    }

    fn heard_slot(&mut self, edge: NodeIx, room: RoomIx, now: u64, output: &Output) {
        let Some(listener) = self.tap(edge, room).and_then(|tap| tap.listener.as_mut()) else { return };
        let (slot, lineage) = match output {
            Output::Play(frame) => (frame.slot, frame.lineage),
            Output::Gap { slot, count } => {
                self.note(Note::Gap { room, edge, slot: *slot, count: *count });
                return self.stats.missed(*count);
            }
        };
        let (once, gap) = (listener.once.given(slot, lineage), listener.no_gap.given(slot));
        let changed = std::mem::replace(&mut listener.lineage, lineage) != lineage;
        let before = listener.played.replace((slot, now)).map(|(_, at)| at);
        listener.fed.fed(Time::from_millis(now));
        self.stats.played(before.map(|before| now - before));
        self.hold(once);
        self.judge_gap(gap);
        if changed {
            self.note(Note::Hears { room, edge, slot, lineage });
        }
    }
}
