//! The directory of the simulated cluster: keys on leases, transactions that compare revisions, and every version of every
//! key, so that a view is a number: how far a node has read. The rules of the transactions are those of
//! `cluster/directory/src/{ownership,mirror}.rs`, told here a second time.
//!
//! It checks `OneWriter` for each room at the place where all claims and commits pass.

mod back;
mod keys;

use std::collections::BTreeMap;

use stentor_ids::{Epoch, Slot};
use stentor_pace::{Violation, check::OneWriter};

pub(super) use keys::{
    Bid, Book, Changed, Keys, LEASE_MS, Lease, Member, Mirror, Op, Owner, Refused, Reply, Revision, RoomIx,
    Stored, has_ended,
};

use super::net::NodeIx;

/// The directory.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) up: bool,
    pub(super) changes: Vec<(Revision, Changed)>,
    pub(super) revision: Revision,
    rooms: Vec<Vec<(Revision, Keys)>>,
    members: Vec<Vec<(Revision, Option<Member>)>>,
    leases: BTreeMap<Lease, (NodeIx, u64)>,
    granted: Lease,
    /// By room, what a build must read to run it. Records carry it; here it is told at once.
    pub(super) schema: Vec<u32>,
    /// Rooms owned, by node.
    pub(super) load: Vec<u32>,
    writers: Vec<OneWriter>,
    /// It has lost data: what it has forgotten it cannot fence.
    forgot: bool,
    /// By room, the epoch that was put back since by an owner that had not heard of a later claim, which was forgotten.
    unaware: Vec<Option<Epoch>>,
    /// What was found broken since last asked.
    pub(super) broken: Vec<Violation>,
}

impl Directory {
    /// With rooms that nobody owns yet.
    pub(super) fn new(nodes: usize, records: Vec<Book>) -> Self {
        let stored = |record| Some(Stored::new(Epoch(0), record));
        let keys =
            records.into_iter().map(|record| vec![(0, Keys { record: stored(record), ..Keys::default() })]);
        let rooms: Vec<_> = keys.collect();
        Self {
            up: true,
            changes: (0..rooms.len()).map(|room| (0, Changed::Room(room))).collect(),
            revision: 0,
            writers: vec![OneWriter::default(); rooms.len()],
            forgot: false,
            unaware: vec![None; rooms.len()],
            schema: vec![1; rooms.len()],
            rooms,
            members: vec![Vec::new(); nodes],
            leases: BTreeMap::new(),
            granted: 0,
            load: vec![0; nodes],
            broken: Vec::new(),
        }
    }

    /// A room as of a moment.
    pub(super) fn room(&self, room: RoomIx, at: Revision) -> &Keys {
        let versions = &self.rooms[room];
        let known = versions.iter().rev().find(|(revision, _)| *revision <= at);
        &known.unwrap_or(&versions[0]).1
    }

    /// A room as it is.
    pub(super) fn now(&self, room: RoomIx) -> &Keys {
        self.room(room, self.revision)
    }

    /// The highest epoch of a room that anybody could have seen up to a moment.
    pub(super) fn highest_seen(&self, room: RoomIx, at: Revision) -> Epoch {
        let known = self.rooms[room].iter().filter(|(revision, _)| *revision <= at);
        let epochs = known.flat_map(|(_, keys)| {
            [keys.record.as_ref().map(|stored| stored.epoch), keys.owner.map(|owner| owner.epoch)]
        });
        epochs.flatten().max().unwrap_or_default()
    }

    /// Who owned a room last before a moment, other than `me`.
    pub(super) fn last_owner(&self, room: RoomIx, at: Revision, me: NodeIx) -> Option<NodeIx> {
        let known = self.rooms[room].iter().rev().filter(|(revision, _)| *revision <= at);
        known.filter_map(|(_, keys)| keys.owner).map(|owner| owner.node).next().filter(|node| *node != me)
    }

    /// A node as of a moment.
    pub(super) fn member(&self, node: NodeIx, at: Revision) -> Option<Member> {
        self.members[node].iter().rev().find(|(revision, _)| *revision <= at)?.1
    }

    /// How many rooms there are.
    pub(super) fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// The owner writes what only builds of this schema read.
    pub(super) fn raise_schema(&mut self, room: RoomIx, schema: u32) {
        self.revision += 1;
        self.schema[room] = schema;
        self.write(room, self.now(room).clone());
    }

    fn write(&mut self, room: RoomIx, keys: Keys) {
        let before = self.rooms[room].last().and_then(|(_, keys)| keys.owner);
        before.inspect(|owner| self.load[owner.node] -= 1);
        keys.owner.inspect(|owner| self.load[owner.node] += 1);
        self.rooms[room].push((self.revision, keys));
        self.changes.push((self.revision, Changed::Room(room)));
    }

    fn write_member(&mut self, node: NodeIx, member: Option<Member>) {
        self.members[node].push((self.revision, member));
        self.changes.push((self.revision, Changed::Node));
    }

    /// Does what a node asks on its lease.
    pub(super) fn apply(&mut self, now: u64, node: NodeIx, lease: Lease, op: Op) -> Reply {
        self.revision += 1;
        let held = if self.leases.contains_key(&lease) { Ok(lease) } else { Err(Refused::NoLease) };
        match op {
            Op::Register { life, draining } => {
                Reply::Registered(self.register(now, node, lease, life, draining))
            }
            Op::Renew => {
                self.leases.entry(lease).and_modify(|(_, ends)| *ends = now + LEASE_MS);
                Reply::Renewed(held.is_ok())
            }
            Op::Claim { room, seen, preempt, from } => {
                Reply::Claimed(held.and_then(|lease| self.claim(node, lease, room, seen, preempt, from)))
            }
            Op::Mirror { room, preempt } => {
                Reply::Mirrored(held.and_then(|lease| self.mirror(node, lease, room, preempt)))
            }
            Op::Commit { room, epoch, revision, record } => {
                Reply::Committed(self.commit(room, epoch, revision, record))
            }
            Op::Reassert { room, epoch, seen, from, record } => {
                let stored = Stored::new(epoch, record);
                self.unaware[room] = Some(epoch).filter(|epoch| self.forgot && seen <= *epoch);
                Reply::Reasserted(held.and_then(|lease| self.reassert(node, lease, room, from, stored)))
            }
            Op::Release { room, revision } => {
                let mut keys = self.now(room).clone();
                let owned = keys.owner.take_if(|owner| owner.revision == revision).is_some();
                if keys.mirror.take_if(|mirror| mirror.revision == revision).is_some() || owned {
                    self.write(room, keys);
                }
                Reply::Released
            }
            Op::LookUp { room } => Reply::LookedUp(self.now(room).owner),
            Op::Bid { room, epoch, reach } => Reply::Bid(held.map(|lease| {
                let mut keys = self.now(room).clone();
                keys.bids.insert(node, Bid { epoch, reach, revision: self.revision, lease });
                self.write(room, keys);
                self.revision
            })),
            Op::WithdrawBid { room } => {
                let mut keys = self.now(room).clone();
                if keys.bids.remove(&node).is_some() {
                    self.write(room, keys);
                }
                Reply::Withdrawn
            }
        }
    }

    fn register(&mut self, now: u64, node: NodeIx, lease: Lease, life: u32, draining: bool) -> Lease {
        let lease = if self.leases.contains_key(&lease) {
            lease
        } else {
            self.granted += 1;
            self.granted
        };
        self.leases.insert(lease, (node, now + LEASE_MS));
        self.write_member(node, Some(Member { life, draining, lease }));
        lease
    }

    fn claim(
        &mut self,
        node: NodeIx,
        lease: Lease,
        room: RoomIx,
        seen: Epoch,
        preempt: Option<Revision>,
        from: Slot,
    ) -> Result<(Owner, Book), Refused> {
        let mut keys = self.now(room).clone();
        let Some(stored) = &mut keys.record else { return Err(Refused::Unknown) };
        if keys.owner.is_some_and(|owner| preempt != Some(owner.revision)) {
            return Err(Refused::Owned(keys.owner));
        }
        let owners = keys.owner.map_or(Epoch(0), |owner| owner.epoch);
        let epoch = stored.epoch.max(owners).max(seen).next();
        self.broken.extend(self.writers[room].claimed(epoch).err());
        stored.epoch = epoch;
        let owner = Owner { node, epoch, from, revision: self.revision, lease };
        let record = stored.record.clone();
        keys.owner = Some(owner);
        keys.mirror = keys.mirror.filter(|mirror| mirror.node != node);
        self.write(room, keys);
        Ok((owner, record))
    }

    fn mirror(
        &mut self,
        node: NodeIx,
        lease: Lease,
        room: RoomIx,
        preempt: Option<Revision>,
    ) -> Result<Mirror, Refused> {
        let mut keys = self.now(room).clone();
        if keys.record.is_none() {
            return Err(Refused::Unknown);
        }
        if keys.owner.is_some_and(|owner| owner.node == node) {
            return Err(Refused::OwnMirror);
        }
        if let Some(mirror) = keys.mirror.filter(|mirror| preempt != Some(mirror.revision)) {
            return Err(Refused::Mirrored(mirror));
        }
        let mirror = Mirror { node, revision: self.revision, lease };
        keys.mirror = Some(mirror);
        self.write(room, keys);
        Ok(mirror)
    }

    fn commit(
        &mut self,
        room: RoomIx,
        epoch: Epoch,
        revision: Revision,
        record: Book,
    ) -> Result<(), Refused> {
        let mut keys = self.now(room).clone();
        if keys.owner.is_none_or(|owner| owner.revision != revision) {
            return Err(Refused::Owned(keys.owner));
        }
        self.judge_commit(room, epoch);
        keys.record = Some(Stored::new(epoch, record));
        self.write(room, keys);
        Ok(())
    }

    /// An owner that was cut off while others claimed its room, and then all of it was lost, cannot know better: it goes when the
    /// later owner puts its key back.
    fn judge_commit(&mut self, room: RoomIx, epoch: Epoch) {
        if self.unaware[room] != Some(epoch) {
            self.broken.extend(self.writers[room].committed(epoch).err());
        }
    }

    fn reassert(
        &mut self,
        node: NodeIx,
        lease: Lease,
        room: RoomIx,
        from: Slot,
        stored: Stored,
    ) -> Result<Owner, Refused> {
        let mut keys = self.now(room).clone();
        let epoch = stored.epoch;
        let claimed = keys.record.as_ref().map_or(Epoch(0), |stored| stored.epoch);
        let superseded = |owner: Owner| (owner.epoch, owner.node) != (epoch, node) && owner.epoch >= epoch;
        if claimed > epoch || keys.owner.is_some_and(superseded) {
            return Err(Refused::Owned(keys.owner));
        }
        self.judge_commit(room, epoch);
        let owner = Owner { node, epoch, from, revision: self.revision, lease };
        (keys.record, keys.owner) = (Some(stored), Some(owner));
        keys.mirror = keys.mirror.filter(|mirror| mirror.node != node);
        self.write(room, keys);
        Ok(owner)
    }

    /// Lets the leases go whose time is over, and their keys with them.
    pub(super) fn expire(&mut self, now: u64) {
        let over: Vec<_> =
            self.leases.iter().filter(|(_, (_, ends))| *ends <= now).map(|(lease, _)| *lease).collect();
        for lease in over {
            self.end(|of| of == lease);
        }
    }

    /// Ends leases.
    fn end(&mut self, ends: impl Fn(Lease) -> bool) {
        self.revision += 1;
        self.leases.retain(|lease, _| !ends(*lease));
        for room in 0..self.rooms.len() {
            let keys = self.now(room);
            let owner = keys.owner.filter(|owner| !ends(owner.lease));
            let mirror = keys.mirror.filter(|mirror| !ends(mirror.lease));
            let mut bids = keys.bids.clone();
            bids.retain(|_, bid| !ends(bid.lease));
            let left = (owner.is_some(), mirror.is_some(), bids.len());
            if left != (keys.owner.is_some(), keys.mirror.is_some(), keys.bids.len()) {
                let record = keys.record.clone();
                self.write(room, Keys { record, owner, mirror, bids });
            }
        }
        for node in 0..self.members.len() {
            if self.member(node, self.revision).is_some_and(|member| ends(member.lease)) {
                self.write_member(node, None);
            }
        }
    }
}
