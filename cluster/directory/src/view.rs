//! What this process knows of the directory: a value that the watch keeps up to date and everybody reads.
//!
//! It applies events and knows no store, no task and no time. A value that cannot be read counts as absent, with a
//! warning and a count: one broken key must not blind the node to all others.
//!
//! Invariant: applying the events since a listing gives the same view as a new listing.

use std::{collections::BTreeMap, sync::Arc};

use stentor_ids::{NodeId, RoomId};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    NodeRecord, Owner, Revision, Room, keys,
    keys::Key,
    room::{decode_owner, decode_room},
    store::{Change, Entry, Event, Snapshot},
};

/// The nodes, rooms and owners as of one revision.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The living nodes.
    pub nodes: BTreeMap<NodeId, Arc<NodeRecord>>,
    /// All rooms, with their owners.
    pub rooms: BTreeMap<RoomId, Arc<Room>>,
    /// The last change that is in the view.
    pub revision: Revision,
    /// Whether the watch stands. While it is false the view shows what was last known, and the absence of a node or an
    /// owner means nothing.
    pub current: bool,
    /// How many values could not be read since the watch began.
    pub unreadable: u64,
    /// Owners of rooms whose record is not there or not readable.
    orphans: BTreeMap<RoomId, Owner>,
}

impl View {
    /// A view that holds what was listed, and counts on from `unreadable`.
    pub(crate) fn listed(snapshot: &Snapshot, unreadable: u64) -> Self {
        let mut view = Self { revision: snapshot.revision, current: true, unreadable, ..Self::default() };
        for entry in &snapshot.entries {
            view.put(entry);
        }
        view
    }

    /// Who owns a room, if it is there and anyone does.
    #[must_use]
    pub fn owner(&self, room: &RoomId) -> Option<&Owner> {
        self.rooms.get(room)?.owner.as_ref()
    }

    /// Takes one event in.
    pub(crate) fn apply(&mut self, event: &Event) {
        match &event.change {
            Change::Put(entry) => self.put(entry),
            Change::Delete(key) => self.remove(key),
        }
        self.revision = event.revision;
    }

    fn put(&mut self, entry: &Entry) {
        let read = match keys::parse(&entry.key) {
            Some(Key::Node(id)) => self.put_node(id, entry),
            Some(Key::Record(id)) => self.put_record(id, entry),
            Some(Key::Owner(id)) => decode_owner(entry).map(|owner| self.set_owner(&id, Some(owner))),
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
        let known = self.rooms.get(&id).and_then(|room| room.owner.clone());
        let owner = known.or_else(|| self.orphans.get(&id).cloned());
        let room = decode_room(id.clone(), entry, owner)?;
        self.orphans.remove(&id);
        self.rooms.insert(id, Arc::new(room));
        Ok(())
    }

    fn remove(&mut self, key: &str) {
        match keys::parse(key) {
            Some(Key::Node(id)) => drop(self.nodes.remove(&id)),
            Some(Key::Record(id)) => {
                if let Some(owner) = self.rooms.remove(&id).and_then(|room| room.owner.clone()) {
                    self.set_owner(&id, Some(owner));
                }
            }
            Some(Key::Owner(id)) => self.set_owner(&id, None),
            None => {}
        }
    }

    fn set_owner(&mut self, id: &RoomId, owner: Option<Owner>) {
        match (self.rooms.get_mut(id), owner) {
            (Some(room), owner) => Arc::make_mut(room).owner = owner,
            (None, Some(owner)) => drop(self.orphans.insert(id.clone(), owner)),
            (None, None) => drop(self.orphans.remove(id)),
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
    use stentor_ids::{Epoch, Slot};

    use super::*;
    use crate::room::{encode_owner, encode_record};

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
    fn a_value_that_cannot_be_read_is_counted_and_counts_as_absent() {
        let mut view = View::default();
        view.apply(&put(1, "rooms/a/record", encode_record(Epoch(1), b"x")));
        for (key, garbage) in [
            ("rooms/a/record", &b"\xff\xfe"[..]),
            ("rooms/a/owner", b"[]"),
            ("nodes/n", b"{}"),
            ("nodes/n", br#"{"id":"m","instance":1}"#),
        ] {
            view.apply(&put(2, key, Bytes::from_static(garbage)));
        }
        assert_eq!(view.unreadable, 4);
        assert!(view.rooms.is_empty() && view.nodes.is_empty());
        view.apply(&put(3, "rooms/a/mirror", Bytes::from_static(b"of a newer build")));
        assert_eq!(view.unreadable, 4);
    }

    /// Any change of a few keys that depend on each other, garbage among the values.
    fn any_change() -> impl Strategy<Value = (&'static str, Option<Bytes>)> {
        let node = NodeId::new("n").expect("it is a name");
        let values = vec![
            Some(encode_record(Epoch(3), b"x")),
            Some(encode_owner(&node, Epoch(3), Slot(0))),
            Some(Bytes::from_static(br#"{"id":"n","instance":1}"#)),
            Some(Bytes::from_static(b"garbage")),
            None,
        ];
        let keys =
            vec!["rooms/a/record", "rooms/a/owner", "rooms/b/record", "rooms/b/owner", "nodes/n", "else"];
        (select(keys), select(values))
    }

    proptest! {
        #[test]
        fn events_since_a_listing_lead_to_the_same_view_as_a_new_listing(
            before in vec(any_change(), 0..12),
            after in vec(any_change(), 0..12),
        ) {
            let (mut stored, mut view, mut revision) = (BTreeMap::new(), None, 0);
            let listed = |stored: &BTreeMap<String, Entry>, revision| {
                View::listed(&Snapshot { revision: Revision(revision), entries: stored.values().cloned().collect() }, 0)
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
