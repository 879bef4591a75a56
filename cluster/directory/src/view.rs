//! What this process knows of the directory: a value that the watch keeps up to date and everybody reads.
//!
//! It applies events and knows no store, no task and no time. A value that cannot be read counts as absent, with a
//! warning and a count: one broken key must not blind the node to all others.
//!
//! A directory that lost its data, or came back with an older state, begins another history, in which revisions start over.
//! The view then shows what is there now, and remembers what it has seen of rooms before: their epochs and owners, and those
//! that are not there any more, for whoever puts them back.
//!
//! Invariants: applying the events since a listing gives the same view as a new listing; the highest epoch that was seen of
//! a room never falls, until the room is deleted.

use std::{collections::BTreeMap, sync::Arc};

use stentor_ids::{Epoch, NodeId, RoomId};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Mirror, NodeRecord, Owner, Revision, Room, keys,
    keys::Key,
    room::{Written, decode_mirror, decode_owner, decode_room},
    seen::Seen,
    store::{Change, Entry, Event, Snapshot},
};

/// The nodes, rooms, owners and mirrors as of one revision.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The living nodes.
    pub nodes: BTreeMap<NodeId, Arc<NodeRecord>>,
    /// All rooms, with their owners and mirrors.
    pub rooms: BTreeMap<RoomId, Arc<Room>>,
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
    /// Who holds the seats of rooms whose record is not there or not readable.
    orphans: BTreeMap<RoomId, Seats>,
    /// Shared between views, as it changes with claims alone.
    seen: Arc<Seen>,
    /// Rooms of histories that are gone. Shared between views, as it is empty but for a while after such a loss.
    lost: Arc<BTreeMap<RoomId, Arc<Room>>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seats {
    owner: Option<Owner>,
    mirror: Option<Mirror>,
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
            seen: before.seen.clone(),
            lost: before.lost.clone(),
            ..Self::default()
        };
        if replaced {
            let known = before.rooms.iter().map(|(id, room)| (id.clone(), room.clone()));
            Arc::make_mut(&mut view.lost).extend(known);
        }
        for entry in &snapshot.entries {
            view.put(entry);
        }
        if !replaced {
            // What is gone within one history was deleted.
            let Self { seen, rooms, orphans, .. } = &mut view;
            let there = |room: &RoomId| rooms.contains_key(room) || orphans.contains_key(room);
            Arc::make_mut(seen).keep(there);
        }
        view
    }

    /// Who owns a room, if it is there and anyone does.
    #[must_use]
    pub fn owner(&self, room: &RoomId) -> Option<&Owner> {
        self.rooms.get(room)?.owner.as_ref()
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
    pub fn lost(&self) -> &BTreeMap<RoomId, Arc<Room>> {
        &self.lost
    }

    /// Whether the view is from after a key was written, so that its absence means that it is gone.
    #[must_use]
    pub fn is_after(&self, written: Written) -> bool {
        (self.history, self.revision) >= (written.history, written.revision)
    }

    /// Takes one event in.
    pub(crate) fn apply(&mut self, event: &Event) {
        match &event.change {
            Change::Put(entry) => self.put(entry),
            Change::Delete(key) => {
                self.remove(key);
                if let Some(Key::Record(room)) = keys::parse(key) {
                    Arc::make_mut(&mut self.seen).forget(&room);
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
                if self.lost.contains_key(&id) {
                    Arc::make_mut(&mut self.lost).remove(&id);
                }
                self.put_record(id, entry)
            }
            Some(Key::Owner(id)) => decode_owner(entry).map(|owner| {
                Arc::make_mut(&mut self.seen).owned(&id, &owner);
                self.seat(&id, |seats| seats.owner = Some(owner));
            }),
            Some(Key::Mirror(id)) => {
                decode_mirror(entry).map(|mirror| self.seat(&id, |seats| seats.mirror = Some(mirror)))
            }
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
        let Seats { owner, mirror } = self.seats(&id);
        let room = decode_room(id.clone(), entry, owner, mirror)?;
        if room.epoch > self.seen.epoch(&id) {
            Arc::make_mut(&mut self.seen).record(&id, room.epoch);
        }
        self.orphans.remove(&id);
        self.rooms.insert(id, Arc::new(room));
        Ok(())
    }

    fn remove(&mut self, key: &str) {
        match keys::parse(key) {
            Some(Key::Node(id)) => drop(self.nodes.remove(&id)),
            Some(Key::Record(id)) => {
                let seats = self.seats(&id);
                self.rooms.remove(&id);
                self.seat(&id, |empty| *empty = seats);
            }
            Some(Key::Owner(id)) => self.seat(&id, |seats| seats.owner = None),
            Some(Key::Mirror(id)) => self.seat(&id, |seats| seats.mirror = None),
            None => {}
        }
    }

    fn seats(&self, id: &RoomId) -> Seats {
        match self.rooms.get(id) {
            Some(room) => Seats { owner: room.owner.clone(), mirror: room.mirror.clone() },
            None => self.orphans.get(id).cloned().unwrap_or_default(),
        }
    }

    /// Changes who holds the seats of a room, which may not be there.
    fn seat(&mut self, id: &RoomId, change: impl FnOnce(&mut Seats)) {
        let mut seats = self.seats(id);
        change(&mut seats);
        if let Some(room) = self.rooms.get_mut(id) {
            let room = Arc::make_mut(room);
            (room.owner, room.mirror) = (seats.owner, seats.mirror);
        } else if seats == Seats::default() {
            self.orphans.remove(id);
        } else {
            self.orphans.insert(id.clone(), seats);
        }
    }
}

/// A reader of the view. Each clone has its own mark of what it has seen.
#[derive(Clone)]
pub struct ViewHandle {
    views: watch::Receiver<Arc<View>>,
    /// Keeps the watch running while anybody reads.
    _follower: Arc<AbortOnDropHandle<()>>,
}

impl ViewHandle {
    pub(crate) fn new(views: watch::Receiver<Arc<View>>, follower: AbortOnDropHandle<()>) -> Self {
        Self { views, _follower: Arc::new(follower) }
    }

    /// The view as it is now. Cheap; let it go soon, as the next change copies a view that somebody holds.
    #[must_use]
    pub fn snapshot(&self) -> Arc<View> {
        self.views.borrow().clone()
    }

    /// Waits until the view has changed since this handle last waited, and gives it. Changes that came in between are one.
    /// Cancel-safe.
    pub async fn changed(&mut self) -> Arc<View> {
        match self.views.changed().await {
            Ok(()) => self.views.borrow_and_update().clone(),
            Err(_) => ended().await,
        }
    }

    /// Waits until the view holds what is asked for, and gives it. Cancel-safe.
    pub async fn wait_for(&mut self, mut holds: impl FnMut(&View) -> bool + Send) -> Arc<View> {
        // The guard is let go before anything is waited for, so that the future can move between threads.
        let found = self.views.wait_for(|view| holds(view)).await.map(|view| view.clone());
        match found {
            Ok(view) => view,
            Err(_) => ended().await,
        }
    }
}

/// The follower ends only with its runtime, which takes the waiting task along.
async fn ended() -> Arc<View> {
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::{collection::vec, prelude::*, sample::select};
    use stentor_ids::Slot;

    use super::*;
    use crate::room::{encode_mirror, encode_owner, encode_record};

    fn put(revision: u64, key: &str, value: impl Into<Bytes>) -> Event {
        let (key, value, revision) = (key.to_owned(), value.into(), Revision(revision));
        Event { revision, change: Change::Put(Entry { key, value, revision, lease: None }) }
    }

    fn delete(revision: u64, key: &str) -> Event {
        Event { revision: Revision(revision), change: Change::Delete(key.to_owned()) }
    }

    fn owner(view: &View, room: &str) -> Option<String> {
        view.owner(&RoomId::new(room).unwrap()).map(|owner| owner.node.to_string())
    }

    #[test]
    fn an_owner_key_finds_its_room_in_whichever_order_they_come() {
        let (node, record) = (NodeId::new("n").unwrap(), encode_record(Epoch(1), b"x"));
        let owned = encode_owner(&node, Epoch(1), Slot(0));
        let mut view = View::default();
        view.apply(&put(1, "rooms/a/owner", owned.clone()));
        assert!(view.rooms.is_empty());
        view.apply(&put(2, "rooms/a/record", record.clone()));
        assert_eq!(owner(&view, "a").as_deref(), Some("n"));
        view.apply(&delete(3, "rooms/a/record"));
        assert!(view.rooms.is_empty());
        view.apply(&put(4, "rooms/a/record", record));
        assert_eq!(owner(&view, "a").as_deref(), Some("n"));
        view.apply(&delete(5, "rooms/a/owner"));
        assert_eq!(owner(&view, "a"), None);
        assert_eq!(view.revision, Revision(5));
    }

    #[test]
    fn an_owner_key_stays_known_when_its_room_turns_to_garbage_twice() {
        let (node, record) = (NodeId::new("n").unwrap(), encode_record(Epoch(1), b"x"));
        let mut view = View::default();
        view.apply(&put(1, "rooms/a/owner", encode_owner(&node, Epoch(1), Slot(0))));
        for revision in [2, 3] {
            view.apply(&put(revision, "rooms/a/record", &b"garbage"[..]));
        }
        view.apply(&put(4, "rooms/a/record", record));
        assert_eq!(owner(&view, "a").as_deref(), Some("n"));
    }

    #[test]
    fn what_was_seen_of_a_room_outlives_the_history_but_not_the_room() {
        let (node, room) = (NodeId::new("n").unwrap(), RoomId::new("a").unwrap());
        let owned = |epoch| encode_owner(&node, Epoch(epoch), Slot(0));
        let mut view = View::default();
        view.apply(&put(5, "rooms/a/record", encode_record(Epoch(7), b"x")));
        view.apply(&put(5, "rooms/a/owner", owned(7)));
        view.apply(&delete(6, "rooms/a/owner"));
        let written = Written { history: 0, revision: Revision(6) };

        let none = |revision| Snapshot { revision: Revision(revision), entries: Vec::new() };
        let wiped = View::listed(&none(1), &view, false);
        assert_eq!((wiped.history, wiped.highest_epoch(&room)), (1, Epoch(7)));
        assert!(wiped.is_after(written) && view.is_after(written));
        assert!(!View { revision: Revision(5), ..view.clone() }.is_after(written));
        let replaced = View::listed(&none(9), &view, true);
        assert_eq!((replaced.history, replaced.highest_epoch(&room)), (1, Epoch(7)));
        let deleted = View::listed(&none(9), &view, false);
        assert_eq!((deleted.history, deleted.highest_epoch(&room)), (0, Epoch(0)));

        let mut older = wiped;
        older.apply(&put(2, "rooms/a/owner", owned(3)));
        older.apply(&put(2, "rooms/a/record", encode_record(Epoch(3), b"x")));
        assert_eq!(older.owner(&room).map(|owner| owner.epoch), Some(Epoch(3)));
        assert_eq!(older.last_owner(&room).map(|owner| owner.epoch), Some(Epoch(7)));
        older.apply(&delete(3, "rooms/a/record"));
        assert_eq!((older.highest_epoch(&room), older.last_owner(&room)), (Epoch(0), None));
    }

    #[test]
    fn a_room_that_another_history_has_not_got_is_lost_until_it_is_there_again() {
        let lost = |view: &View| view.lost().keys().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let record = encode_record(Epoch(1), b"x");
        let mut view = View::default();
        for (revision, room) in [(1, "a"), (2, "b"), (3, "c")] {
            view.apply(&put(revision, &keys::record(&RoomId::new(room).unwrap()), record.clone()));
        }
        view.apply(&delete(4, &keys::record(&RoomId::new("b").unwrap())));
        let none = |revision| Snapshot { revision: Revision(revision), entries: Vec::new() };
        assert_eq!(lost(&View::listed(&none(9), &view, false)), "", "within one history they were deleted");

        let mut wiped = View::listed(&none(1), &View::listed(&none(2), &view, false), false);
        assert_eq!(lost(&wiped), "a c", "over two losses, and not what was deleted before");
        let c = keys::record(&RoomId::new("c").unwrap());
        wiped.apply(&put(2, &c, &b"garbage"[..]));
        assert_eq!(lost(&wiped), "a", "whoever puts it there");
        wiped.apply(&delete(3, &c));
        assert_eq!(lost(&wiped), "a", "what is deleted since stays so");
        assert_eq!(wiped.lost()[&RoomId::new("a").unwrap()].record, "x");
    }

    #[test]
    fn a_value_that_cannot_be_read_is_counted_and_counts_as_absent() {
        let mut view = View::default();
        view.apply(&put(1, "rooms/a/record", encode_record(Epoch(1), b"x")));
        for (key, garbage) in [
            ("rooms/a/record", &b"\xff\xfe"[..]),
            ("rooms/a/owner", b"[]"),
            ("rooms/a/mirror", br#"{"node":"no name"}"#),
            ("nodes/n", b"{}"),
            ("nodes/n", br#"{"id":"m","instance":1}"#),
        ] {
            view.apply(&put(2, key, Bytes::from_static(garbage)));
        }
        assert_eq!(view.unreadable, 5);
        assert!(view.rooms.is_empty() && view.nodes.is_empty());
        view.apply(&put(3, "rooms/a/chapters", Bytes::from_static(b"of a newer build")));
        assert_eq!(view.unreadable, 5);
    }

    /// Any change of a few keys that depend on each other, garbage among the values.
    fn any_change() -> impl Strategy<Value = (String, Option<Bytes>)> {
        let node = NodeId::new("n").expect("it is a name");
        let values = vec![
            Some(encode_record(Epoch(3), b"x")),
            Some(encode_owner(&node, Epoch(3), Slot(0))),
            Some(encode_mirror(&node)),
            Some(Bytes::from_static(br#"{"id":"n","instance":1}"#)),
            Some(Bytes::from_static(b"garbage")),
            None,
        ];
        let leaves = ["rooms/a/", "rooms/b/"]
            .map(|room| ["record", "owner", "mirror"].map(|leaf| [room, leaf].concat()));
        let keys = leaves.into_iter().flatten().chain(["nodes/n".to_owned(), "else".to_owned()]);
        (select(keys.collect::<Vec<_>>()), select(values))
    }

    proptest! {
        #[test]
        fn events_since_a_listing_lead_to_the_same_view_as_a_new_listing(
            before in vec(any_change(), 0..12),
            after in vec(any_change(), 0..12),
        ) {
            let (mut stored, mut view, mut revision) = (BTreeMap::new(), None, 0);
            let listed = |stored: &BTreeMap<String, Entry>, revision| {
                let entries = stored.values().cloned().collect();
                View::listed(&Snapshot { revision: Revision(revision), entries }, &View::default(), false)
            };
            for (place, (key, value)) in before.iter().chain(&after).enumerate() {
                if place == before.len() {
                    view = Some(listed(&stored, revision));
                }
                revision += 1;
                let event = value.clone().map_or_else(|| delete(revision, key), |value| put(revision, key, value));
                match &event.change {
                    Change::Put(entry) => drop(stored.insert(entry.key.clone(), entry.clone())),
                    Change::Delete(key) => drop(stored.remove(key)),
                }
                if let Some(view) = &mut view {
                    view.apply(&event);
                }
            }
            let again = listed(&stored, revision);
            let view = view.unwrap_or_else(|| again.clone());
            prop_assert_eq!(view.revision, again.revision);
            prop_assert_eq!((view.nodes, view.rooms, view.orphans), (again.nodes, again.rooms, again.orphans));
        }
    }
}
