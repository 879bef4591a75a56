//! Leaving the cluster with no room left behind, or saying which and why.

use std::time::Duration;

use futures::future::join_all;
use stentor_ids::{Code, Fault, RoomId};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use crate::{HostHandle, message::Message};

/// Rooms that are handed over at once: enough that the second each one takes to move does not add up, few enough that the
/// nodes that take them are not asked for everything in one moment.
const AT_ONCE: usize = 8;

/// How long a room that is refused at once is offered again: a node that has just joined or a directory that was away for a
/// moment may take it then. What is refused for longer is told instead of waited for.
const OFFERED: Duration = Duration::from_secs(1);
/// How long between two offers.
const OFFER_AGAIN: Duration = Duration::from_millis(200);

/// What became of a drain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Rooms that run elsewhere now.
    pub moved: usize,
    /// Rooms that still run here, and why.
    pub left: Vec<(RoomId, Fault)>,
}

impl HostHandle {
    /// Hands every room that this node owns to another origin and gives up those that it mirrors, and waits until the last
    /// of its slots here is out, or until `within` is over. The caller has said in the node's record that it drains, so that no room comes back.
    pub async fn drain(&self, within: Duration) -> DrainReport {
        let deadline = Instant::now() + within;
        let (mut rooms, mut refused) = (Vec::new(), Vec::new());
        loop {
            // A room that this node mirrors may come to be its own while it drains.
            let owned = self.rooms.registry.all().into_iter().filter(|room| room.hosted.is_owned());
            let new: Vec<_> =
                owned.map(|room| room.hosted.id.clone()).filter(|room| !rooms.contains(room)).collect();
            let none = new.is_empty();
            rooms.extend(new.iter().cloned());
            refused.extend(self.hand_all_over(new, deadline).await);
            self.step_aside(deadline).await;
            if none || Instant::now() >= deadline {
                break;
            }
        }
        let gone = timeout_at(deadline, self.gone(&rooms, &refused)).await;
        if gone.is_err() {
            tracing::warn!(rooms = self.rooms(), ?within, "the drain's time is over");
        }
        self.report(&rooms, refused)
    }

    /// Hands rooms over, a few at a time, and says which were refused.
    async fn hand_all_over(&self, rooms: Vec<RoomId>, deadline: Instant) -> Vec<(RoomId, Fault)> {
        let (mut waiting, mut refused) = (rooms.into_iter(), Vec::new());
        let mut hand_overs = JoinSet::new();
        for room in waiting.by_ref().take(AT_ONCE) {
            hand_overs.spawn(self.clone().hand_over(room));
        }
        while let Ok(Some(handed)) = timeout_at(deadline, hand_overs.join_next()).await {
            refused.extend(handed.ok().flatten());
            if let Some(room) = waiting.next() {
                hand_overs.spawn(self.clone().hand_over(room));
            }
        }
        refused
    }

    /// Mirrors nothing any more: owners find others.
    async fn step_aside(&self, deadline: Instant) {
        let mirrored = self.rooms.registry.all().into_iter().filter(|room| !room.hosted.is_owned());
        let asked = mirrored.map(|room| async move {
            let within = deadline.saturating_duration_since(Instant::now());
            // The actor is gone, and the room with it.
            drop(room.actor.call(Message::StepAside, Some(within)).await);
        });
        join_all(asked).await;
    }

    /// Waits until the last slots of those that were handed over are out. Those that stay are not waited for.
    async fn gone(&self, rooms: &[RoomId], refused: &[(RoomId, Fault)]) {
        let stays = |room: &RoomId| refused.iter().any(|(refused, _)| refused == room);
        let mut count = self.rooms.registry.count();
        while rooms.iter().any(|room| !stays(room) && self.owns(room).is_some()) {
            if count.changed().await.is_err() {
                return;
            }
        }
    }

    async fn hand_over(self, room: RoomId) -> Option<(RoomId, Fault)> {
        let mut offers = Offers::default();
        loop {
            let made = Instant::now();
            match self.hand_off(&room, None).await {
                Ok(_) => return None,
                // It went while the drain was coming to it.
                Err(_) if self.owns(&room).is_none() => return None,
                Err(fault) if offers.are_vain(made, Instant::now()) => return Some((room, fault)),
                Err(_) => sleep(OFFER_AGAIN).await,
            }
        }
    }

    fn report(&self, rooms: &[RoomId], refused: Vec<(RoomId, Fault)>) -> DrainReport {
        let late = || Fault::new(Code::NodeUnavailable, "its hand-over was not over in time");
        let left: Vec<_> = rooms
            .iter()
            .filter(|room| self.owns(room).is_some())
            .map(|room| {
                let why = refused.iter().find(|(refused, _)| refused == room).map(|(_, fault)| fault.clone());
                (room.clone(), why.unwrap_or_else(late))
            })
            .collect();
        DrainReport { moved: rooms.len() - left.len(), left }
    }
}

/// How the offers of one room went, to tell a room that nobody takes from one whose heir is slow.
#[derive(Debug, Default)]
struct Offers {
    refused_since: Option<Instant>,
}

impl Offers {
    /// Takes in that an offer that was `made` has failed `now`, and tells whether to offer again is in vain: it is when each
    /// offer was refused at once for [`OFFERED`]. One that took that long itself was tried by an heir that was not ready in
    /// time, as on a busy machine, and is made again until the drain's own time is over.
    fn are_vain(&mut self, made: Instant, now: Instant) -> bool {
        if now - made >= OFFERED {
            self.refused_since = None;
            return false;
        }
        now - *self.refused_since.get_or_insert(made) >= OFFERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_at_once_for_a_second_is_not_offered_for_ever() {
        let (mut offers, begun) = (Offers::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        assert!(!offers.are_vain(at(0), at(5)));
        assert!(!offers.are_vain(at(800), at(805)));
        assert!(offers.are_vain(at(1005), at(1010)));
    }

    #[test]
    fn an_heir_that_is_slow_is_asked_again() {
        let (mut offers, begun) = (Offers::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        assert!(!offers.are_vain(at(0), at(5)));
        assert!(!offers.are_vain(at(200), at(3200)), "its mirror was not ready in time");
        assert!(!offers.are_vain(at(3400), at(6400)));
        assert!(!offers.are_vain(at(6600), at(6605)), "the second begins anew");
        assert!(offers.are_vain(at(7600), at(7605)));
    }
}
