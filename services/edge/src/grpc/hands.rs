//! Raised and lowered hands, gathered and brought to each room's owner in batches: one call for a crowd, at most five times
//! a second a room, whatever the crowd does. Everyone is answered with what became of the own hand.
//!
//! Invariants: one task a room for as long as hands wait there, and one batch of a room under way; what waits is bounded by
//! [`Gather`].

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use stentor_ids::{Code, Fault, ParticipantId, RoomId};
use stentor_link::control::MAX_HANDS;
use stentor_proto::v1;
use stentor_relay::{Gather, Gathered, Next};
use tokio::{sync::oneshot, time::sleep_until};

use super::owners::Owners;

/// Least time between two batches of a room.
const SEND_EVERY: Duration = Duration::from_millis(200);
/// When to come back if too many wait: half of them have been brought by then.
const BUSY_WAIT: Duration = Duration::from_secs(1);

type Answer = Result<v1::RoomStatus, Fault>;
type Waiting = Gather<ParticipantId, v1::HandChange, oneshot::Sender<Answer>>;
type Batch = Vec<Gathered<v1::HandChange, oneshot::Sender<Answer>>>;

/// The hands of an edge. Clones share them.
#[derive(Clone)]
pub(super) struct Hands(Arc<Inner>);

struct Inner {
    owners: Owners,
    rooms: Mutex<HashMap<RoomId, Waiting>>,
}

impl Hands {
    pub(super) fn new(owners: Owners) -> Self {
        Self(Arc::new(Inner { owners, rooms: Mutex::default() }))
    }

    /// Raises or lowers a hand, and tells the room as it is then.
    ///
    /// # Errors
    /// What the owner refuses; that it cannot be asked; `Overloaded` if too many wait.
    pub(super) async fn change(&self, room: &RoomId, who: ParticipantId, wish: v1::HandChange) -> Answer {
        let told = self.gather(room, who, wish).map_err(|_| {
            let detail = format!("too many hands are being raised and lowered in room {room} at this edge");
            Fault::new(Code::Overloaded, detail).retry_after(BUSY_WAIT)
        })?;
        let stopped = |_| Fault::new(Code::Draining, "this edge stops; connect to another");
        told.await.map_err(stopped)?
    }

    fn gather(
        &self,
        room: &RoomId,
        who: ParticipantId,
        wish: v1::HandChange,
    ) -> Result<oneshot::Receiver<Answer>, oneshot::Sender<Answer>> {
        let (asks, told) = oneshot::channel();
        let mut rooms = self.0.rooms.lock();
        let begins = !rooms.contains_key(room);
        let waiting = rooms.entry(room.clone()).or_insert_with(|| Gather::new(SEND_EVERY));
        waiting.add(stentor_clock::now(), who, wish, asks)?;
        drop(rooms);
        if begins {
            tokio::spawn(self.clone().bring_all(room.clone()));
        }
        Ok(told)
    }

    /// Brings what waits for a room until nothing does.
    async fn bring_all(self, room: RoomId) {
        loop {
            match self.next(&room) {
                Next::Send(batch) => self.bring(&room, batch).await,
                Next::Wait(until) => sleep_until(stentor_clock::instant(until)).await,
                Next::Rest => return,
            }
        }
    }

    fn next(&self, room: &RoomId) -> Next<v1::HandChange, oneshot::Sender<Answer>> {
        let mut rooms = self.0.rooms.lock();
        let next =
            rooms.get_mut(room).map_or(Next::Rest, |waiting| waiting.next(stentor_clock::now(), MAX_HANDS));
        if matches!(next, Next::Rest) {
            rooms.remove(room);
        }
        next
    }

    async fn bring(&self, room: &RoomId, batch: Batch) {
        let (changes, asking): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|Gathered { wish, asking }| (wish, asking)).unzip();
        let count = changes.len();
        let request = v1::HandsRequest { room: room.to_string(), changes };
        let answers = match self.0.owners.hands(room, request).await {
            Ok(reply) => answers(room, reply, count),
            Err(fault) => vec![Err(fault); count],
        };
        for (asks, answer) in asking.into_iter().zip(answers) {
            for asks in asks {
                // Whoever asked has gone.
                drop(asks.send(answer.clone()));
            }
        }
    }
}

/// What became of each change of a batch.
fn answers(room: &RoomId, reply: v1::HandsReply, count: usize) -> Vec<Answer> {
    let status = reply.room.unwrap_or_default();
    let mut outcomes = reply.outcomes.into_iter();
    let unknown =
        || Fault::new(Code::Internal, format!("the owner of room {room} did not say what became of it"));
    let answer = |outcome: v1::HandOutcome| match refusal(outcome) {
        None => Ok(status.clone()),
        Some(fault) => Err(fault),
    };
    (0..count).map(|_| outcomes.next().ok_or_else(unknown).and_then(&answer)).collect()
}

/// Why a change was refused; `None` if it is done.
fn refusal(outcome: v1::HandOutcome) -> Option<Fault> {
    if outcome.code.is_empty() {
        return None;
    }
    let fault = Fault::new(outcome.code.parse().unwrap_or(Code::Internal), outcome.detail);
    let wait = Duration::from_millis(outcome.retry_after_ms.into());
    Some(if wait.is_zero() { fault } else { fault.retry_after(wait) })
}
