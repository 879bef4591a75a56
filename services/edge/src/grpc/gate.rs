//! Whether a speaker's packets go up. Both origins of a room mix only who may speak; but an origin that does not hear the
//! other comes to know of a mute later than this edge may, so who is known to be muted is kept back here.
//!
//! What is known comes with the room, which is taken for as long as somebody speaks here. Where it is not there packets go up.
//! Who was on no stage yet that is known here has just come, and is let through; the owner has answered for it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use stentor_ids::{ParticipantId, RoomId};
use stentor_link::{Carrier, Carry, Closed, Feed, Item, Place};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// When to take the room again that could not be had, or was let go.
const AGAIN: Duration = Duration::from_secs(1);

/// The gate of one speaker.
pub(super) struct Gate {
    who: ParticipantId,
    feed: Arc<Mutex<Option<Feed>>>,
    /// It was on the stage, as this edge was told.
    was_on: bool,
    _task: AbortOnDropHandle<()>,
}

impl Gate {
    /// Takes the room, and is open until that has come.
    pub(super) fn new(carrier: Carrier, room: RoomId, who: ParticipantId) -> Self {
        let feed = Arc::new(Mutex::new(None));
        let task = tokio::spawn(take(carrier, room, feed.clone()));
        Self { who, feed, was_on: false, _task: AbortOnDropHandle::new(task) }
    }

    /// Whether its packets go up now.
    pub(super) fn is_open(&mut self) -> bool {
        let place = self.feed.lock().as_ref().map_or(Place::Unknown, |feed| feed.place_of(&self.who));
        lets(place, &mut self.was_on)
    }
}

fn lets(place: Place, was_on: &mut bool) -> bool {
    *was_on |= matches!(place, Place::Open | Place::Muted);
    match place {
        Place::Unknown | Place::Open => true,
        Place::Muted => false,
        Place::Off => !*was_on,
    }
}

/// Keeps the room's feed there for as long as it is wanted.
async fn take(carrier: Carrier, room: RoomId, held: Arc<Mutex<Option<Feed>>>) {
    loop {
        if let Ok(feed) = carrier.feed(&room).await {
            let mut cursor = feed.subscribe(None);
            *held.lock() = Some(feed);
            let closed = loop {
                if let Item::Closed(closed) = cursor.next().await {
                    break closed;
                }
            };
            *held.lock() = None;
            if closed == Closed::Ended {
                return;
            }
        }
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_muted_or_was_taken_off_is_kept_back_and_who_has_just_come_is_not() {
        use Place::{Muted, Off, Open, Unknown};
        let mut was_on = false;
        let mut goes =
            |places: &[Place]| places.iter().map(|place| lets(*place, &mut was_on)).collect::<Vec<_>>();
        assert_eq!(goes(&[Unknown, Off, Open, Muted, Open]), [true, true, true, false, true]);
        assert_eq!(goes(&[Off, Unknown, Off, Open]), [false, true, false, true]);
    }
}
