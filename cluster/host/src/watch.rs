//! The watch over the directory's view: rooms that run here are told when the view shows another owner or none, and rooms
//! that need an owner are claimed when this node's time has come.
//!
//! A view that is not current says nothing about who is missing, and nobody is told and nothing is claimed by it.
//!
//! Invariant: at most [`CLAIMS_AT_ONCE`] claims are under way.

use std::{collections::BTreeMap, sync::Arc};

use stentor_directory::{LeaseId, Revision, Room, Session, SessionState, View};
use stentor_ids::{NodeId, RoomId};
use stentor_pace::Time;
use stentor_placement::{Claim, Seat, SeatKind, Vacancy};
use stentor_room::Record;
use tokio::{task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    actor::Message,
    claim::{Claimed, TRY_AGAIN, Target, claim, mirror},
    hosted::Seat as Held,
    origin::{Claiming, Origin, origins},
    rooms::Running,
};

/// Claims of this node under way at once. When an origin with many rooms dies, its rooms are claimed in as many turns; each
/// takes two round trips to the directory.
const CLAIMS_AT_ONCE: usize = 16;

/// Addresses of nodes that are remembered, so that a node which the directory has lost can still be asked. Beyond it they
/// are forgotten, and those that are there are remembered anew.
const MAX_ADDRESSES: usize = 4096;

/// What the watch remembers.
pub(crate) struct Watch {
    origin: Arc<Origin>,
    /// By the record's revision, whom the room is to have: a record is decoded once.
    wanted: BTreeMap<RoomId, (Revision, Wanted)>,
    /// Where the links of nodes are, or were.
    addresses: BTreeMap<NodeId, String>,
    lease: Option<LeaseId>,
    jobs: JoinSet<(Claiming, SeatKind, Claimed)>,
}

impl Watch {
    pub(crate) fn new(origin: Arc<Origin>, session: &Session) -> Self {
        Self {
            origin,
            wanted: BTreeMap::new(),
            addresses: BTreeMap::new(),
            lease: session.lease().ok(),
            jobs: JoinSet::new(),
        }
    }

    /// Watches until `shutdown`.
    pub(crate) async fn run(
        mut self,
        mut state: tokio::sync::watch::Receiver<SessionState>,
        shutdown: CancellationToken,
    ) {
        let mut view = self.origin.view.clone();
        let mut shown = view.snapshot();
        let mut rooms = self.origin.rooms.count();
        let mut clock = self.origin.clock.clone();
        let mut listening = true;
        loop {
            let next = self.look(&shown);
            let alarm = async {
                match next {
                    Some(at) => sleep_until(self.origin.timebase.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = view.changed() => shown = changed,
                changed = state.changed(), if listening => {
                    listening = changed.is_ok();
                    self.renewed(*state.borrow_and_update());
                }
                // A clock that is right again may claim what waits.
                Ok(()) = clock.changed() => {}
                // A room that has gone from here may be mirrored here next.
                Ok(()) = rooms.changed() => {}
                Some(ended) = self.jobs.join_next() => self.ended(ended.ok()),
                () = alarm => {}
            }
        }
    }

    /// Tells the rooms that run here and claims what is due. Returns when to look again if nothing changes.
    fn look(&mut self, view: &View) -> Option<Time> {
        if !view.current {
            return None;
        }
        self.remember(view);
        for running in self.origin.rooms.all() {
            self.tell(view, &running);
        }
        let empty = self.vacancies(view);
        let vacancies: Vec<_> = empty.iter().map(Empty::vacancy).collect();
        let (now, nodes) = (self.origin.timebase.now(), origins(view));
        let (due, next) = self.origin.claims.lock().due(now, &self.origin.me, &nodes, &vacancies);
        for due in due {
            let known = view.rooms.get(&due.room).cloned();
            let Some(room) = known.filter(|_| self.jobs.len() < CLAIMS_AT_ONCE) else { continue };
            self.claim(view, room, &due, now);
        }
        next
    }

    /// Claims a seat whose turn at this node has come.
    fn claim(&mut self, view: &View, room: Arc<Room>, due: &Claim<Revision>, now: Time) {
        if self.origin.is_barred() {
            return;
        }
        let may = match due.seat {
            SeatKind::Owner => self.origin.has_place(),
            SeatKind::Mirror => self.origin.may_mirror(),
        };
        let Some(claiming) = self.origin.claiming(&due.room).filter(|_| may) else { return };
        let (origin, seat, preempt) = (self.origin.clone(), due.seat, due.preempt);
        let former =
            view.last_owner(&due.room).map(|owner| &owner.node).filter(|node| **node != self.origin.me);
        let former = former.and_then(|node| Some((node.clone(), self.addresses.get(node)?.clone())));
        let vacant = now.since(due.since);
        self.jobs.spawn(async move {
            let claimed = match seat {
                SeatKind::Owner => claim(&origin, Target { room, preempt, vacant, former }).await,
                SeatKind::Mirror => match mirror(&origin, &room, preempt).await {
                    Ok(()) => Claimed::Won,
                    Err(fault) => {
                        tracing::info!(room = %room.id, %fault, "the room is not mirrored here");
                        Claimed::NotYet(TRY_AGAIN)
                    }
                },
            };
            (claiming, seat, claimed)
        });
    }

    /// Tells a room that runs here whom the view shows as its origins.
    fn tell(&self, view: &View, running: &Running) {
        let room = view.rooms.get(&running.hosted.id);
        let tell = |message| {
            // The actor is gone, and the room with it.
            drop(running.actor.cast(message));
        };
        match (running.hosted.seat(), room.and_then(|room| room.owner.as_ref())) {
            (Held::Owner(own), Some(owner)) if owner.epoch > own.epoch() => {
                tell(Message::Claimed(owner.clone().into()));
            }
            (Held::Owner(own), Some(owner)) if owner == own.owner() => {
                let mirror = view.mirror(&running.hosted.id);
                tell(Message::Mirrored(mirror.and_then(|mirror| self.origin.place_of(&mirror.node))));
            }
            // No owner, or an older one: the directory lost this one's key, or went back to a state from before it. A view
            // from before the claim shows no key either.
            (Held::Owner(own), _) if view.is_after(own.written()) => tell(Message::Unowned),
            (Held::Owner(_), _) => {}
            (Held::Mirror { key, owner }, shown) => {
                let (replaced, gone) = match view.mirror(&running.hosted.id) {
                    Some(mirror) => (mirror.node != self.origin.me, false),
                    // A view from before the claim shows no mirror either. The owner puts the room back before.
                    None => (false, view.is_after(key.written()) && shown.is_some()),
                };
                let wanted = self.wanted.get(&running.hosted.id).map(|(_, wanted)| *wanted);
                match shown {
                    // This node has claimed it and comes to own it.
                    Some(shown) if shown.node == self.origin.me => {}
                    _ if gone => tell(Message::Unowned),
                    _ if wanted == Some(Wanted::Nobody) => tell(Message::OwnerEnded),
                    _ if replaced => tell(Message::Replaced),
                    // An owner of a newer build has written what this one must not run the room without.
                    _ if wanted == Some(Wanted::Others) => tell(Message::StepAside(None)),
                    Some(shown) if *shown != owner && shown.epoch >= owner.epoch => {
                        tell(Message::Owned(shown.clone()));
                    }
                    _ => {}
                }
            }
        }
    }

    /// A new lease: every key on the old one is gone.
    fn renewed(&mut self, state: SessionState) {
        let SessionState::Held(lease) = state else { return };
        if self.lease.replace(lease) == Some(lease) {
            return;
        }
        for running in self.origin.rooms.all() {
            // The actor is gone, and the room with it.
            drop(running.actor.cast(Message::Unowned));
        }
    }

    fn ended(&self, ended: Option<(Claiming, SeatKind, Claimed)>) {
        let Some((claiming, seat, claimed)) = ended else { return };
        let now = self.origin.timebase.now();
        let mut claims = self.origin.claims.lock();
        match claimed {
            Claimed::Won => {}
            Claimed::Lost => claims.restart(&claiming.room, seat, now),
            Claimed::NotYet(wait) => claims.shun(claiming.room.clone(), seat, now + wait),
        }
    }

    /// Keeps what a room's last owner was, and forgets rooms that are gone.
    fn remember(&mut self, view: &View) {
        self.wanted.retain(|room, _| view.rooms.contains_key(room));
        if self.addresses.len() + view.nodes.len() > MAX_ADDRESSES {
            self.addresses.clear();
        }
        for node in view.nodes.values() {
            if self.addresses.get(&node.id) != Some(&node.link_addr) {
                self.addresses.insert(node.id.clone(), node.link_addr.clone());
            }
        }
        for (id, room) in &view.rooms {
            let cached = self.wanted.get(id).is_some_and(|(revision, _)| *revision == room.revision);
            if !cached {
                let wanted = match Record::decode(&room.record) {
                    Ok(record) if record.lifecycle().has_owner() => Wanted::Owner { schema: record.schema() },
                    Ok(_) => Wanted::Nobody,
                    Err(error) => {
                        tracing::warn!(room = %id, %error, "a room's record cannot be read; this node leaves it to others");
                        Wanted::Others
                    }
                };
                self.wanted.insert(id.clone(), (room.revision, wanted));
            }
        }
    }

    /// Seats that are to be taken and that nobody holds, as far as this node can tell.
    fn vacancies(&self, view: &View) -> Vec<Empty> {
        let claiming = self.origin.claiming.lock().clone();
        let me = &self.origin.me;
        let stays = |node: &NodeId| view.nodes.get(node).is_some_and(|node| !node.draining);
        let vacant = |(id, room): (&RoomId, &Arc<Room>)| {
            let Some((_, Wanted::Owner { schema })) = self.wanted.get(id) else { return None };
            if claiming.contains(id) || self.origin.rooms.contains(id) {
                return None;
            }
            let mirror = room.mirror.as_ref();
            let empty = |seat, other: Option<&NodeId>, stale| {
                Some(Empty { room: id.clone(), seat, other: other.cloned(), stale, schema: *schema })
            };
            match (&room.owner, mirror) {
                (None, mirror) => {
                    let mirror = mirror.map(|mirror| &mirror.node).filter(|node| stays(node));
                    empty(SeatKind::Owner, mirror, None)
                }
                (Some(owner), _) if owner.node == *me => empty(SeatKind::Owner, None, Some(owner.revision)),
                (Some(owner), None) => empty(SeatKind::Mirror, Some(&owner.node), None),
                (Some(owner), Some(mirror)) if mirror.node == *me => {
                    empty(SeatKind::Mirror, Some(&owner.node), Some(mirror.revision))
                }
                (Some(_), Some(_)) => None,
            }
        };
        view.rooms.iter().filter_map(vacant).collect()
    }
}

/// Whom a room is to have, as its record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// An owner and a mirror, which read records of this schema.
    Owner {
        /// The record's.
        schema: u32,
    },
    /// Nobody: it is not open yet, or has ended.
    Nobody,
    /// Who can read the record, which this node cannot.
    Others,
}

/// An empty seat.
struct Empty {
    room: RoomId,
    seat: SeatKind,
    /// Who has the room's other seat.
    other: Option<NodeId>,
    /// The seat's key, if it names this node.
    stale: Option<Revision>,
    /// The schema of the room's record.
    schema: u32,
}

impl Empty {
    fn vacancy(&self) -> Vacancy<'_, Revision> {
        let seat = match (self.seat, &self.other) {
            (SeatKind::Mirror, Some(owner)) => Seat::Mirror { owner },
            (_, mirror) => Seat::Owner { mirror: mirror.as_ref() },
        };
        Vacancy { room: &self.room, seat, stale: self.stale, schema: self.schema }
    }
}
