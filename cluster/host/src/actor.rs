//! The actor of one room at one of its two origins. The owner's alone decides what the room is: commands come in as
//! messages, go through the room's core and its ledger, and what holds is told to the feed, the edges and the media loop.
//! The mirror's watches the owner, and becomes the owner's when the owner fails or hands the room over.
//!
//! | module | the actor's part |
//! |---|---|
//! | `actor` | messages in, each to its part; the second's tick |
//! | `desk` | carrying out what the ledger says: commit, tell, answer |
//! | `telling` | when everyone is told how the room is |
//! | `tenure` | staying the owner, and ceasing to be: reassert, retire, end |
//! | `heir` | handing the room over: the heir becomes the mirror, and then the owner |
//! | `standby` | being the mirror, and becoming the owner |
//!
//! Messages are bounded by who may send them: commands by the room's permits, everything else by being one at a time.

use std::{sync::Arc, time::Duration};

use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use stentor_directory::{Error, MirrorKey, Owner, Ownership};
use stentor_ids::{Fault, NodeId};
use stentor_link::Mirror;
use stentor_pace::Pacing;
use stentor_proto::v1;
use stentor_room::{Absence, Actor, CommitId, Ledger, Room, Settled};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    command::Request,
    desk::Reply,
    heir::Leaving,
    hosted::{Hosted, Seat},
    media::{self, Media},
    origin::Origin,
    standby::Promotion,
    telling::TELL_EVERY,
    tenure::Successor,
    timebase::wall,
};

/// How often levels and counts are told, and failed commits tried again.
const TICK: Duration = Duration::from_secs(1);

/// What a room's actor can be told.
pub(crate) enum Message {
    /// Somebody asks something.
    Request { by: Actor, request: Request, reply: Reply },
    /// Hands are raised (true) and lowered, as an edge has gathered them.
    Hands {
        changes: Vec<(Actor, bool)>,
        reply: RpcReplyPort<Result<v1::HandsReply, Fault>>,
        /// Given back with the answer.
        permit: OwnedSemaphorePermit,
    },
    /// The commit under way ended.
    Settled(CommitId, Settled),
    /// The media loop ended by itself.
    Media(media::Outcome),
    /// A second has passed.
    Tick,
    /// A speaker came or went.
    Refresh,
    /// The room is told again now, if it has changed.
    TimeToTell,
    /// The directory, or the other origin, shows another owner.
    Claimed(Successor),
    /// The room has this mirror now, to its owner.
    Mirrored(Option<Mirror>),
    /// The room has this owner now, to its mirror.
    Owned(Owner),
    /// Another node mirrors the room, or the room needs no mirror.
    Replaced,
    /// The mirror has claimed the room.
    Promoted(Promotion),
    /// The other origin leads, keeps, or is ready, other than before.
    PeerChanged,
    /// The owner says that the room has ended, to its mirror.
    OwnerEnded,
    /// The heir does not mirror the room.
    HeirRefused(Fault),
    /// Look whether the heir is ready.
    LookAtHeir,
    /// Stop to mirror the room, and say when that is done if anyone asks.
    StepAside(Option<RpcReplyPort<()>>),
    /// The directory shows no owner.
    Unowned,
    /// The owner key was put back, or not.
    Reasserted(Result<Ownership, Error>),
    /// The mirror key was put back, or not.
    MirrorsAgain(Result<MirrorKey, Error>),
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
    /// The owner has started the audio.
    pub(crate) on_air: bool,
    pub(crate) leaving: Leaving,
    /// The room's mirror, to its owner.
    pub(crate) mirror: Option<Mirror>,
    /// Watches over the owner, at its mirror.
    pub(crate) detector: Option<AbortOnDropHandle<()>>,
    /// This mirror steps aside, and these wait until it has.
    pub(crate) aside: Option<Vec<RpcReplyPort<()>>>,
    pub(crate) absence: Absence,
    pub(crate) telling: Pacing,
    /// [`Message::TimeToTell`] is on its way.
    pub(crate) tells: bool,
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
            ledger: Ledger::new(Room::new(kept.record), kept.seat.epoch()),
            origin,
            hosted,
            myself: myself.clone(),
            media: None,
            on_air: false,
            leaving: Leaving::No,
            mirror: None,
            detector: None,
            aside: None,
            absence: Absence::default(),
            telling: Pacing::new(TELL_EVERY),
            tells: false,
            unowned: false,
            reasserting: false,
        };
        match kept.seat {
            Seat::Owner(_) => {
                if kept.restarted {
                    let steps = state.ledger.save_again();
                    state.carry_out(steps);
                }
                state.look_for_mirror();
                state.go_on_air();
                state.tell_bans();
                state.tell_status();
            }
            Seat::Mirror { owner, .. } => state.stand_by(&owner),
        }
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
            Message::Media(outcome) => state.media_ended(outcome)?,
            Message::Tick => state.tick(),
            Message::Refresh => {
                state.hosted.become_fresh();
                state.status_changed();
            }
            Message::TimeToTell => state.time_to_tell(),
            Message::Claimed(successor) => state.claimed(successor),
            Message::Mirrored(mirror) => state.mirrored(mirror),
            Message::Owned(owner) => state.owned(owner),
            Message::Replaced => state.replaced(),
            Message::Promoted(promotion) => state.promoted(promotion),
            Message::PeerChanged => state.peer_changed(),
            Message::OwnerEnded => state.owner_ended(),
            Message::HeirRefused(fault) => state.heir_refused(fault),
            Message::LookAtHeir => state.look_at_heir(),
            Message::StepAside(reply) => state.step_aside(reply),
            Message::Unowned => state.reassert(),
            Message::MirrorsAgain(outcome) => state.mirrors_again(outcome),
            Message::Reasserted(outcome) => state.reasserted(outcome),
            Message::HandOff { to, reply } => state.hand_off(to.as_ref(), reply),
            Message::TakenOver(outcome) => state.taken_over(outcome),
            Message::Relocate => state.relocate(),
            Message::Stop => state.stop(),
        }
        Ok(())
    }
}

impl State {
    fn tick(&mut self) {
        if self.unowned {
            self.reassert();
        } else {
            let steps = self.ledger.retry();
            self.carry_out(steps);
        }
        if !self.hosted.is_owned() {
            return;
        }
        self.clear_absent();
        let steps = self.ledger.expire(wall());
        self.carry_out(steps);
        self.tell_levels();
    }
}
