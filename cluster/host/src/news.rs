//! Who follows which room: whoever does is woken when something is said of that room, and not when anything is said of
//! another.
//!
//! Bound: the rooms that are followed, and as many again that were.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use stentor_ids::RoomId;
use tokio::sync::watch;

/// How many rooms there may be before it is looked for the first time which are not followed any more.
const FIRST_SWEEP: usize = 64;

/// A number for each room that is followed.
pub(crate) struct News(Mutex<Inner>);

struct Inner {
    rooms: BTreeMap<RoomId, watch::Sender<u64>>,
    sweep_at: usize,
}

impl Default for News {
    fn default() -> Self {
        Self(Mutex::new(Inner { rooms: BTreeMap::new(), sweep_at: FIRST_SWEEP }))
    }
}

impl News {
    /// Follows a room.
    pub(crate) fn follow(&self, room: &RoomId) -> watch::Receiver<u64> {
        let mut inner = self.0.lock();
        if !inner.rooms.contains_key(room) && inner.rooms.len() >= inner.sweep_at {
            inner.rooms.retain(|_, news| news.receiver_count() > 0);
            inner.sweep_at = FIRST_SWEEP.max(2 * inner.rooms.len());
        }
        let news = inner.rooms.entry(room.clone()).or_insert_with(|| watch::Sender::new(0));
        news.subscribe()
    }

    /// Something is said of these rooms.
    pub(crate) fn of<'a>(&self, rooms: impl IntoIterator<Item = &'a RoomId>) {
        let inner = self.0.lock();
        for room in rooms {
            if let Some(news) = inner.rooms.get(room) {
                news.send_modify(|number| *number += 1);
            }
        }
    }

    /// Something is said that concerns every room.
    pub(crate) fn of_all(&self) {
        self.0.lock().rooms.values().for_each(|news| news.send_modify(|number| *number += 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(number: usize) -> RoomId {
        RoomId::new(format!("room-{number}")).unwrap()
    }

    #[test]
    fn who_follows_a_room_hears_of_that_room_and_of_what_concerns_all() {
        let news = News::default();
        let [mut one, mut other] = [1, 2].map(|number| news.follow(&room(number)));
        news.of([&room(1), &room(3)]);
        let mut heard = || {
            [&mut one, &mut other].map(|follower| {
                let heard = follower.has_changed().unwrap();
                follower.mark_unchanged();
                heard
            })
        };
        assert_eq!(heard(), [true, false]);
        news.of_all();
        assert_eq!(heard(), [true, true]);
        assert_eq!(heard(), [false, false]);
    }

    #[test]
    fn rooms_that_nobody_follows_any_more_are_forgotten() {
        let news = News::default();
        let kept: Vec<_> = (0..200).map(|number| news.follow(&room(number))).collect();
        for number in 200..100_000 {
            news.follow(&room(number));
        }
        assert!(news.0.lock().rooms.len() <= 2 * kept.len(), "{}", news.0.lock().rooms.len());
        news.of_all();
        assert!(kept.iter().all(|follower| follower.has_changed().unwrap()));
    }
}
