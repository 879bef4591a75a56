//! Holding rooms: becoming owner or mirror, staying it through outages of the directory, handing over, stepping down. It follows
//! `cluster/host/src/{tenure,standby}.rs`.

use stentor_ids::{Epoch, NodeId, Slot};
use stentor_ownership::Detector;
use stentor_placement::{OfficeKind, rank};

use super::{
    control::What,
    directory::{Mirror, Op, Owner, Refused, Reply, Revision, RoomIx},
    message::{Message, Note},
    net::NodeIx,
    world::World,
};

/// How often an owner tells its mirror that it lives, in milliseconds.
const BEAT_MS: u64 = 500;
/// How far ahead a hand-over takes effect, in slots.
const MOVE_AHEAD: u64 = 50;
/// How long a hand-over is waited for.
const HAND_OVER_MS: u64 = 2_500;

/// A room that a node owns.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) epoch: Epoch,
    pub(super) from: Slot,
    pub(super) revision: Revision,
    /// The directory does not show the key.
    pub(super) unowned: bool,
    /// Until when the heir is waited for.
    handing: u64,
    beat_at: u64,
}

/// A room that a node mirrors.
#[derive(Debug, Clone)]
pub(super) struct Mirrored {
    pub(super) revision: Revision,
    /// Whose it is.
    pub(super) owner: NodeIx,
    pub(super) detector: Detector,
    /// The last question asked about its owner.
    pub(super) question: u64,
}

impl World {
    /// The directory answers.
    pub(super) fn replied(&mut self, n: NodeIx, room: RoomIx, serial: u64, reply: Reply) {
        match reply {
            Reply::Registered(lease) => self.registered(n, lease),
            Reply::Renewed(held) if self.nodes[n].control.session == Some(serial) && !held => {
                (self.nodes[n].lease, self.nodes[n].renew_at) = (0, self.now);
            }
            Reply::Renewed(_) | Reply::Done => {}
            reply => {
                let control = &mut self.nodes[n].control;
                // Whoever asked has given up.
                if control.pending.get(&room).is_none_or(|pending| pending.serial != serial) {
                    return;
                }
                let what = control.pending.remove(&room).map(|pending| pending.what);
                self.settled(n, room, what, reply);
            }
        }
    }

    fn settled(&mut self, n: NodeIx, room: RoomIx, what: Option<What>, reply: Reply) {
        let time = self.time();
        match (reply, what) {
            (Reply::Claimed(Ok((owner, record))), _) => {
                self.become_owner(n, room, owner);
                self.go_on_air(n, room, owner, record);
            }
            (Reply::Claimed(Err(_)), Some(What::Claiming { detector: true })) => {
                if let Some(mirrored) = self.nodes[n].control.mirrored.get_mut(&room) {
                    mirrored.detector.refused(time);
                }
                self.look(n, room);
            }
            (Reply::Claimed(Err(_)), _) => self.lost_claim(n, room, OfficeKind::Owner),
            (Reply::Mirrored(Ok(mirror)), _) => self.become_mirror(n, room, mirror),
            (Reply::Mirrored(Err(_)), _) => self.lost_claim(n, room, OfficeKind::Mirror),
            (Reply::Reasserted(Ok(owner)), _) => {
                self.note(Note::Reasserted { room, node: n, epoch: owner.epoch });
                if let Some(owned) = self.nodes[n].control.owned.get_mut(&room) {
                    (owned.revision, owned.unowned) = (owner.revision, false);
                }
            }
            (Reply::Reasserted(Err(Refused::Taken)), _) => self.fenced(n, room),
            // It is tried again under the next lease.
            (Reply::Reasserted(Err(Refused::NoLease)), _) => {}
            (Reply::Registered(_) | Reply::Renewed(_) | Reply::Done, _) => {}
        }
    }

    fn registered(&mut self, n: NodeIx, lease: u64) {
        let before = std::mem::replace(&mut self.nodes[n].lease, lease);
        if before != lease {
            // Every key on the old lease is gone.
            self.nodes[n].control.owned.values_mut().for_each(|owned| owned.unowned = true);
        }
    }

    /// A cluster that has stood for long: every room is where placement wants it.
    pub(super) fn found(&mut self) {
        for n in 0..self.nodes.len() {
            let reply = self.dir.apply(self.now, n, 0, Op::Register { life: 0, draining: false });
            if let Reply::Registered(lease) = reply {
                (self.nodes[n].lease, self.nodes[n].renew_at) = (lease, self.now + self.draw() % 1_000);
            }
        }
        self.nodes
            .iter_mut()
            .for_each(|node| (node.view, node.unread) = (self.dir.revision, self.dir.revision));
        let from = self.slot();
        for room in 0..self.rooms.len() {
            let ranked = rank(&self.rooms[room], &self.candidates(0, |node| node.roles.origin));
            let number = |id: &NodeId| self.nodes.iter().position(|node| node.id == *id);
            let [Some(owner), Some(mirror)] = [0, 1].map(|place| ranked.get(place).and_then(number)) else {
                return;
            };
            let claim = Op::Claim { room, seen: Epoch(0), preempt: None, from };
            for (n, op) in [(owner, claim), (mirror, Op::Mirror { room, preempt: None })] {
                let reply = self.dir.apply(self.now, n, self.nodes[n].lease, op);
                self.nodes[n].view = self.dir.revision;
                self.settled(n, room, None, reply);
            }
        }
        self.nodes
            .iter_mut()
            .for_each(|node| (node.view, node.unread) = (self.dir.revision, self.dir.revision));
    }

    fn become_owner(&mut self, n: NodeIx, room: RoomIx, owner: Owner) {
        self.note(Note::Owns { room, node: n, epoch: owner.epoch, from: owner.from });
        self.judge_owner(n, room, owner);
        let control = &mut self.nodes[n].control;
        let since = control.mirrored.remove(&room).and_then(|mirrored| mirrored.detector.since());
        control.vacant.retain(|(vacant, _)| *vacant != room);
        let Owner { epoch, from, revision, .. } = owner;
        control.owned.insert(room, Owned { epoch, from, revision, unowned: false, handing: 0, beat_at: 0 });
        self.stats.took_over(since.map(|since| self.time().since(since)));
    }

    fn become_mirror(&mut self, n: NodeIx, room: RoomIx, mirror: Mirror) {
        let (time, keys) = (self.time(), self.dir.room(room, self.nodes[n].view));
        let Some(owner) = keys.owner.map(|owner| owner.node).filter(|owner| *owner != n) else { return };
        self.note(Note::Mirrors { room, node: n, does: true });
        let control = &mut self.nodes[n].control;
        control.vacant.retain(|(vacant, _)| *vacant != room);
        let new = Mirrored { revision: mirror.revision, owner, detector: Detector::new(time), question: 0 };
        control.mirrored.entry(room).or_insert(new).revision = mirror.revision;
        self.stand_by(n, room);
    }

    /// What the view of a node shows of a room.
    pub(super) fn look(&mut self, n: NodeIx, room: RoomIx) {
        let (time, view) = (self.time(), self.nodes[n].view);
        let keys = self.dir.room(room, view);
        let (owner, mirror, exists) = (keys.owner, keys.mirror, keys.record.is_some());
        let control = &mut self.nodes[n].control;
        if let Some(own) = control.owned.get_mut(&room) {
            match owner {
                Some(shown) if (shown.node, shown.epoch) == (n, own.epoch) => {
                    own.revision = own.revision.max(shown.revision);
                }
                Some(shown) if shown.epoch > own.epoch => return self.step_down(n, room, shown),
                // A view from before the claim shows no owner either, or another.
                _ if view >= own.revision => own.unowned = true,
                _ => {}
            }
        }
        let pending = control.pending.contains_key(&room);
        if let Some(mirrored) = control.mirrored.get_mut(&room) {
            match (mirror, owner) {
                (Some(shown), _) if shown.node == n => mirrored.revision = shown.revision,
                (Some(_), _) if view >= mirrored.revision => return self.stop_mirroring(n, room),
                // Its key went with a lease: it is put back while the room needs a mirror.
                (None, Some(_)) if view >= mirrored.revision && exists && !pending => {
                    self.request(n, room, What::Mirroring, Op::Mirror { room, preempt: None });
                }
                _ => {}
            }
        }
        if let Some(mirrored) = self.nodes[n].control.mirrored.get_mut(&room) {
            match owner {
                Some(shown) if shown.node == mirrored.owner => mirrored.detector.owned(time),
                Some(shown) if shown.node != n => {
                    (mirrored.owner, mirrored.detector) = (shown.node, Detector::new(time));
                }
                Some(_) => {}
                None => mirrored.detector.unowned(time),
            }
        }
        self.follow(n, room, owner, mirror);
        self.find_vacancies(n, room, owner, mirror, exists);
    }

    fn find_vacancies(
        &mut self,
        n: NodeIx,
        room: RoomIx,
        owner: Option<Owner>,
        mirror: Option<Mirror>,
        exists: bool,
    ) {
        let control = &mut self.nodes[n].control;
        let holds = control.owned.contains_key(&room) || control.mirrored.contains_key(&room);
        let owner_vacant = owner.is_none_or(|owner| owner.node == n);
        let mirror_vacant =
            owner.is_some_and(|owner| owner.node != n) && mirror.is_none_or(|mirror| mirror.node == n);
        for (office, vacant) in [(OfficeKind::Owner, owner_vacant), (OfficeKind::Mirror, mirror_vacant)] {
            if vacant && exists && !holds && !control.pending.contains_key(&room) {
                if control.vacant.insert((room, office)) {
                    control.look_at = 0;
                }
            } else {
                control.vacant.remove(&(room, office));
            }
        }
    }

    /// What is due for the rooms that a node holds.
    pub(super) fn hold_rooms(&mut self, n: NodeIx) {
        let rooms: Vec<_> = self.nodes[n].control.owned.keys().copied().collect();
        for room in rooms {
            self.reassert(n, room);
            self.beat(n, room);
            if self.nodes[n].draining {
                self.hand_over(n, room);
            }
        }
        let rooms: Vec<_> = self.nodes[n].control.mirrored.keys().copied().collect();
        for room in rooms {
            if self.nodes[n].draining {
                let revision = self.nodes[n].control.mirrored[&room].revision;
                self.ask(n, room, Op::Release { room, revision });
                self.stop_mirroring(n, room);
            } else {
                self.watch_owner(n, room);
            }
        }
    }

    fn reassert(&mut self, n: NodeIx, room: RoomIx) {
        let node = &self.nodes[n];
        let Some(own) = node.control.owned.get(&room).filter(|own| own.unowned) else { return };
        if node.lease == 0 || node.control.pending.contains_key(&room) {
            return;
        }
        let (epoch, from) = (own.epoch, own.from);
        let op = Op::Reassert { room, epoch, from, record: self.record(n, room) };
        self.request(n, room, What::Reasserting, op);
    }

    fn beat(&mut self, n: NodeIx, room: RoomIx) {
        let now = self.now;
        let mirror = self.dir.room(room, self.nodes[n].view).mirror.map(|mirror| mirror.node);
        let Some(own) = self.nodes[n].control.owned.get_mut(&room).filter(|own| own.beat_at <= now) else {
            return;
        };
        own.beat_at = now + BEAT_MS;
        if let Some(mirror) = mirror {
            self.tell(n, mirror, Message::Beat { room, from: n });
        }
    }

    /// A room of a node that drains goes to its mirror, once that is ready.
    fn hand_over(&mut self, n: NodeIx, room: RoomIx) {
        let now = self.now;
        let keys = self.dir.room(room, self.nodes[n].view);
        let Some(mirror) =
            keys.mirror.map(|mirror| mirror.node).filter(|mirror| self.is_ready(*mirror, room))
        else {
            return;
        };
        let from = self.next_slot(n, room).plus(MOVE_AHEAD);
        let Some(own) = self.nodes[n].control.owned.get_mut(&room) else { return };
        if own.handing > now || own.unowned {
            return;
        }
        own.handing = now + HAND_OVER_MS;
        let revision = own.revision;
        self.tell(n, mirror, Message::TakeOver { room, revision, from });
    }

    /// The owner asks this mirror to take the room over.
    pub(super) fn take_over(&mut self, n: NodeIx, room: RoomIx, revision: Revision, from: Slot) {
        let node = &self.nodes[n];
        let takes = node.control.mirrored.contains_key(&room) && !node.control.pending.contains_key(&room);
        if takes && node.lease != 0 && !node.draining {
            let seen = self.dir.highest_seen(room, node.view);
            let op = Op::Claim { room, seen, preempt: Some(revision), from };
            self.request(n, room, What::Claiming { detector: true }, op);
        }
    }

    /// The room was claimed, as the directory says to one that means to put its key back.
    fn fenced(&mut self, n: NodeIx, room: RoomIx) {
        let owner = self.dir.now(room).owner;
        match (owner, self.nodes[n].control.owned.get(&room)) {
            (Some(owner), Some(own)) if owner.epoch > own.epoch => self.step_down(n, room, owner),
            (None, Some(_)) => self.stop(n, room),
            _ => {}
        }
    }

    fn step_down(&mut self, n: NodeIx, room: RoomIx, successor: Owner) {
        self.note(Note::StepsDown { room, node: n });
        self.nodes[n].control.owned.remove(&room);
        self.retire(n, room, successor);
        self.look(n, room);
    }

    /// Nobody knows who is to own the room, but not this node.
    fn stop(&mut self, n: NodeIx, room: RoomIx) {
        self.note(Note::StepsDown { room, node: n });
        self.nodes[n].control.owned.remove(&room);
        self.leave_air(n, room);
        self.look(n, room);
    }

    fn stop_mirroring(&mut self, n: NodeIx, room: RoomIx) {
        self.note(Note::Mirrors { room, node: n, does: false });
        self.nodes[n].control.mirrored.remove(&room);
        self.leave_air(n, room);
        self.look(n, room);
    }

    /// The owner's stream to its mirror lives.
    pub(super) fn beaten(&mut self, n: NodeIx, room: RoomIx, from: NodeIx) {
        let time = self.time();
        if let Some(mirrored) = self.nodes[n].control.mirrored.get_mut(&room).filter(|one| one.owner == from)
        {
            mirrored.detector.heard(time);
        }
    }

    /// Another process has ended.
    pub(super) fn gone(&mut self, n: NodeIx, peer: NodeIx) {
        let time = self.time();
        let mirrored = self.nodes[n].control.mirrored.values_mut().filter(|one| one.owner == peer);
        mirrored.for_each(|one| one.detector.lost(time));
    }
}
