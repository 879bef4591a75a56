//! Rooms that a node owns or mirrors: `ownership::Tenure` is told what happens, and what it asks for is done over the simulated
//! net, directory and audio. Nothing is decided here.

use std::time::Duration;

use stentor_ids::{NodeId, Revision};
use stentor_ownership::{
    Bid, Books, Effect, Event, Held, Here, Keys, MirrorKey, Moment, OwnerKey, Reach, Shown, Standing,
    Successor, Tenure, Wants, timing::REPORTED,
};
use stentor_pace::Time;
use stentor_room::{Ledger, Record, Room};

use super::{
    directory::{self, Book, Op, RoomIx},
    message::{Ask, Note, Run},
    net::NodeIx,
    node::Node,
    running::{Asker, Running, Sim, Stream},
    tap::LISTENERS,
    world::World,
};

/// How long an owner has not been heard that is in doubt.
const DOUBTED: Duration = Duration::from_millis(500);
/// How often an owner's commits that failed are tried again, in milliseconds.
const TICK_MS: u64 = 1_000;

impl World {
    /// A node begins to own or to mirror a room, with its record as it was read.
    pub(super) fn begin(&mut self, n: NodeIx, room: RoomIx, standing: Standing<Sim>, record: &Book) {
        let number = self.number();
        let epoch = standing.owner().epoch;
        let read = |book: &std::rc::Rc<[u8]>| Record::decode(book).ok();
        let ledger = record.as_ref().and_then(read).map(|record| Ledger::new(Room::new(record), epoch));
        if let Standing::Owner(held) = &standing {
            self.becomes_owner(n, room, &held.key, None);
        } else {
            self.note(Note::Mirrors { room, node: n, does: true });
        }
        self.begin_life(n, Run { room, number }, standing, ledger, Stream::default(), false);
    }

    /// An actor begins, or another in the place of one that failed. What is heard of others, and by them, outlives it.
    fn begin_life(
        &mut self,
        n: NodeIx,
        run: Run,
        standing: Standing<Sim>,
        ledger: Option<Ledger<u64>>,
        mut stream: Stream,
        again: bool,
    ) {
        let Run { room, number } = run;
        let here = Here { heard: self.time(), connected: true, ..self.sounds(n, room, false) };
        let (me, id, shown) = (self.nodes[n].id.clone(), self.rooms[room].clone(), self.shown(n, room));
        let (tenure, effects) = Tenure::begin(&here, me, id, standing.clone(), shown, again);
        stream.forget_peer();
        let tick_at = self.now + TICK_MS;
        let running = Running { number, tenure, published: standing, ledger, stream, left: false, tick_at };
        self.nodes[n].control.rooms.insert(room, running);
        self.perform(n, run, effects);
    }

    /// Tells a room something, if it runs at the node.
    pub(super) fn tell_room(&mut self, n: NodeIx, room: RoomIx, event: Event<Sim>) {
        if let Some(running) = self.nodes[n].control.rooms.get(&room) {
            let run = Run { room, number: running.number };
            self.tell_run(n, run, event);
        }
    }

    /// Tells one life of a room something, also when it has left the node's list.
    pub(super) fn tell_run(&mut self, n: NodeIx, run: Run, event: Event<Sim>) {
        let here = self.here(n, run);
        if let Some(running) = self.running(n, run) {
            let effects = running.tenure.handle(&here, event);
            self.perform(n, run, effects);
        }
    }

    /// One life of a room at a node.
    pub(super) fn running(&mut self, n: NodeIx, run: Run) -> Option<&mut Running> {
        let control = &mut self.nodes[n].control;
        let listed = control.rooms.get_mut(&run.room).filter(|running| running.number == run.number);
        listed.or_else(|| control.going.get_mut(&run))
    }

    /// What is due for the rooms of a node.
    pub(super) fn hold_rooms(&mut self, n: NodeIx) {
        let (now, control) = (self.now, &self.nodes[n].control);
        let due = |running: &Running| {
            running.tenure.next_deadline().is_some_and(|due| due.at.as_millis() <= now)
                || running.stream.is_due(now)
                || running.tick_at <= now
        };
        let listed = control.rooms.iter().filter(|(_, running)| due(running));
        let listed = listed.map(|(room, running)| Run { room: *room, number: running.number });
        let going = control.going.iter().filter(|(_, running)| due(running)).map(|(run, _)| *run);
        for run in listed.chain(going).collect::<Vec<_>>() {
            self.keep_streams(n, run);
            self.retry(n, run);
            let here = self.here(n, run);
            if let Some(running) = self.running(n, run) {
                let effects = running.tenure.poll(&here);
                self.perform(n, run, effects);
            }
        }
    }

    fn retry(&mut self, n: NodeIx, run: Run) {
        let now = self.now;
        let Some(running) = self.running(n, run).filter(|running| running.tick_at <= now) else { return };
        running.tick_at = now + TICK_MS;
        let lost = running.tenure.has_lost_its_key();
        let steps = running.ledger.as_mut().filter(|_| !lost).map(Ledger::retry);
        self.carry_out(n, run, steps.unwrap_or_default());
    }

    /// What the view of a node shows of a room.
    pub(super) fn shown(&self, n: NodeIx, room: RoomIx) -> Shown {
        let view = self.nodes[n].view;
        let keys = self.dir.room(room, view);
        let there = |node: NodeIx| {
            self.dir.member(node, view).map(|member| format!("{}#{}", self.nodes[node].id, member.life))
        };
        let keys = keys.record.is_some().then(|| Keys {
            owner: keys.owner.map(|owner| self.owner_key(&owner)),
            mirror: keys.mirror.map(|mirror| self.mirror_key(&mirror)),
            mirror_at: keys.mirror.and_then(|mirror| there(mirror.node)),
            wants: match &keys.record {
                Some(stored) if stored.ended => Wants::Nobody,
                _ if !self.reads(n, room) => Wants::Others,
                _ => Wants::Origins,
            },
            bids: keys.bids.iter().map(|(node, bid)| self.bid(*node, bid)).collect(),
        });
        Shown { at: moment(view), keys }
    }

    pub(super) fn owner_key(&self, owner: &directory::Owner) -> OwnerKey {
        let directory::Owner { node, epoch, from, revision, .. } = *owner;
        OwnerKey { node: self.nodes[node].id.clone(), epoch, from_slot: from, revision: Revision(revision) }
    }

    pub(super) fn mirror_key(&self, mirror: &directory::Mirror) -> MirrorKey {
        MirrorKey { node: self.nodes[mirror.node].id.clone(), revision: Revision(mirror.revision) }
    }

    fn bid(&self, node: NodeIx, bid: &directory::Bid) -> Bid {
        let directory::Bid { epoch, reach, revision, .. } = *bid;
        Bid { node: self.nodes[node].id.clone(), epoch, reach, revision: Revision(revision) }
    }

    pub(super) fn owner_held(&self, owner: directory::Owner) -> Held<OwnerKey, directory::Owner> {
        Held { key: self.owner_key(&owner), written: moment(owner.revision), right: owner }
    }

    pub(super) fn mirror_held(&self, mirror: directory::Mirror) -> Held<MirrorKey, directory::Mirror> {
        Held { key: self.mirror_key(&mirror), written: moment(mirror.revision), right: mirror }
    }

    /// How a room stands at a node now.
    fn here(&mut self, n: NodeIx, run: Run) -> Here {
        let (now, watched) = (self.now, run.room < self.audio.len());
        let Some(running) = self.running(n, run) else { return Here::default() };
        let (heard, connected) = (Time::from_millis(running.stream.heard), running.stream.connected);
        let (other, owns) = (running.tenure.other().cloned(), running.tenure.is_owner());
        let books = running.ledger.as_ref().map_or(Books::Settled, books);
        let peer = self.number_of(other.as_ref());
        let stream = self.running(n, run).map(|running| &running.stream);
        let ready = stream.zip(peer).is_some_and(|(stream, peer)| stream.is_ready(now, peer, watched));
        let ready = other.filter(|_| ready);
        // What is reached is of interest where the owner is in doubt, and costs a look at all nodes.
        let doubted = !owns && (!connected || self.time().since(heard) >= DOUBTED);
        let contested = !self.dir.room(run.room, self.nodes[n].view).bids.is_empty();
        let reach = if doubted || contested { self.reach(n, run.room) } else { Reach::default() };
        Here { heard, connected, ready, books, reach, ..self.sounds(n, run.room, owns) }
    }

    /// How its audio stands. A room whose audio is not simulated is on the air like any other.
    fn sounds(&self, n: NodeIx, room: RoomIx, owns: bool) -> Here {
        let (now, clock, live) = (self.time(), Some(self.slot()), true);
        let preempt_from = self.nodes[n].control.preemptions.next(&self.rooms[room]);
        let here = Here { now, clock, live, newest: clock, leads: owns, preempt_from, ..Here::default() };
        let Some(audio) = self.audio.get(room) else { return here };
        let Some(origin) = audio.origins.get(&n) else { return Here { newest: None, leads: false, ..here } };
        let (epoch, newest) = (origin.epoch(), origin.line.newest());
        let next = origin.line.under_way(now).map(|(next, _)| next);
        Here { epoch, newest, next, leads: origin.open, ..here }
    }

    /// What a node reaches of a room. Of one whose audio is not simulated: all that it could.
    pub(super) fn reach(&self, n: NodeIx, room: RoomIx) -> Reach {
        if let Some(audio) = self.audio.get(room) {
            let reached = audio.origins.get(&n).map(|origin| origin.counts.reached(self.time(), REPORTED));
            let (listeners, children) = reached.unwrap_or_default();
            return Reach { listeners, children };
        }
        let reached = |wanted: fn(&Node) -> bool| {
            let there = (0..self.nodes.len()).filter(|other| wanted(&self.nodes[*other]));
            there.filter(|other| self.answers(n, *other)).count()
        };
        let (edges, relays) = (reached(|node| node.roles.edge), reached(|node| node.roles.relay));
        let children = u32::try_from(relays).unwrap_or(u32::MAX);
        Reach { listeners: LISTENERS * edges as u64, children }
    }

    /// Does what a room asks for, in its order.
    fn perform(&mut self, n: NodeIx, run: Run, effects: Vec<Effect<Sim>>) {
        let mut look = false;
        for effect in effects {
            match effect {
                Effect::Look => look = true,
                Effect::Publish => self.publish(n, run),
                Effect::Leave(_) => self.leave(n, run),
                Effect::Stop => self.stop(n, run),
                Effect::Fail(_) => self.fail(n, run),
                Effect::Transferred(Asker::Drain, outcome) => self.offered(n, run.room, outcome),
                Effect::TookOver(Asker::Owner { node, ask }, outcome) => {
                    self.took_over(n, node, ask, outcome)
                }
                Effect::Transferred(Asker::Operator(token), outcome) => self.moved(token, &outcome),
                Effect::Transferred(..) | Effect::TookOver(..) => {}
                Effect::CloseBooks(fault) => self.books(n, run, |books| books.close(fault)),
                Effect::ReopenBooks => self.books(n, run, Ledger::reopen),
                Effect::AbandonBooks(fault) => self.abandon(n, run, &fault),
                Effect::SaveAgain => self.save_again(n, run),
                Effect::Keep(owner) => self.keep(n, run, &owner),
                Effect::Decide(record) => self.decide(n, run, record.flatten().as_ref()),
                Effect::Follow(node) => self.meet(n, run.room, node.as_ref()),
                Effect::Term(key) => self.term(n, run.room, &key),
                Effect::EndAt(slot) => self.end_at(n, run, slot),
                Effect::Fence(Successor { epoch, from_slot, .. }) => {
                    self.fence_at(n, run.room, epoch, from_slot)
                }
                Effect::TellOwner(took) => self.becomes_owner(n, run.room, &took.key, took.since),
                Effect::TellSuccessor(_) => self.note(Note::StepsDown { room: run.room, node: n }),
                Effect::Aside => self.stepped_aside(n, run.room),
                Effect::WithdrawBid => self.ask(n, Ask::Nobody, Op::WithdrawBid { room: run.room }),
                Effect::Preempts => {
                    self.note(Note::Contested { room: run.room, node: n });
                    let (time, room) = (self.time(), &self.rooms[run.room]);
                    self.nodes[n].control.preemptions.preempts(time, room);
                }
                // Nobody of the simulation is told, or is told by what it sees.
                Effect::Redirect(..)
                | Effect::Dismiss
                | Effect::TellMirror(_)
                | Effect::TellPeer
                | Effect::TellEnded => {}
                errand => self.send(n, run, errand),
            }
        }
        if look && self.nodes[n].current {
            self.look(n, run.room);
        }
    }

    /// The room's other origin is another node. Whom its audio follows meanwhile is that one's to say.
    fn meet(&mut self, n: NodeIx, room: RoomIx, node: Option<&NodeId>) {
        let peer = self.number_of(node);
        match self.origin(n, room) {
            Some(origin) => origin.machine.meet(peer),
            None => self.follow(n, room, peer),
        }
    }

    fn publish(&mut self, n: NodeIx, run: Run) {
        if let Some(running) = self.running(n, run)
            && let Some(standing) = running.tenure.standing()
        {
            running.published = standing;
        }
    }

    /// A room leaves the list of a node: everyone who takes it from there is let go.
    fn leave(&mut self, n: NodeIx, run: Run) {
        if self.running(n, run).is_none_or(|running| std::mem::replace(&mut running.left, true)) {
            return;
        }
        let control = &mut self.nodes[n].control;
        let Some(running) = control.rooms.remove(&run.room) else { return };
        let mirrored = !running.published.is_owner();
        control.going.insert(run, running);
        if mirrored {
            self.note(Note::Mirrors { room: run.room, node: n, does: false });
        }
        self.end_streams(n, run);
        self.leave_air(n, run.room);
        if self.nodes[n].current {
            self.look(n, run.room);
        }
    }

    fn stop(&mut self, n: NodeIx, run: Run) {
        self.leave(n, run);
        self.nodes[n].control.going.remove(&run);
    }

    /// A room's actor has failed: it begins again from what was published and told.
    pub(super) fn fail(&mut self, n: NodeIx, run: Run) {
        if self.nodes[n].control.rooms.get(&run.room).is_none_or(|running| running.number != run.number) {
            self.nodes[n].control.going.remove(&run);
            return;
        }
        self.note(Note::Fails { room: run.room, node: n });
        let Some(former) = self.nodes[n].control.rooms.remove(&run.room) else { return };
        let (standing, record) =
            (former.published, former.ledger.map(|ledger| ledger.room().record().clone()));
        self.unanswered(n, run.room);
        let number = self.number();
        let epoch = standing.owner().epoch;
        let ledger = record.map(|record| Ledger::new(Room::new(record), epoch));
        self.begin_life(n, Run { room: run.room, number }, standing, ledger, former.stream, true);
    }

    fn becomes_owner(&mut self, n: NodeIx, room: RoomIx, key: &OwnerKey, since: Option<Time>) {
        self.note(Note::Owns { room, node: n, epoch: key.epoch, from: key.from_slot });
        self.judge_owner(n, room, key.epoch);
        self.stats.took_over(since.map(|since| self.time().since(since)));
    }

    /// The number of a node by its name.
    pub(super) fn number_of(&self, node: Option<&NodeId>) -> Option<NodeIx> {
        self.numbers.get(node?).copied()
    }
}

/// A moment of the simulated directory, whose revisions never go back.
const fn moment(revision: directory::Revision) -> Moment {
    Moment { history: 0, revision: Revision(revision) }
}

fn books(ledger: &Ledger<u64>) -> Books {
    match ledger.away() {
        _ if ledger.is_settled() => Books::Settled,
        Some(fault) => Books::Away(fault.clone()),
        None => Books::Busy,
    }
}
