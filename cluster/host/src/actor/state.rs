//! What a room's actor has, and its tenure: told what happens, and woken when it wants to be.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use stentor_directory::Revision;
use stentor_ids::{Fault, NodeId, Slot};
use stentor_ownership::{Books, Event, Here, Preemptions, Reach, Shown, Tenure, timing::REPORTED};
use stentor_pace::{Pacing, Time, WallTime};
use stentor_placement::heirs;
use stentor_proto::v1;
use stentor_room::{Absence, Ledger, Lifecycle, Room};
use tokio_util::task::AbortOnDropHandle;

use super::turns::Turns;
use crate::{
    driver::{self, RoomDriver},
    hosted::Hosted,
    media::Media,
    message::{Message, Reply},
    origin::Origin,
    published::Publisher,
    registry::Registry,
    topology::candidates,
};

/// Least time between two statuses that nobody is in a hurry for.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// What a room's actor starts from.
pub(crate) struct Args {
    pub(crate) origin: Arc<Origin>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) publisher: Publisher,
    pub(crate) preemptions: Arc<Mutex<Preemptions>>,
    /// Whether an actor before it failed: what was told may not have been committed.
    pub(crate) again: bool,
}

/// A room that runs.
pub(crate) struct State {
    pub(super) origin: Arc<Origin>,
    pub(super) registry: Arc<Registry>,
    pub(super) hosted: Arc<Hosted>,
    pub(super) publisher: Publisher,
    pub(super) preemptions: Arc<Mutex<Preemptions>>,
    pub(super) myself: ActorRef<Message>,
    pub(super) tenure: Tenure<RoomDriver>,
    pub(super) ledger: Ledger<Reply>,
    pub(super) media: Option<Media>,
    /// The owner has started the audio.
    pub(super) on_air: bool,
    /// These wait until this mirror has stepped aside.
    pub(super) aside: Vec<RpcReplyPort<()>>,
    pub(super) absence: Absence,
    /// Its bids are written and withdrawn one after the other.
    pub(super) bids: Turns,
    pub(super) telling: Pacing,
    /// [`Message::TimeToTell`] is on its way.
    pub(super) tells: bool,
    /// How the room stands by the record that the view shows.
    lifecycle: Option<Lifecycle>,
    /// The record that was read last: of which history, and written when.
    pub(super) read: Option<(u64, Revision)>,
    /// [`Message::Wake`] is on its way, for this moment.
    alarm: Option<(Time, AbortOnDropHandle<()>)>,
    /// Why the actor is to end as failed.
    pub(super) failure: Option<String>,
}

impl State {
    pub(super) fn begin(myself: ActorRef<Message>, args: Args) -> Self {
        let Args { origin, registry, hosted, publisher, preemptions, again } = args;
        let published = hosted.published();
        let shown = driver::shown(&origin.view.snapshot(), &hosted.id, driver::wants(&published.record));
        let here = Here { now: stentor_clock::now(), ..Here::default() };
        let (me, room) = (origin.me.clone(), hosted.id.clone());
        let epoch = published.standing.owner().epoch;
        let (tenure, effects) = Tenure::begin(&here, me, room, published.standing, shown, again);
        let mut state = Self {
            origin,
            registry,
            hosted,
            publisher,
            preemptions,
            myself,
            tenure,
            ledger: Ledger::new(Room::new(published.record), epoch),
            media: None,
            on_air: false,
            aside: Vec::new(),
            absence: Absence::default(),
            bids: Turns::default(),
            telling: Pacing::new(TELL_EVERY),
            tells: false,
            lifecycle: None,
            read: None,
            alarm: None,
            failure: None,
        };
        state.perform(effects);
        state.arm();
        state
    }

    /// Tells the tenure, and does what it says.
    pub(super) fn tell(&mut self, event: Event<RoomDriver>) {
        let here = self.here();
        let effects = self.tenure.handle(&here, event);
        self.perform(effects);
        self.arm();
    }

    /// A current view shows this.
    pub(super) fn shown(&mut self, shown: Shown, lifecycle: Option<Lifecycle>) {
        self.lifecycle = lifecycle;
        self.tell(Event::Shown(shown));
        self.read_record();
    }

    /// The room is to go to another node.
    pub(super) fn hand_off(
        &mut self,
        to: Option<NodeId>,
        asker: RpcReplyPort<Result<v1::TakeOverResponse, Fault>>,
    ) {
        let peers = self.origin.topology.peers();
        let schema = self.ledger.room().record().schema();
        let ranked = heirs(&self.hosted.id, &candidates(&peers), schema, &self.origin.me);
        self.tell(Event::Transfer { to, ranked, asker });
    }

    /// The mirror is to step aside.
    pub(super) fn step_aside(&mut self, reply: RpcReplyPort<()>) {
        self.aside.push(reply);
        self.tell(Event::StepAside);
    }

    /// Whether the actor is to end as failed.
    pub(super) fn failed(&mut self) -> Result<(), ActorProcessingErr> {
        self.failure.take().map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// The alarm has gone off.
    pub(super) fn disarm(&mut self) {
        self.alarm = None;
    }

    /// Sees to it that the tenure is woken when it wants to be.
    fn arm(&mut self) {
        let due = self.tenure.next_deadline().map(|deadline| deadline.at);
        if due == self.alarm.as_ref().map(|(at, _)| *at) {
            return;
        }
        let now = stentor_clock::now();
        self.alarm = due.map(|at| {
            let (wait, myself) = (at.since(now), self.myself.clone());
            let alarm = tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                // The actor is gone, and its tenure with it.
                drop(myself.cast(Message::Wake));
            });
            (at, AbortOnDropHandle::new(alarm))
        });
    }

    /// How the room stands here now.
    fn here(&self) -> Here {
        let (now, hosted) = (stentor_clock::now(), &self.hosted);
        let other = self.tenure.other();
        let lifecycle = if self.tenure.is_mirror() {
            // What was recorded when this node began to mirror the room may be old; the view is as new as can be had.
            self.lifecycle.unwrap_or_else(|| self.ledger.room().record().lifecycle())
        } else {
            self.ledger.room().record().lifecycle()
        };
        let (listeners, children) = hosted.feed.reached(REPORTED);
        Here {
            now,
            heard: hosted.peer.last_heard_of(other),
            connected: hosted.peer.is_connected(),
            ready: other.filter(|other| hosted.peer.is_ready(Some(other), now)).cloned(),
            epoch: hosted.feed.epoch().max(hosted.feed.reported().unwrap_or_default().epoch),
            newest: hosted.newest(),
            next: hosted.under_way(now).map(|(next, _)| next),
            clock: clock(lifecycle, stentor_clock::wall()),
            live: matches!(lifecycle, Lifecycle::Live { .. }),
            leads: hosted.leads(),
            books: self.books(),
            reach: Reach { listeners, children },
            preempt_from: self.preemptions.lock().next(&hosted.id),
        }
    }

    fn books(&self) -> Books {
        match self.ledger.away() {
            Some(fault) => Books::Away(fault.clone()),
            None if self.ledger.is_settled() => Books::Settled,
            None => Books::Busy,
        }
    }
}

/// The slot that is under way by the wall clock.
fn clock(lifecycle: Lifecycle, wall: WallTime) -> Option<Slot> {
    lifecycle.resume_slot(wall, None, 0)
}
