//! The control of a node: its session, its reading of the directory, and as an origin the rooms that it owns and mirrors.
//! It follows `cluster/host/src/{watch,claim,tenure,standby}.rs`, told in steps of a turn; the decisions are those of
//! `placement::Claims` and `ownership::Detector`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use stentor_ids::{Epoch, NodeId, RoomId, Slot};
use stentor_ownership::{Act, Answer};
use stentor_pace::Time;
use stentor_placement::{Candidate, Claims, Office, OfficeKind, Vacancy};

use super::{
    directory::{Changed, Op, Revision, RoomIx},
    message::{Message, Note},
    net::{DIRECTORY, NodeIx},
    tenure::{Mirrored, Owned},
    world::{Node, World},
};

/// How often a lease is renewed, in milliseconds.
const RENEW_MS: u64 = 1_500;
/// How long an answer of the directory is waited for.
const REQUEST_MS: u64 = 2_000;
/// How long the former owner has to answer.
const ASK_MS: u64 = 300;
/// How long a former owner that still runs the room is left to put its key back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest until a node notices that the directory is silent.
const BLIND_MS: u64 = 3_000;
/// Claims of one node under way at once.
const CLAIMS_AT_ONCE: usize = 16;

/// What a node does about rooms.
#[derive(Debug, Default)]
pub(super) struct Control {
    claims: Claims<Revision>,
    /// Offices that nobody holds, as far as the view shows.
    pub(super) vacant: BTreeSet<(RoomIx, OfficeKind)>,
    /// When to look at them.
    pub(super) look_at: u64,
    pub(super) owned: BTreeMap<RoomIx, Owned>,
    pub(super) mirrored: BTreeMap<RoomIx, Mirrored>,
    pub(super) pending: BTreeMap<RoomIx, Pending>,
    /// The session's own question, if one is open.
    pub(super) session: Option<u64>,
}

/// The one thing under way for a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) serial: u64,
    pub(super) until: u64,
    pub(super) what: What,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The former owner is asked before a claim.
    Asking { since: u64, preempt: Option<Revision> },
    /// The room is claimed; by whom it was decided.
    Claiming { detector: bool },
    /// The mirror's office is claimed.
    Mirroring,
    /// The owner key is put back.
    Reasserting,
}

impl World {
    /// One turn of a node.
    pub(super) fn turn(&mut self, n: NodeIx) {
        self.keep_session(n);
        self.read(n);
        if self.nodes[n].roles.origin {
            self.time_out(n);
            self.hold_rooms(n);
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
        let serial = self.ask(n, usize::MAX, op);
        self.nodes[n].control.session = Some(serial);
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
        let node = &mut self.nodes[n];
        let anew = !node.current;
        (node.current, node.blind_at) = (true, None);
        let (before, view) = (node.view, node.unread);
        (node.view, node.unread) = (view, self.dir.revision);
        let changes = &self.dir.changes;
        let first = if anew { 0 } else { changes.partition_point(|(revision, _)| *revision <= before) };
        let last = changes.partition_point(|(revision, _)| *revision <= view);
        if !self.nodes[n].roles.origin {
            return;
        }
        let mut rooms = BTreeSet::new();
        for (_, change) in &changes[first.min(last)..last] {
            match change {
                Changed::Room(room) => drop(rooms.insert(*room)),
                // Rankings are others now.
                Changed::Node => self.nodes[n].control.look_at = 0,
            }
        }
        rooms.into_iter().for_each(|room| self.look(n, room));
    }

    /// What came to nothing in its time.
    fn time_out(&mut self, n: NodeIx) {
        let (now, time) = (self.now, self.time());
        let control = &mut self.nodes[n].control;
        let over: Vec<_> =
            control.pending.iter().filter(|(_, one)| one.until <= now).map(|(room, _)| *room).collect();
        for room in over {
            let control = &mut self.nodes[n].control;
            let Some(pending) = control.pending.remove(&room) else { continue };
            let again = time + Duration::from_millis(500);
            match pending.what {
                What::Claiming { detector: true } => {
                    if let Some(mirrored) = control.mirrored.get_mut(&room) {
                        mirrored.detector.refused(time);
                    }
                }
                What::Claiming { detector: false } => {
                    control.claims.shun(self.rooms[room].clone(), OfficeKind::Owner, again)
                }
                What::Mirroring => control.claims.shun(self.rooms[room].clone(), OfficeKind::Mirror, again),
                What::Asking { .. } | What::Reasserting => {}
            }
            self.look(n, room);
        }
    }

    /// Claims what is due.
    fn claim(&mut self, n: NodeIx) {
        let node = &self.nodes[n];
        if !node.current
            || node.lease == 0
            || node.control.vacant.is_empty()
            || node.control.look_at > self.now
        {
            return;
        }
        let mut claims = std::mem::take(&mut self.nodes[n].control.claims);
        let (due, next) = {
            let node = &self.nodes[n];
            let nodes = self.candidates(n, |node| node.roles.origin);
            let vacancies: Vec<_> =
                node.control.vacant.iter().filter_map(|office| self.vacancy(n, *office)).collect();
            let (time, rooms) = (self.time(), &self.rooms);
            let vacant = |room: &RoomId, office| {
                node.control.vacant.iter().any(|(ix, kind)| rooms[*ix] == *room && *kind == office)
            };
            claims.keep(vacant);
            vacancies.iter().for_each(|vacancy| claims.vacant(time, vacancy));
            // What a node owns changes in a simulated view without a word.
            claims.nodes_changed();
            claims.due(time, &node.id, &nodes)
        };
        let control = &mut self.nodes[n].control;
        control.claims = claims;
        control.look_at = next.map_or(u64::MAX, Time::as_millis);
        for claim in due {
            if self.nodes[n].control.pending.len() >= CLAIMS_AT_ONCE {
                self.nodes[n].control.look_at = 0;
                break;
            }
            let Some(room) = self.rooms.iter().position(|room| *room == claim.room) else { continue };
            let since = claim.since.as_millis();
            match claim.office {
                OfficeKind::Owner => self.ask_around(n, room, What::Asking { since, preempt: claim.preempt }),
                OfficeKind::Mirror => {
                    self.request(n, room, What::Mirroring, Op::Mirror { room, preempt: claim.preempt })
                }
            }
        }
    }

    fn vacancy(&self, n: NodeIx, (room, office): (RoomIx, OfficeKind)) -> Option<Vacancy<'_, Revision>> {
        let keys = self.dir.room(room, self.nodes[n].view);
        let id = |node: NodeIx| &self.nodes[node].id;
        let (office, stale) = match office {
            OfficeKind::Owner => {
                let mirror = keys.mirror.map(|mirror| id(mirror.node));
                (Office::Owner { mirror }, keys.owner.map(|owner| owner.revision))
            }
            OfficeKind::Mirror => {
                (Office::Mirror { owner: id(keys.owner?.node) }, keys.mirror.map(|mirror| mirror.revision))
            }
        };
        Some(Vacancy { room: &self.rooms[room], office, stale, schema: 1 })
    }

    /// The nodes of a kind as a node sees them.
    pub(super) fn candidates(&self, n: NodeIx, wanted: impl Fn(&Node) -> bool) -> Vec<Candidate<'_>> {
        let view = self.nodes[n].view;
        let there = self.nodes.iter().enumerate().filter(|(_, node)| wanted(node));
        let candidate = |(ix, node): (NodeIx, &'_ Node)| {
            let member = self.dir.member(ix, view)?;
            let (id, zone): (&NodeId, &str) = (&self.nodes[ix].id, node.zone);
            let (draining, load) = (member.draining, self.dir.load[ix]);
            Some(Candidate { zone, draining, load, ..Candidate::new(id) })
        };
        there.filter_map(candidate).collect()
    }

    /// Asks the directory about a room; one thing at a time.
    pub(super) fn request(&mut self, n: NodeIx, room: RoomIx, what: What, op: Op) {
        let serial = self.ask(n, room, op);
        let until = self.now + REQUEST_MS;
        self.nodes[n].control.pending.insert(room, Pending { serial, until, what });
    }

    /// Asks a room's owner whether it lives, before a claim. Who does not answer is waited for.
    fn ask_around(&mut self, n: NodeIx, room: RoomIx, what: What) {
        let serial = self.draw();
        self.nodes[n].control.pending.insert(room, Pending { serial, until: self.now + REQUEST_MS, what });
        let owner = self.dir.last_owner(room, self.nodes[n].view, n);
        let wait = if owner.is_none_or(|owner| self.answers(n, owner)) { 8 } else { ASK_MS };
        self.tell_in(wait, n, Message::Answered { room, serial });
    }

    /// What came of asking the former owner.
    pub(super) fn asked(&mut self, n: NodeIx, room: RoomIx, serial: u64) {
        let Some(pending) = self.nodes[n].control.pending.get(&room).filter(|one| one.serial == serial)
        else {
            return self.answered(n, room, serial);
        };
        let What::Asking { since, preempt } = pending.what else { return };
        self.nodes[n].control.pending.remove(&room);
        let (now, time) = (self.now, self.time());
        let former = self.dir.last_owner(room, self.nodes[n].view, n);
        let runs = former.is_some_and(|former| self.runs(n, former, room));
        if runs && time.since(Time::from_millis(since)) < PATIENCE {
            let id = self.rooms[room].clone();
            let control = &mut self.nodes[n].control;
            control.claims.shun(id, OfficeKind::Owner, time + Duration::from_secs(1));
            control.look_at = now;
            return;
        }
        let view = self.nodes[n].view;
        if self.nodes[n].control.vacant.contains(&(room, OfficeKind::Owner)) {
            let op = Op::Claim {
                room,
                seen: self.dir.highest_seen(room, view),
                preempt,
                from: self.slot().plus(5),
            };
            self.request(n, room, What::Claiming { detector: false }, op);
        }
    }

    /// Whether a node answers another that it runs a room.
    fn runs(&self, from: NodeIx, owner: NodeIx, room: RoomIx) -> bool {
        self.answers(from, owner) && self.nodes[owner].control.owned.contains_key(&room)
    }

    /// A claim of this node was lost.
    pub(super) fn lost_claim(&mut self, n: NodeIx, room: RoomIx, office: OfficeKind) {
        let (time, id) = (self.time(), &self.rooms[room]);
        self.nodes[n].control.claims.restart(id, office, time);
        self.look(n, room);
    }

    /// What a detector says is due.
    pub(super) fn watch_owner(&mut self, n: NodeIx, room: RoomIx) {
        let time = self.time();
        loop {
            let Some(mirrored) = self.nodes[n].control.mirrored.get_mut(&room) else { return };
            match mirrored.detector.poll(time) {
                None => return,
                Some(Act::Ask) => {
                    self.note(Note::Asks { room, node: n });
                    let serial = self.draw();
                    let owner = self.dir.room(room, self.nodes[n].view).owner.map(|owner| owner.node);
                    let wait = if owner.is_some_and(|owner| self.answers(n, owner)) { 8 } else { ASK_MS };
                    if let Some(mirrored) = self.nodes[n].control.mirrored.get_mut(&room) {
                        mirrored.question = serial;
                    }
                    self.tell_in(wait, n, Message::Answered { room, serial });
                }
                Some(Act::Claim) => self.take_control(n, room),
            }
        }
    }

    fn answered(&mut self, n: NodeIx, room: RoomIx, serial: u64) {
        let time = self.time();
        let Some(owner) = self.nodes[n].control.mirrored.get(&room).map(|mirrored| mirrored.owner) else {
            return;
        };
        let runs = self.runs(n, owner, room);
        let heard = self.heard(n, owner, room);
        if let Some(mirrored) =
            self.nodes[n].control.mirrored.get_mut(&room).filter(|one| one.question == serial)
        {
            mirrored.detector.answered(time, Answer { runs, heard });
        }
    }

    /// The least that a relay of the room answers since it heard the owner.
    fn heard(&self, n: NodeIx, owner: NodeIx, room: RoomIx) -> Option<Duration> {
        if let Some(audio) = self.audio.get(room) {
            let carriers = audio.heard(owner).filter(|(relay, _)| self.answers(n, *relay));
            return carriers.map(|(_, at)| Duration::from_millis(self.now - at)).min();
        }
        // Of a room whose audio is not simulated: as if two relays carried it.
        let relays = (0..self.nodes.len()).filter(|node| self.nodes[*node].roles.relay).take(2);
        let mut heard = relays.filter(|relay| {
            self.answers(n, *relay) && self.awake(owner) && self.net.reaches(self.now, owner, *relay)
        });
        heard.next().map(|_| Duration::ZERO)
    }

    /// The mirror claims its owner's office.
    fn take_control(&mut self, n: NodeIx, room: RoomIx) {
        let view = self.nodes[n].view;
        let owner = self.dir.room(room, view).owner;
        let possible = self.nodes[n].lease != 0 && !self.nodes[n].control.pending.contains_key(&room);
        if !possible || self.nodes[n].draining {
            let time = self.time();
            if let Some(mirrored) = self.nodes[n].control.mirrored.get_mut(&room) {
                mirrored.detector.refused(time);
            }
            return;
        }
        let from = self.next_slot(n, room).plus(5);
        let preempt = owner.map(|owner| owner.revision);
        let op = Op::Claim { room, seen: self.dir.highest_seen(room, view), preempt, from };
        self.request(n, room, What::Claiming { detector: true }, op);
    }

    /// The slot that a node would mix next.
    pub(super) fn next_slot(&self, n: NodeIx, room: RoomIx) -> Slot {
        let led = self.audio.get(room).and_then(|audio| audio.next_slot(n));
        led.unwrap_or_default().max(self.slot())
    }

    /// The epoch under which a node owns a room.
    pub(super) fn epoch_of(&self, n: NodeIx, room: RoomIx) -> Option<Epoch> {
        self.nodes[n].control.owned.get(&room).map(|owned| owned.epoch)
    }
}
