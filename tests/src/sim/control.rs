//! The control of a node: its session, its reading of the directory, and as an origin the rooms that it runs and claims.

use std::collections::BTreeSet;

use stentor_ids::{Epoch, NodeId};
use stentor_ownership::{Event, Standing};
use stentor_placement::{Candidate, rank};
use stentor_room::Record;

use super::{
    directory::{Changed, Lease, Op, Reply, Revision, RoomIx},
    message::{Answer, Ask},
    net::{DIRECTORY, NodeIx},
    node::Node,
    staged::staged,
    world::World,
};

/// How often a lease is renewed, in milliseconds.
const RENEW_MS: u64 = 1_500;
/// Longest until a node notices that the directory is silent.
const BLIND_MS: u64 = 3_000;

impl World {
    /// One turn of a node.
    pub(super) fn turn(&mut self, n: NodeIx) {
        self.keep_session(n);
        self.read(n);
        if self.nodes[n].roles.origin {
            self.hold_rooms(n);
            if self.nodes[n].draining {
                self.drain(n);
            }
            self.claim(n);
        }
        self.tend(n);
    }

    fn keep_session(&mut self, n: NodeIx) {
        let node = &mut self.nodes[n];
        if node.renew_at > self.now {
            return;
        }
        node.renew_at = self.now + RENEW_MS;
        let known = self.dir.member(n, node.view);
        let written = known.is_some_and(|known| (known.life, known.draining) == (node.life, node.draining));
        let (life, draining) = (node.life, node.draining);
        let op = if node.lease != 0 && written { Op::Renew } else { Op::Register { life, draining } };
        let serial = self.number();
        self.nodes[n].control.session = Some(serial);
        self.ask(n, Ask::Session(serial), op);
    }

    /// The directory answers the session.
    pub(super) fn session_answered(&mut self, n: NodeIx, serial: u64, answer: Answer) {
        match answer {
            Answer::Directory(Reply::Registered(lease)) => self.registered(n, lease),
            Answer::Directory(Reply::Renewed(false)) if self.nodes[n].control.session == Some(serial) => {
                (self.nodes[n].lease, self.nodes[n].renew_at) = (0, self.now);
            }
            _ => {}
        }
    }

    fn registered(&mut self, n: NodeIx, lease: Lease) {
        if std::mem::replace(&mut self.nodes[n].lease, lease) != lease {
            let rooms: Vec<_> = self.nodes[n].control.rooms.keys().copied().collect();
            rooms.into_iter().for_each(|room| self.tell_room(n, room, Event::NewLease));
        }
    }

    /// Reads the directory up to where it was at the last turn.
    fn read(&mut self, n: NodeIx) {
        let now = self.now;
        if !self.dir.up || !self.net.answers(now, n, DIRECTORY) {
            let wait = self.draw() % BLIND_MS;
            let node = &mut self.nodes[n];
            let blind = *node.blind_at.get_or_insert(now + wait);
            node.current = node.current && now < blind;
            return;
        }
        let told = self.told(n);
        let node = &mut self.nodes[n];
        let anew = !node.current;
        (node.current, node.blind_at) = (true, None);
        let (before, view) = (node.view, node.unread);
        (node.view, node.unread) = (view, told.max(view));
        let changes = &self.dir.changes;
        let first = if anew { 0 } else { changes.partition_point(|(revision, _)| *revision <= before) };
        let last = changes.partition_point(|(revision, _)| *revision <= view);
        if !self.nodes[n].roles.origin {
            return;
        }
        let (mut rooms, mut nodes) = (BTreeSet::new(), false);
        for (_, change) in &changes[first.min(last)..last] {
            match change {
                Changed::Room(room) => drop(rooms.insert(*room)),
                Changed::Node => nodes = true,
            }
        }
        if nodes {
            // Rankings are others now, and mirrors may be reached elsewhere.
            self.nodes[n].control.candidacies.look_at = 0;
            rooms.extend(self.nodes[n].control.rooms.keys());
        }
        rooms.into_iter().for_each(|room| self.look(n, room));
    }

    /// Up to where the directory has told a node what changed. Answers to its calls may be of later.
    fn told(&self, n: NodeIx) -> Revision {
        match self.nodes[n].lags {
            Some((by, until)) if until > self.now => {
                let then = self.revision_at.partition_point(|(at, _)| at + by <= self.now);
                then.checked_sub(1).map_or(0, |last| self.revision_at[last].1)
            }
            _ => self.dir.revision,
        }
    }

    /// Tells a room that runs at the node what its view shows of it, and weighs what of it is empty.
    pub(super) fn look(&mut self, n: NodeIx, room: RoomIx) {
        if self.nodes[n].control.rooms.contains_key(&room) {
            let shown = self.shown(n, room);
            self.tell_room(n, room, Event::Shown(shown));
            self.read_record(n, room);
        }
        self.weigh(n, room);
    }

    /// Tells the audio of a room that another node decides what the view shows of its stage.
    fn read_record(&mut self, n: NodeIx, room: RoomIx) {
        let Some(stored) = self.dir.room(room, self.nodes[n].view).record.clone() else { return };
        let record = stored.record.and_then(|book| Record::decode(&book).ok());
        let decides = self.epoch_of(n, room).is_some();
        if let (Some(record), false, Some(origin)) = (record, decides, self.origin(n, room)) {
            origin.recorded = Some(staged(stored.epoch, &record));
            origin.heed_record();
        }
    }

    /// The nodes of a kind as a node sees them.
    pub(super) fn candidates(&self, n: NodeIx, wanted: impl Fn(&Node) -> bool) -> Vec<Candidate<'_>> {
        let view = self.nodes[n].view;
        let there = self.nodes.iter().enumerate().filter(|(_, node)| wanted(node));
        let candidate = |(ix, node): (NodeIx, &'_ Node)| {
            let member = self.dir.member(ix, view)?;
            let (id, zone): (&NodeId, &str) = (&self.nodes[ix].id, node.zone);
            let (draining, load, schema) = (member.draining, self.dir.load[ix], self.nodes[ix].schema);
            Some(Candidate { zone, draining, load, schema, ..Candidate::new(id) })
        };
        there.filter_map(candidate).collect()
    }

    /// A cluster that has stood for long: every room is where placement wants it.
    pub(super) fn found(&mut self) {
        for n in 0..self.nodes.len() {
            let reply = self.dir.apply(self.now, n, 0, Op::Register { life: 0, draining: false });
            if let Reply::Registered(lease) = reply {
                (self.nodes[n].lease, self.nodes[n].renew_at) = (lease, self.now + self.draw() % 1_000);
            }
        }
        self.see_all();
        for room in 0..self.rooms.len() {
            let ranked = rank(&self.rooms[room], &self.candidates(0, |node| node.roles.origin));
            let [Some(owner), Some(mirror)] = [0, 1].map(|place| self.number_of(ranked.get(place))) else {
                return;
            };
            let record = self.dir.now(room).record.as_ref().and_then(|stored| stored.record.clone());
            let claim = Op::Claim { room, seen: Epoch(0), preempt: None, from: self.slot() };
            let owned = self.dir.apply(self.now, owner, self.nodes[owner].lease, claim);
            let office = Op::Mirror { room, preempt: None };
            let mirrored = self.dir.apply(self.now, mirror, self.nodes[mirror].lease, office);
            let (Reply::Claimed(Ok((key, _))), Reply::Mirrored(Ok(place))) = (owned, mirrored) else {
                return;
            };
            for n in [owner, mirror] {
                (self.nodes[n].view, self.nodes[n].unread) = (self.dir.revision, self.dir.revision);
            }
            self.begin(owner, room, Standing::Owner(self.owner_held(key)), &record);
            let standing = Standing::Mirror { held: self.mirror_held(place), owner: self.owner_key(&key) };
            self.begin(mirror, room, standing, &record);
        }
        self.see_all();
        self.nodes.iter_mut().for_each(|node| node.current = true);
    }

    fn see_all(&mut self) {
        let seen = self.dir.revision;
        self.nodes.iter_mut().for_each(|node| (node.view, node.unread) = (seen, seen));
    }

    /// The epoch under which a node owns a room.
    pub(super) fn epoch_of(&self, n: NodeIx, room: RoomIx) -> Option<Epoch> {
        let running = self.nodes[n].control.rooms.get(&room).filter(|running| running.tenure.is_owner());
        running.map(|running| running.published.owner().epoch)
    }

    /// Whether a node's build reads a room's record.
    pub(super) fn reads(&self, n: NodeIx, room: RoomIx) -> bool {
        self.nodes[n].schema >= self.dir.schema[room]
    }

    /// Whether a node mirrors a room.
    pub(super) fn mirrors(&self, n: NodeIx, room: RoomIx) -> bool {
        self.nodes[n].control.rooms.get(&room).is_some_and(|running| running.tenure.is_mirror())
    }
}
