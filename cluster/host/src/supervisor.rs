//! The supervisor of the node's rooms. A room that panics is restarted from what it last told, and touches no other. A room
//! that panics too often is given up, so that another origin may claim it, and this node leaves it alone for a while.
//!
//! Actors have no names: ractor's registry is one for the whole process, and a process may hold several nodes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use stentor_ids::{Code, Fault};
use stentor_link::Closed;
use stentor_pace::Time;
use stentor_placement::OfficeKind;

use crate::{
    actor::{Args, RoomActor},
    calls,
    hosted::Hosted,
    message::Start,
    published::Publisher,
    registry::Running,
    rooms::Rooms,
};

/// Restarts of one room that are tried within [`WINDOW`]. One bad packet or a bad moment is over by then; what is not
/// will not be mended by a sixth start.
pub(crate) const RESTARTS: usize = 5;
/// See [`RESTARTS`].
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// How long this node leaves a room to others that it gave up.
pub(crate) const SHUN: Duration = Duration::from_secs(60);
/// When a room was restarted of late.
#[derive(Debug, Default, Clone)]
struct Restarts(VecDeque<Time>);

impl Restarts {
    /// Counts one, and says whether it is still few enough.
    fn allow(&mut self, now: Time) -> bool {
        while self.0.front().is_some_and(|at| now.since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        let allowed = self.0.len() < RESTARTS;
        if allowed {
            self.0.push_back(now);
        }
        allowed
    }
}

pub(crate) struct Supervisor;

pub(crate) struct State {
    rooms: Arc<Rooms>,
    children: BTreeMap<ActorId, Child>,
}

struct Child {
    hosted: Arc<Hosted>,
    publisher: Publisher,
    restarts: Restarts,
}

impl Actor for Supervisor {
    type Msg = Start;
    type State = State;
    type Arguments = Arc<Rooms>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Start>,
        rooms: Arc<Rooms>,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { rooms, children: BTreeMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Start>,
        Start { hosted, publisher, reply }: Start,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let child = Child { hosted, publisher, restarts: Restarts::default() };
        let started = if state.rooms.registry.contains(&child.hosted.id) {
            Err(Fault::new(Code::Internal, format!("room {} runs here already", child.hosted.id)))
        } else {
            state.run(&myself, child, false).await;
            Ok(())
        };
        // Whoever asked has gone; the room runs all the same.
        drop(reply.send(started));
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Start>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                if let Some(child) = state.children.remove(&actor.get_id()) {
                    state.recover(&myself, child, &error.to_string()).await;
                }
            }
            SupervisionEvent::ActorTerminated(actor, _, _) => {
                if let Some(child) = state.children.remove(&actor.get_id()) {
                    state.rooms.registry.remove(&child.hosted);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl State {
    /// Starts a room's actor; one that fails to start counts as one that failed.
    async fn run(&mut self, myself: &ActorRef<Start>, mut child: Child, mut again: bool) {
        loop {
            let args = Args {
                origin: self.rooms.origin.clone(),
                registry: self.rooms.registry.clone(),
                hosted: child.hosted.clone(),
                publisher: child.publisher.clone(),
                preemptions: self.rooms.preemptions.clone(),
                again,
            };
            match RoomActor::spawn_linked(None, RoomActor, args, myself.get_cell()).await {
                Ok((actor, _)) => {
                    self.rooms
                        .registry
                        .insert(Running { hosted: child.hosted.clone(), actor: actor.clone() });
                    self.children.insert(actor.get_id(), child);
                    return;
                }
                Err(error) if self.may_restart(&mut child, &error.to_string()) => again = true,
                Err(_) => return self.give_up(child),
            }
        }
    }

    async fn recover(&mut self, myself: &ActorRef<Start>, mut child: Child, error: &str) {
        let runs = self.rooms.registry.get(&child.hosted.id);
        if !runs.is_some_and(|running| Arc::ptr_eq(&running.hosted, &child.hosted)) {
            // It failed on its way out, or runs by another actor again.
            tracing::error!(room = %child.hosted.id, error, "a room that had left failed");
        } else if self.may_restart(&mut child, error) {
            self.run(myself, child, true).await;
        } else {
            self.give_up(child);
        }
    }

    fn may_restart(&self, child: &mut Child, error: &str) -> bool {
        let room = &child.hosted.id;
        let allowed = child.restarts.allow(stentor_clock::now());
        if allowed {
            tracing::error!(%room, error, "the room failed and is restarted from its record");
            self.rooms.origin.metrics.room_restarts().inc();
        } else {
            tracing::error!(%room, error, "the room failed {RESTARTS} times within {WINDOW:?} and is given up");
        }
        allowed
    }

    fn give_up(&self, child: Child) {
        let Child { hosted, .. } = child;
        let office = if hosted.is_owned() { OfficeKind::Owner } else { OfficeKind::Mirror };
        let origin = self.rooms.origin.clone();
        self.rooms.claims.lock().shun(hosted.id.clone(), office, stentor_clock::now() + SHUN);
        self.rooms.registry.remove(&hosted);
        hosted.edges.dismiss(&origin.me, hosted.epoch());
        hosted.close(Closed::Moved);
        tokio::spawn(async move { calls::release(&origin, &hosted.id, hosted.standing()).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_restarts_a_minute_are_allowed_and_the_sixth_is_not() {
        let mut restarts = Restarts::default();
        let mut allow = |second: u64| restarts.allow(Time::from_millis(second * 1_000));
        assert!((0..5).all(&mut allow));
        assert!(!allow(59), "the sixth within a minute");
        assert!(allow(60) && !allow(60), "the first is forgotten after a minute");
    }
}
