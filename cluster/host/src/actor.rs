//! The actor of one owned room. It alone decides what the room is: commands come in as messages, go through the room's core
//! and its ledger, and what holds is told to the feed, the edges and the media loop.
//!
//! | module | the actor's part |
//! |---|---|
//! | `actor` | messages in, each to its part; the second's tick |
//! | `desk` | carrying out what the ledger says: commit, tell, answer |
//! | `tenure` | staying the owner, and ceasing to be: reassert, move, retire, end |
//!
//! Messages are bounded by who may send them: commands by the room's permits, everything else by being one at a time.

use std::{sync::Arc, time::Duration};

use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use stentor_directory::{Error, Ownership};
use stentor_ids::{Fault, NodeId};
use stentor_proto::v1;
use stentor_room::{Actor, Room};

use crate::{
    absence::Absence,
    command::Request,
    desk::Reply,
    hosted::Hosted,
    ledger::{Ledger, Settled},
    media::{self, Media},
    origin::Origin,
    tenure::{Leaving, Successor},
};

/// How often levels and counts are told, and failed commits tried again.
const TICK: Duration = Duration::from_secs(1);

/// What a room's actor can be told.
pub(crate) enum Message {
    /// Somebody asks something.
    Request { by: Actor, request: Request, reply: Reply },
    /// The commit under way ended.
    Settled(Settled),
    /// The media loop ended by itself.
    Media(media::Outcome),
    /// A second has passed.
    Tick,
    /// A speaker came or went.
    Refresh,
    /// The directory shows another owner.
    Claimed(Successor),
    /// The directory shows no owner.
    Unowned,
    /// The owner key was put back, or not.
    Reasserted(Result<Ownership, Error>),
    /// Hand the room to another node.
    HandOff { to: Option<NodeId>, reply: RpcReplyPort<Result<v1::TakeOverResponse, Fault>> },
    /// The other node answered.
    TakenOver(Result<Successor, Fault>),
    /// It is time that edges bring their speakers to the new owner.
    Relocate,
    /// The node stops. Nothing is handed over.
    Stop,
}

/// Runs rooms.
pub(crate) struct RoomActor;

/// What a room's actor starts from.
pub(crate) struct Args {
    pub(crate) origin: Arc<Origin>,
    pub(crate) hosted: Arc<Hosted>,
}

/// A room that runs.
pub(crate) struct State {
    pub(crate) origin: Arc<Origin>,
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) myself: ActorRef<Message>,
    pub(crate) ledger: Ledger<Reply>,
    pub(crate) media: Option<Media>,
    pub(crate) leaving: Leaving,
    pub(crate) absence: Absence,
    /// The directory shows no owner; the key is to be put back.
    pub(crate) unowned: bool,
    pub(crate) reasserting: bool,
}

impl ractor::Actor for RoomActor {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        Args { origin, hosted }: Args,
    ) -> Result<State, ActorProcessingErr> {
        let kept = hosted.kept();
        let mut state = State {
            ledger: Ledger::new(Room::new(kept.record)),
            origin,
            hosted,
            myself: myself.clone(),
            media: None,
            leaving: Leaving::No,
            absence: Absence::default(),
            unowned: false,
            reasserting: false,
        };
        if kept.restarts > 0 {
            let steps = state.ledger.save_again();
            state.carry_out(steps)?;
        }
        state.go_on_air()?;
        state.tell_status();
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
            Message::Request { by, request, reply } => state.request(by, request, reply)?,
            Message::Settled(settled) => state.settled(settled)?,
            Message::Media(outcome) => state.media_ended(outcome)?,
            Message::Tick => state.tick()?,
            Message::Refresh => {
                state.hosted.become_fresh();
                state.tell_status();
            }
            Message::Claimed(successor) => state.claimed(successor),
            Message::Unowned => state.reassert(),
            Message::Reasserted(outcome) => state.reasserted(outcome)?,
            Message::HandOff { to, reply } => state.hand_off(to.as_ref(), reply),
            Message::TakenOver(outcome) => state.taken_over(outcome),
            Message::Relocate => state.relocate(),
            Message::Stop => state.stop(),
        }
        Ok(())
    }
}

impl State {
    fn tick(&mut self) -> Result<(), ActorProcessingErr> {
        if self.unowned {
            self.reassert();
        } else {
            let steps = self.ledger.retry();
            self.carry_out(steps)?;
        }
        self.clear_seats()?;
        self.tell_status();
        Ok(())
    }
}
