//! The rooms that this edge plays: who is let in, and one playout task a room for as long as anyone listens.
//!
//! A room's state is taken from its feed while it is played here, and looked up otherwise, at most twice a second however
//! many ask. It does not know how listeners are connected.
//!
//! Invariant: a room is in the map exactly while the shards know it; both change under the map's lock.

mod admit;
#[cfg(test)]
mod held_up;
mod lookup;
mod on_air;
mod player;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use stentor_admission::Claims;
use stentor_ids::{Code, Fault, ParticipantId, RoomId};
use stentor_link::{Carrier, Locator};
use stentor_pace::WallTime;
use stentor_proto::{micros_of, v1};
use stentor_telemetry::NodeMetrics;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use lookup::Guesses;
pub(crate) use on_air::{Audience, Heard, OnAir, Part};

use crate::{
    auth::Auth,
    fanout::{Close, Fanout},
};
use lookup::Lookup;

/// When to ask again for a room that should be on the air soon but has not said when.
const SOON: Duration = Duration::from_secs(5);
/// Longest wait that is told: an event may begin earlier than announced.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// When to ask again for a room whose owner is being replaced.
const NEW_OWNER: Duration = Duration::from_secs(1);

/// The rooms of an edge. Clones share them.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Inner>);

struct Inner {
    auth: Arc<Auth>,
    carrier: Carrier,
    lookup: Lookup,
    fanout: Fanout,
    /// The seam buffer, and how far it may grow.
    buffer: Duration,
    buffer_max: Duration,
    metrics: NodeMetrics,
    playing: Mutex<HashMap<RoomId, Arc<OnAir>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Who asks for a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// What it shows.
    pub(crate) ticket: Option<&'a str>,
    /// What its connection may still ask about names that may be none.
    pub(crate) guesses: &'a Guesses,
}

/// What rooms are made of.
pub(crate) struct Parts {
    pub(crate) auth: Arc<Auth>,
    pub(crate) carrier: Carrier,
    pub(crate) locator: Locator,
    pub(crate) fanout: Fanout,
    pub(crate) buffer: Duration,
    pub(crate) buffer_max: Duration,
    pub(crate) metrics: NodeMetrics,
}

impl Rooms {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { auth, carrier, locator, fanout, buffer, buffer_max, metrics } = parts;
        Self(Arc::new(Inner {
            auth,
            carrier,
            lookup: Lookup::new(locator),
            fanout,
            buffer,
            buffer_max,
            metrics,
            playing: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The room as it is, for someone who may hear it.
    ///
    /// # Errors
    /// `UnknownRoom`; what is wrong with the ticket, or that one is needed; that nobody knows now; `TooFast` or
    /// `Overloaded` for a name that may be none.
    pub(crate) async fn look(&self, room: &RoomId, caller: Caller<'_>) -> Result<Arc<v1::RoomStatus>, Fault> {
        let (status, _) = self.enter(room, caller).await?;
        let played = self.0.playing.lock().get(room).cloned();
        Ok(played.and_then(|on_air| on_air.current()).map_or(status, Arc::new))
    }

    /// Whether this ticket holder, or anyone without a ticket, may hear the room now.
    ///
    /// # Errors
    /// As [`Rooms::look`]; `NotLiveYet`, `RoomEnded`, `NoOwner`, `Banned`.
    pub(crate) async fn check(&self, room: &RoomId, caller: Caller<'_>) -> Result<Option<Claims>, Fault> {
        self.checked(room, caller).await.map(|(_, claims)| claims)
    }

    async fn checked(
        &self,
        room: &RoomId,
        caller: Caller<'_>,
    ) -> Result<(Arc<v1::RoomStatus>, Option<Claims>), Fault> {
        let (status, claims) = self.enter(room, caller).await?;
        on_the_air(&status, stentor_clock::wall())?;
        if let Some(claims) = &claims {
            self.check_banned(room, &claims.participant)?;
        }
        Ok((status, claims))
    }

    /// Whether a participant may come in, as far as this edge knows without asking anyone.
    ///
    /// # Errors
    /// `Banned`.
    pub(crate) fn check_banned(&self, room: &RoomId, participant: &ParticipantId) -> Result<(), Fault> {
        let on_air = self.0.playing.lock().get(room).cloned();
        on_air.map_or(Ok(()), |on_air| on_air.check_banned(participant))
    }

    /// Who checks those who come.
    pub(crate) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// What brings rooms here.
    pub(crate) fn carrier(&self) -> &Carrier {
        &self.0.carrier
    }

    /// The fan-out engine.
    pub(crate) fn fanout(&self) -> &Fanout {
        &self.0.fanout
    }

    /// Stops playing; every listener's connection is cut.
    pub(crate) async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn enter(
        &self,
        room: &RoomId,
        Caller { ticket, guesses }: Caller<'_>,
    ) -> Result<(Arc<v1::RoomStatus>, Option<Claims>), Fault> {
        let played = self.0.playing.lock().get(room).and_then(|on_air| on_air.status());
        let status = match played {
            Some(status) => status,
            None => {
                let vouched = || {
                    ticket.is_some() && self.0.auth.participant(ticket, room, stentor_clock::wall()).is_ok()
                };
                self.0.lookup.status(room, guesses, vouched).await?
            }
        };
        let visibility = status.spec.as_ref().map_or(v1::Visibility::Private, v1::RoomSpec::visibility);
        let claims = self.0.auth.listener(ticket, room, visibility, stentor_clock::wall())?;
        Ok((status, claims))
    }

    /// Takes a room off the air here, unless `idle` is asked for and someone is there. Says whether it did.
    fn leave(&self, on_air: &OnAir, close: Close, idle: bool) -> bool {
        let mut playing = self.0.playing.lock();
        if idle && !on_air.is_idle() {
            return false;
        }
        playing.remove(on_air.room());
        self.0.fanout.close(on_air.room(), close);
        true
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rooms({} played)", self.0.playing.lock().len())
    }
}

/// Whether a room can be heard, by what its state tells.
fn on_the_air(status: &v1::RoomStatus, now: WallTime) -> Result<(), Fault> {
    let room = &status.room;
    match status.lifecycle() {
        // A mirror goes on without the owner.
        v1::Lifecycle::Live if status.owner.is_empty() && status.mirror.is_empty() => {
            let detail = format!("room {room} is live and its owner is being replaced");
            Err(Fault::new(Code::NoOwner, detail).retry_after(NEW_OWNER))
        }
        v1::Lifecycle::Live => Ok(()),
        v1::Lifecycle::Ended => Err(ended(room)),
        v1::Lifecycle::Scheduled | v1::Lifecycle::Open | v1::Lifecycle::Unspecified => {
            let starts_at = status.spec.as_ref().and_then(|spec| spec.starts_at);
            let starts_at = starts_at.and_then(|at| micros_of(at, "starts_at").ok()).unwrap_or_default();
            let wait = WallTime::from_micros(starts_at).since(now).clamp(SOON, LONGEST_WAIT);
            let detail = format!("room {room} is not on the air yet; come back in {} s", wait.as_secs());
            Err(Fault::new(Code::NotLiveYet, detail).retry_after(wait))
        }
    }
}

fn ended(room: &str) -> Fault {
    Fault::new(Code::RoomEnded, format!("room {room} has ended, for good"))
}

#[cfg(test)]
mod tests {
    use stentor_proto::Timestamp;

    use super::*;

    #[test]
    fn a_room_is_heard_while_it_is_live_and_owned_and_otherwise_says_why_not() {
        let now = WallTime::from_millis(1_000_000_000);
        let refused = |lifecycle: v1::Lifecycle, owner: &str, starts_in_s: i64| {
            let status = v1::RoomStatus {
                room: "demo".into(),
                lifecycle: lifecycle.into(),
                owner: owner.into(),
                spec: Some(v1::RoomSpec {
                    starts_at: Some(Timestamp { seconds: 1_000_000 + starts_in_s, nanos: 0 }),
                    ..v1::RoomSpec::default()
                }),
                ..v1::RoomStatus::default()
            };
            on_the_air(&status, now)
                .err()
                .map(|fault| (fault.code, fault.retry_after.map(|wait| wait.as_secs())))
        };
        assert_eq!(refused(v1::Lifecycle::Live, "origin-1", 0), None);
        assert_eq!(refused(v1::Lifecycle::Live, "", 0), Some((Code::NoOwner, Some(1))));
        let mirrored = v1::RoomStatus {
            lifecycle: v1::Lifecycle::Live.into(),
            mirror: "origin-2".into(),
            ..v1::RoomStatus::default()
        };
        assert_eq!(on_the_air(&mirrored, now), Ok(()));
        assert_eq!(refused(v1::Lifecycle::Ended, "", 0), Some((Code::RoomEnded, None)));
        for (starts_in_s, told) in [(-30, 5), (2, 5), (90, 90), (86_400, 3600)] {
            assert_eq!(
                refused(v1::Lifecycle::Scheduled, "", starts_in_s),
                Some((Code::NotLiveYet, Some(told)))
            );
            assert_eq!(refused(v1::Lifecycle::Open, "o", starts_in_s), Some((Code::NotLiveYet, Some(told))));
        }
    }
}
