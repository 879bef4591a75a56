//! Leaving the cluster with no room left behind, or saying which and why. What is offered when, and when that is in vain, is
//! `stentor-ownership`'s to say ([`Drain`]).

use std::{future::pending, time::Duration};

use stentor_ids::{Code, Fault, RoomId};
use stentor_ownership::{Drain, DrainAct};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{HostHandle, message::Message};

/// What became of a drain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Rooms that run elsewhere now.
    pub moved: usize,
    /// Rooms that still run here, and why.
    pub left: Vec<(RoomId, Fault)>,
}

/// How something that a drain asked for has ended.
enum Ended {
    Offer(RoomId, Result<(), Fault>),
    StepAside(RoomId),
}

impl HostHandle {
    /// Hands every room that this node owns to another origin and gives up those that it mirrors, and waits until the last
    /// of its slots here is out, or until `within` is over. The caller has said in the node's record that it drains, so that no room comes back.
    pub async fn drain(&self, within: Duration) -> DrainReport {
        let deadline = Instant::now() + within;
        let (mut drain, mut asked) = (Drain::default(), JoinSet::new());
        let mut count = self.rooms.registry.count();
        loop {
            // Anew each time: a room that this node mirrors may come to be its own while it drains.
            self.show(&mut drain);
            while let Some(act) = drain.poll(stentor_clock::now()) {
                asked.spawn(self.clone().ask(act, deadline));
            }
            if drain.is_over() {
                break;
            }
            let due = drain.next_deadline();
            let alarm = async {
                match due {
                    Some(at) => sleep_until(stentor_clock::instant(at)).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                Some(ended) = asked.join_next() => match ended {
                    Ok(Ended::Offer(room, outcome)) => drain.offered(stentor_clock::now(), &room, outcome),
                    Ok(Ended::StepAside(room)) => drain.stepped_aside(stentor_clock::now(), &room),
                    // It panicked: the room is told as late.
                    Err(_) => {}
                },
                // A room that was handed over is gone when its last slot is out, a while after its offer was taken.
                Ok(()) = count.changed() => {}
                () = alarm => {}
                () = sleep_until(deadline) => {
                    tracing::warn!(rooms = self.rooms(), ?within, "the drain's time is over");
                    break;
                }
            }
        }
        self.show(&mut drain);
        report(&drain)
    }

    /// Tells a drain what runs here.
    fn show(&self, drain: &mut Drain<RoomId>) {
        let running = self.rooms.registry.all().into_iter();
        drain.shown(running.map(|room| (room.hosted.id.clone(), room.hosted.is_owned())));
    }

    /// Does what a drain asks for.
    async fn ask(self, act: DrainAct<RoomId>, deadline: Instant) -> Ended {
        match act {
            DrainAct::Offer(room) => {
                let outcome = self.hand_off(&room, None).await.map(drop);
                Ended::Offer(room, outcome)
            }
            DrainAct::StepAside(room) => {
                if let Some(running) = self.rooms.registry.get(&room) {
                    let within = deadline.saturating_duration_since(Instant::now());
                    // The actor is gone, and the room with it, or another comes and is asked next.
                    drop(running.actor.call(Message::StepAside, Some(within)).await);
                }
                Ended::StepAside(room)
            }
        }
    }
}

fn report(drain: &Drain<RoomId>) -> DrainReport {
    let late = || Fault::new(Code::NodeUnavailable, "its hand-over was not over in time");
    let left = drain.left().map(|(room, why)| (room.clone(), why.cloned().unwrap_or_else(late)));
    DrainReport { moved: drain.moved(), left: left.collect() }
}
