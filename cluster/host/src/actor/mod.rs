//! The actor of one room at one of its two origins. It decides nothing about who owns the room: what it is told it hands to the
//! room's tenure (`stentor-ownership`), and does what that says. As the owner's it takes commands, which go through the room's
//! ledger (`stentor-room`); what holds is told to the feed, the edges and the media loop.
//!
//! | module | the actor's part |
//! |---|---|
//! | `mod` | messages in, each to its part; the second's tick |
//! | `state` | what it has; the tenure told, and woken |
//! | `perform` | what the tenure says, done |
//! | `turns` | one write after the other |
//! | `bids` | its bids for the room, while the owner is contested |
//! | `desk` | commands in, and what the ledger says, done |
//! | `air` | the room's audio: begun and told who may speak |
//! | `telling`, `owned` | when everyone is told how the room is, and how it is |

mod air;
mod bids;
mod desk;
mod owned;
mod perform;
mod state;
mod telling;
mod turns;

use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use stentor_ownership::Event;

use self::state::State;
use crate::message::Message;

pub(crate) use self::state::Args;

/// How often levels and counts are told, and failed commits tried again.
const TICK: Duration = Duration::from_secs(1);

/// Runs rooms.
pub(crate) struct RoomActor;

impl ractor::Actor for RoomActor {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, myself: ActorRef<Message>, args: Args) -> Result<State, ActorProcessingErr> {
        let state = State::begin(myself.clone(), args);
        myself.send_interval(TICK, || Message::Tick);
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Request { by, request, reply } => state.request(by, request, reply),
            Message::Hands { changes, reply, permit } => {
                // Whoever asked has gone.
                drop(reply.send(Ok(state.hands(changes))));
                drop(permit);
            }
            Message::Settled(commit, settled) => state.settled(commit, settled),
            Message::Tick => state.tick(),
            Message::Refresh => {
                state.hosted.become_fresh();
                state.status_changed();
            }
            Message::TimeToTell => state.time_to_tell(),
            Message::Shown(shown, lifecycle) => state.shown(shown, lifecycle),
            Message::Told(event) => state.tell(event),
            Message::HandOff { to, reply } => state.hand_off(to, reply),
            Message::StepAside(reply) => state.step_aside(reply),
            Message::Wake => state.wake(),
        }
        state.failed()
    }
}

impl State {
    fn tick(&mut self) {
        // Without its key the owner can commit nothing; it saves all again once the key is back. One that retires may not.
        if self.tenure.is_owner() && !self.tenure.has_lost_its_key() {
            let steps = self.ledger.retry();
            self.carry_out(steps);
        }
        if self.hosted.is_owned() && !self.tenure.is_over() {
            self.clear_absent();
            self.expire();
            self.tell_levels();
        }
    }

    fn wake(&mut self) {
        self.disarm();
        self.tell(Event::Wake);
    }
}
