//! What a view makes of what the store tells it.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::select};
use stentor_ids::Slot;

use super::*;
use crate::{
    Changed, ChangedKeys,
    stored::{encode_bid, encode_mirror, encode_owner, encode_record},
};

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
    assert!(wiped.at() >= written && view.at() >= written);
    assert!(View { revision: Revision(5), ..view.clone() }.at() < written);
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
        ("rooms/a/bid/n", br#"{"epoch":1,"listeners":-1,"children":1}"#),
        ("nodes/n", b"{}"),
        ("nodes/n", br#"{"id":"m","instance":1}"#),
    ] {
        view.apply(&put(2, key, Bytes::from_static(garbage)));
    }
    assert_eq!(view.unreadable, 6);
    assert!(view.rooms.is_empty() && view.nodes.is_empty());
    view.apply(&put(3, "rooms/a/chapters", Bytes::from_static(b"of a newer build")));
    assert_eq!(view.unreadable, 6);
}

/// Any change of a few keys that depend on each other, garbage among the values.
fn any_change() -> impl Strategy<Value = (String, Option<Bytes>)> {
    let node = NodeId::new("n").expect("it is a name");
    let values = vec![
        Some(encode_record(Epoch(3), b"x")),
        Some(encode_owner(&node, Epoch(3), Slot(0))),
        Some(encode_mirror(&node)),
        Some(encode_bid(Epoch(3), 40, 2)),
        Some(Bytes::from_static(br#"{"id":"n","instance":1}"#)),
        Some(Bytes::from_static(b"garbage")),
        None,
    ];
    let leaves = ["rooms/a/", "rooms/b/"]
        .map(|room| ["record", "owner", "mirror", "bid/n", "bid/m"].map(|leaf| [room, leaf].concat()));
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

    #[test]
    fn who_applies_what_changed_to_an_old_copy_has_the_new_view(
        batches in vec(vec(any_change(), 0..6), 1..10),
        kept in 1_usize..40,
        reads in vec(any::<bool>(), 10),
    ) {
        let (log, mut view, mut revision) = (Log::keeping(kept), View::default(), 0);
        let (mut copy, mut seen, mut behind) = (Copy::default(), 0, 0);
        for (batch, reads) in batches.into_iter().zip(reads) {
            let events: Vec<_> = batch.into_iter().map(|(key, value)| {
                revision += 1;
                value.map_or_else(|| delete(revision, key.as_str()), |value| put(revision, &key, value))
            }).collect();
            behind += events.iter().filter(|event| keys::parse(event.key()).is_some()).count();
            view.take(&events, &log);
            prop_assert!(view.owned.iter().map(|(node, count)| (node.clone(), *count)).eq(owned(&view)));
            if reads {
                let changed = log.between(seen, view.number);
                prop_assert_eq!(changed == Changed::All, behind > kept, "who is too far behind is told so");
                copy.follow(&view, &changed);
                prop_assert_eq!(&copy, &Copy::of(&view));
                (seen, behind) = (view.number, 0);
            }
        }
        log.note_all(view.number + 1);
        prop_assert_eq!(log.between(view.number, view.number + 1), Changed::All);
        prop_assert_eq!(log.between(view.number + 1, view.number + 1), Changed::Keys(ChangedKeys::default()));
    }
}

/// What the rooms say that each node owns.
fn owned(view: &View) -> BTreeMap<NodeId, u32> {
    let mut owned = BTreeMap::new();
    for owner in view.rooms.values().filter_map(|room| room.owner.as_ref()) {
        *owned.entry(owner.node.clone()).or_default() += 1;
    }
    owned
}

/// What a reader keeps of a view.
#[derive(Debug, Default, PartialEq)]
struct Copy {
    nodes: BTreeMap<NodeId, Arc<NodeRecord>>,
    records: BTreeMap<RoomId, (Revision, Bytes)>,
    offices: BTreeMap<RoomId, Offices>,
}

impl Copy {
    fn of(view: &View) -> Self {
        let mut copy = Self::default();
        copy.follow(view, &Changed::All);
        copy
    }

    fn follow(&mut self, view: &View, changed: &Changed) {
        match changed {
            Changed::All => {
                *self = Self::default();
                view.nodes.keys().for_each(|node| self.node(view, node));
                view.rooms.keys().for_each(|room| (self.record(view, room), self.offices(view, room)).0);
            }
            Changed::Keys(keys) => {
                keys.nodes.iter().for_each(|node| self.node(view, node));
                keys.records.iter().for_each(|room| (self.record(view, room), self.offices(view, room)).0);
                keys.offices.iter().for_each(|room| self.offices(view, room));
            }
        }
    }

    fn node(&mut self, view: &View, node: &NodeId) {
        set(&mut self.nodes, node, view.nodes.get(node).cloned());
    }

    fn record(&mut self, view: &View, room: &RoomId) {
        let record = view.rooms.get(room).map(|room| (room.revision, room.record.clone()));
        set(&mut self.records, room, record);
    }

    /// Of a room that is there.
    fn offices(&mut self, view: &View, room: &RoomId) {
        let offices = |room: &Arc<Room>| {
            let (owner, mirror, bids) = (room.owner.clone(), room.mirror.clone(), room.bids.clone());
            Offices { owner, mirror, bids }
        };
        set(&mut self.offices, room, view.rooms.get(room).map(offices));
    }
}

fn set<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key.clone(), value)),
        None => drop(map.remove(key)),
    }
}
