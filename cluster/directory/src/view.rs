//! What this process knows of the directory: a value that the watch keeps up to date and everybody reads.
//!
//! It applies events and knows no store, no task and no time. A value that cannot be read counts as absent, with a
//! warning and a count: one broken key must not blind the node to all others.
//!
//! A directory that lost its data, or came back with an older state, begins another history, in which revisions start over.
//! The view then shows what is there now, and remembers what it has seen of rooms before: their epochs and owners, and those
//! that are not there any more, for whoever puts them back.
//!
//! A copy of the view costs nothing and a change of one little, however many rooms there are.
//!
//! Invariants: applying the events since a listing gives the same view as a new listing; the highest epoch that was seen of
//! a room never falls, until the room is deleted; what each node owns is what the rooms say.

use std::sync::Arc;

use stentor_ids::{Epoch, NodeId, RoomId};

use crate::{
    Bid, Map, Mirror, NodeRecord, Owner, Revision, Room,
    changes::Log,
    keys,
    keys::Key,
    room::Written,
    seen::Seen,
    store::{Change, Entry, Event, Snapshot},
    stored::{decode_bid, decode_mirror, decode_owner, decode_room},
};

/// The nodes, rooms, owners and mirrors as of one revision.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The living nodes.
    pub nodes: Map<NodeId, Arc<NodeRecord>>,
    /// All rooms, with their owners and mirrors.
    pub rooms: Map<RoomId, Arc<Room>>,
    /// The last change that is in the view.
    pub revision: Revision,
    /// How many times the directory was found to have another history than before. Revisions of different histories
    /// have nothing to do with each other.
    pub history: u64,
    /// Whether the watch stands. While it is false the view shows what was last known, and the absence of a node or an
    /// owner means nothing.
    pub current: bool,
    /// How many values could not be read since the watch began.
    pub unreadable: u64,
    /// How often the view has changed: grows with each change that readers are told of.
    pub(crate) number: u64,
    /// Who holds the offices of rooms whose record is not there or not readable.
    orphans: Map<RoomId, Offices>,
    /// How many rooms each node owns.
    owned: Map<NodeId, u32>,
    seen: Seen,
    /// Rooms of histories that are gone.
    lost: Map<RoomId, Arc<Room>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Offices {
    owner: Option<Owner>,
    mirror: Option<Mirror>,
    bids: Vec<Bid>,
}

impl View {
    /// A view that holds what was listed, and what `before` remembers. `replaced` says that the history is known to be
    /// another one; that revisions went back says so too.
    pub(crate) fn listed(snapshot: &Snapshot, before: &Self, replaced: bool) -> Self {
        let replaced = replaced || snapshot.revision < before.revision;
        let mut view = Self {
            revision: snapshot.revision,
            history: before.history + u64::from(replaced),
            current: true,
            unreadable: before.unreadable,
            number: before.number + 1,
            seen: before.seen.clone(),
            lost: before.lost.clone(),
            ..Self::default()
        };
        if replaced {
            for (id, room) in &before.rooms {
                view.lost.insert(id.clone(), room.clone());
            }
        }
        for entry in &snapshot.entries {
            view.put(entry);
        }
        if !replaced {
            // What is gone within one history was deleted.
            let Self { seen, rooms, orphans, .. } = &mut view;
            let there = |room: &RoomId| rooms.contains_key(room) || orphans.contains_key(room);
            seen.keep(there);
        }
        view
    }

    /// Who owns a room, if it is there and anyone does.
    #[must_use]
    pub fn owner(&self, room: &RoomId) -> Option<&Owner> {
        self.rooms.get(room)?.owner.as_ref()
    }

    /// How many rooms a node owns.
    #[must_use]
    pub fn owned_by(&self, node: &NodeId) -> u32 {
        self.owned.get(node).copied().unwrap_or_default()
    }

    /// Who mirrors a room, if it is there and anyone does.
    #[must_use]
    pub fn mirror(&self, room: &RoomId) -> Option<&Mirror> {
        self.rooms.get(room)?.mirror.as_ref()
    }

    /// The owner of the highest epoch that was seen of a room: who is to be asked before the room is claimed. It may be
    /// gone, and is not who the view shows if the directory came back with an older state.
    #[must_use]
    pub fn last_owner(&self, room: &RoomId) -> Option<&Owner> {
        self.seen.owner(room)
    }

    /// The highest epoch that was seen of a room, 0 if none was. Every claim of this process rises above it.
    #[must_use]
    pub fn highest_epoch(&self, room: &RoomId) -> Epoch {
        self.seen.epoch(room)
    }

    /// Rooms that a former history of the directory held, as they were last seen, and that this one has not had yet: what a
    /// directory forgot that lost its data, or came back with an older state. What was deleted is not among them.
    #[must_use]
    pub const fn lost(&self) -> &Map<RoomId, Arc<Room>> {
        &self.lost
    }

    /// Of which moment it is, to be compared with when a key was written: a key that it lacks is gone if it was written
    /// before, and may not have been written yet if not.
    #[must_use]
    pub const fn at(&self) -> Written {
        Written { history: self.history, revision: self.revision }
    }

    /// Takes events in, and notes what each changed.
    pub(crate) fn take(&mut self, events: &[Event], log: &Log) {
        for event in events {
            self.apply(event);
            if let Some(key) = keys::parse(event.key()) {
                self.number += 1;
                log.note(self.number, key);
            }
        }
    }

    /// Takes one event in.
    fn apply(&mut self, event: &Event) {
        match &event.change {
            Change::Put(entry) => self.put(entry),
            Change::Delete(key) => {
                self.remove(key);
                if let Some(Key::Record(room)) = keys::parse(key) {
                    self.seen.forget(&room);
                }
            }
        }
        self.revision = event.revision;
    }

    fn put(&mut self, entry: &Entry) {
        let read = match keys::parse(&entry.key) {
            Some(Key::Node(id)) => self.put_node(id, entry),
            Some(Key::Record(id)) => {
                // Whatever it says: a room that is there is not lost.
                self.lost.remove(&id);
                self.put_record(id, entry)
            }
            Some(Key::Owner(id)) => decode_owner(entry).map(|owner| {
                self.seen.owned(&id, &owner);
                self.office(&id, |offices| offices.owner = Some(owner));
            }),
            Some(Key::Mirror(id)) => {
                decode_mirror(entry).map(|mirror| self.office(&id, |offices| offices.mirror = Some(mirror)))
            }
            Some(Key::Bid(id, node)) => decode_bid(node, entry).map(|bid| {
                self.office(&id, |Offices { bids, .. }| {
                    bids.retain(|other| other.node != bid.node);
                    bids.push(bid);
                    bids.sort_by(|one, other| one.node.cmp(&other.node));
                });
            }),
            None => Ok(()),
        };
        if let Err(reason) = read {
            tracing::warn!(
                key = entry.key,
                reason,
                "a value in the directory cannot be read and is left out"
            );
            self.unreadable += 1;
            self.remove(&entry.key);
        }
    }

    fn put_node(&mut self, id: NodeId, entry: &Entry) -> Result<(), String> {
        let node: NodeRecord = serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
        if node.id != id {
            return Err(format!("it is the record of node {}", node.id));
        }
        self.nodes.insert(id, Arc::new(node));
        Ok(())
    }

    fn put_record(&mut self, id: RoomId, entry: &Entry) -> Result<(), String> {
        let Offices { owner, mirror, bids } = self.offices(&id);
        let room = decode_room(id.clone(), entry, owner, mirror, bids)?;
        if room.epoch > self.seen.epoch(&id) {
            self.seen.record(&id, room.epoch);
        }
        self.orphans.remove(&id);
        self.put_room(id, Some(Arc::new(room)));
        Ok(())
    }

    fn remove(&mut self, key: &str) {
        match keys::parse(key) {
            Some(Key::Node(id)) => drop(self.nodes.remove(&id)),
            Some(Key::Record(id)) => {
                let offices = self.offices(&id);
                self.put_room(id.clone(), None);
                self.office(&id, |empty| *empty = offices);
            }
            Some(Key::Owner(id)) => self.office(&id, |offices| offices.owner = None),
            Some(Key::Mirror(id)) => self.office(&id, |offices| offices.mirror = None),
            Some(Key::Bid(id, node)) => {
                self.office(&id, |offices| offices.bids.retain(|bid| bid.node != node));
            }
            None => {}
        }
    }

    fn offices(&self, id: &RoomId) -> Offices {
        match self.rooms.get(id) {
            Some(room) => {
                let (owner, mirror, bids) = (room.owner.clone(), room.mirror.clone(), room.bids.clone());
                Offices { owner, mirror, bids }
            }
            None => self.orphans.get(id).cloned().unwrap_or_default(),
        }
    }

    /// Changes who holds the offices of a room, which may not be there.
    fn office(&mut self, id: &RoomId, change: impl FnOnce(&mut Offices)) {
        let mut offices = self.offices(id);
        change(&mut offices);
        if let Some(room) = self.rooms.get(id) {
            let Offices { owner, mirror, bids } = offices;
            let room = Room { owner, mirror, bids, ..Room::clone(room) };
            self.put_room(id.clone(), Some(Arc::new(room)));
        } else if offices == Offices::default() {
            self.orphans.remove(id);
        } else {
            self.orphans.insert(id.clone(), offices);
        }
    }

    /// Sets what the view shows of a room, and who owns how many with it.
    fn put_room(&mut self, id: RoomId, room: Option<Arc<Room>>) {
        let owner = |room: &Room| room.owner.as_ref().map(|owner| owner.node.clone());
        let now = room.as_deref().and_then(owner);
        let before = match room {
            Some(room) => self.rooms.insert(id, room),
            None => self.rooms.remove(&id),
        };
        let before = before.as_deref().and_then(owner);
        if before == now {
            return;
        }
        for (node, change) in [(before, -1), (now, 1)] {
            let Some(node) = node else { continue };
            match self.owned_by(&node).saturating_add_signed(change) {
                0 => drop(self.owned.remove(&node)),
                count => drop(self.owned.insert(node, count)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
