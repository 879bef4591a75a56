//! The watch over the directory's view: rooms that run here are told when the view shows another owner or none, and rooms
//! that need an owner are claimed when this node's time has come.
//!
//! A view that is not current says nothing about who is missing, and nobody is told and nothing is claimed by it. When it is
//! current again, everything is looked at.
//!
//! A room is looked at when it has changed in the view, when what runs here has changed, and when nodes have. So a look costs
//! what changed, however many rooms there are.
//!
//! Invariant: at most [`CLAIMS_AT_ONCE`] claims are under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use stentor_directory::{Changed, LeaseId, Revision, Room, Session, SessionState, View};
use stentor_ids::{NodeId, RoomId};
use stentor_ownership::{Event, Outcome, Wants};
use stentor_pace::Time;
use stentor_placement::{CLAIMS_AT_ONCE, Claim, OfficeKind, Vacancy};
use stentor_room::{Lifecycle, Record};
use tokio::{task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    claim::{self, Target, stand},
    driver,
    message::Message,
    origin::origins,
    registry::Running,
    rooms::{Claiming, Rooms},
};

/// Addresses of nodes that are remembered, so that a node which the directory has lost can still be asked. Beyond it they
/// are forgotten, and those that are there are remembered anew.
const MAX_ADDRESSES: usize = 4096;

/// What the watch remembers.
pub(crate) struct Watch {
    rooms: Arc<Rooms>,
    /// By the record's revision, whom a room is to have, of those that run here, lack an owner or a mirror, or have this
    /// node for one: such a record is decoded once, and others are not.
    wanted: BTreeMap<RoomId, (Revision, Wanted)>,
    /// Rooms to look at.
    due: BTreeSet<RoomId>,
    /// Where the links of nodes are, or were.
    addresses: BTreeMap<NodeId, String>,
    lease: Option<LeaseId>,
    jobs: JoinSet<(Claiming, OfficeKind, Outcome)>,
}

impl Watch {
    pub(crate) fn new(rooms: Arc<Rooms>, session: &Session) -> Self {
        Self {
            rooms,
            wanted: BTreeMap::new(),
            due: BTreeSet::new(),
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
        let mut view = self.rooms.origin.view.reader();
        let mut shown = Arc::default();
        let mut rooms = self.rooms.registry.count();
        let mut clock = self.rooms.origin.clock.clone();
        let mut listening = true;
        let mut next = None;
        loop {
            let alarm = async {
                match next {
                    Some(at) => sleep_until(stentor_clock::instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                (now, changed) = view.next() => {
                    self.learn(&now, &changed);
                    shown = now;
                }
                changed = state.changed(), if listening => {
                    listening = changed.is_ok();
                    self.renewed(*state.borrow_and_update());
                }
                // A clock that is right again may claim what waits.
                Ok(()) = clock.changed() => {}
                // A room that has gone from here may be mirrored here next.
                Ok(()) = rooms.changed() => self.look_at_own(),
                Some(ended) = self.jobs.join_next() => self.ended(ended.ok()),
                () = alarm => {}
            }
            next = self.look(&shown);
        }
    }

    /// Takes in what changed.
    fn learn(&mut self, view: &View, changed: &Changed) {
        if !view.current {
            return;
        }
        match changed {
            Changed::All => {
                // Of another history a record may be another one at the same revision.
                self.due.extend(std::mem::take(&mut self.wanted).into_keys());
                self.due.extend(view.rooms.keys().cloned());
                self.nodes_changed(view);
            }
            Changed::Keys(keys) => {
                self.due.extend(keys.rooms().into_iter().cloned());
                if !keys.nodes.is_empty() {
                    self.nodes_changed(view);
                }
            }
        }
    }

    fn nodes_changed(&mut self, view: &View) {
        if self.addresses.len() + view.nodes.len() > MAX_ADDRESSES {
            self.addresses.clear();
        }
        for node in view.nodes.values() {
            if self.addresses.get(&node.id) != Some(&node.link_addr) {
                self.addresses.insert(node.id.clone(), node.link_addr.clone());
            }
        }
        self.rooms.claims.lock().nodes_changed();
        self.look_at_own();
    }

    /// What runs here, and what might, is to be looked at.
    fn look_at_own(&mut self) {
        let wanted = self.wanted.iter().filter(|(_, (_, wanted))| wanted.wants == Wants::Origins);
        self.due.extend(wanted.map(|(room, _)| room.clone()));
        self.due.extend(self.rooms.registry.all().iter().map(|running| running.hosted.id.clone()));
    }

    /// Looks whom a room is to have, if that is this node's affair.
    fn see(&mut self, view: &View, id: &RoomId, runs_here: bool) {
        let may_be_mine = |node: Option<&NodeId>| node.is_none_or(|node| *node == self.rooms.origin.me);
        let concerns = |room: &&Arc<Room>| {
            let [owner, mirror] = [
                room.owner.as_ref().map(|owner| &owner.node),
                room.mirror.as_ref().map(|mirror| &mirror.node),
            ];
            runs_here || may_be_mine(owner) || may_be_mine(mirror)
        };
        let Some(room) = view.rooms.get(id).filter(concerns) else {
            self.wanted.remove(id);
            return;
        };
        if self.wanted.get(id).is_some_and(|(revision, _)| *revision == room.revision) {
            return;
        }
        let wanted = match Record::decode(&room.record) {
            Ok(record) => Wanted {
                wants: driver::wants(&record),
                schema: record.schema(),
                lifecycle: Some(record.lifecycle()),
            },
            Err(error) => {
                tracing::warn!(room = %id, %error, "a room's record cannot be read; this node leaves it to others");
                Wanted { wants: Wants::Others, schema: 0, lifecycle: None }
            }
        };
        self.wanted.insert(id.clone(), (room.revision, wanted));
    }

    /// Tells rooms that run here and claims what is due. Returns when to look again if nothing changes.
    fn look(&mut self, view: &View) -> Option<Time> {
        if !view.current {
            return None;
        }
        let now = stentor_clock::now();
        for id in std::mem::take(&mut self.due) {
            // Asked once: a room that begins to run here meanwhile is counted, and that is told and looked at next.
            let running = self.rooms.registry.get(&id);
            self.see(view, &id, running.is_some());
            let vacancy = self.vacancy(view, &id).filter(|_| running.is_none());
            self.weigh(now, &id, vacancy);
            if let Some(running) = running {
                self.tell(view, &running);
            }
        }
        let (due, next) = {
            let mut claims = self.rooms.claims.lock();
            let nodes = if claims.is_empty() { Vec::new() } else { origins(view) };
            claims.due(now, &self.rooms.origin.me, &nodes)
        };
        for due in due {
            let known = view.rooms.get(&due.room).cloned();
            // What finds no place stays due, and the end of a job brings the next look.
            let Some(room) = known.filter(|_| self.jobs.len() < CLAIMS_AT_ONCE) else { continue };
            if !self.rooms.registry.contains(&due.room) {
                self.claim(view, room, &due, now);
            }
        }
        next
    }

    /// Notes that a room's office is empty, and that the other one, or both, are not.
    fn weigh(&self, now: Time, id: &RoomId, empty: Option<Vacancy<'_, Revision>>) {
        let mut claims = self.rooms.claims.lock();
        for office in [OfficeKind::Owner, OfficeKind::Mirror] {
            match empty.as_ref().filter(|vacancy| vacancy.office.kind() == office) {
                Some(vacancy) => claims.vacant(now, vacancy),
                None => claims.filled(id, office),
            }
        }
    }

    /// Claims an office whose turn at this node has come.
    fn claim(&mut self, view: &View, room: Arc<Room>, due: &Claim<Revision>, now: Time) {
        let (rooms, origin) = (self.rooms.clone(), &self.rooms.origin);
        if origin.is_barred() {
            return;
        }
        let may = match due.office {
            OfficeKind::Owner => rooms.has_place(),
            OfficeKind::Mirror => rooms.may_mirror(),
        };
        let Some(claiming) = rooms.claiming(&due.room).filter(|_| may) else { return };
        let office = match due.office {
            OfficeKind::Owner => {
                let former = view.last_owner(&due.room).map(|owner| &owner.node);
                let former = former.filter(|node| **node != origin.me);
                let former = former.and_then(|node| Some((node.clone(), self.addresses.get(node)?.clone())));
                claim::Office::Owner { empty: now.since(due.since), former }
            }
            OfficeKind::Mirror => claim::Office::Mirror,
        };
        let (kind, target) = (due.office, Target { room, preempt: due.preempt, office });
        // The mark goes along and is dropped when the end is taken in: until the pause that follows from it is set, nobody
        // here claims the room again.
        self.jobs.spawn(async move {
            let outcome =
                stand(&rooms, target).await.map_or_else(|not_won| not_won.outcome, |()| Outcome::Won);
            (claiming, kind, outcome)
        });
    }

    /// Tells a room that runs here what the view shows of it.
    fn tell(&self, view: &View, running: &Running) {
        let id = &running.hosted.id;
        let wanted = self.wanted.get(id).map(|(_, wanted)| *wanted);
        let shown = driver::shown(view, id, wanted.map_or(Wants::Origins, |wanted| wanted.wants));
        // The actor is gone: the next one looks itself.
        drop(running.actor.cast(Message::Shown(shown, wanted.and_then(|wanted| wanted.lifecycle))));
    }

    /// A new lease: every key on the old one is gone.
    fn renewed(&mut self, state: SessionState) {
        let SessionState::Held(lease) = state else { return };
        if self.lease.replace(lease) == Some(lease) {
            return;
        }
        for running in self.rooms.registry.all() {
            // The actor is gone, and the room with it.
            drop(running.actor.cast(Message::Told(Event::NewLease)));
        }
    }

    fn ended(&self, ended: Option<(Claiming, OfficeKind, Outcome)>) {
        let Some((claiming, office, outcome)) = ended else { return };
        let now = stentor_clock::now();
        let mut claims = self.rooms.claims.lock();
        match outcome {
            Outcome::Won => {}
            Outcome::Lost => claims.restart(&claiming.room, office, now),
            Outcome::NotYet(wait) => claims.shun(claiming.room.clone(), office, now + wait),
        }
    }

    /// The office of a room that is to be held and that nobody holds, as far as this node can tell.
    fn vacancy<'a>(&self, view: &'a View, id: &'a RoomId) -> Option<Vacancy<'a, Revision>> {
        let (_, Wanted { schema, .. }) =
            self.wanted.get(id).filter(|(_, wanted)| wanted.wants == Wants::Origins)?;
        let room = view.rooms.get(id)?;
        let stays = |node: &NodeId| view.nodes.get(node).is_some_and(|node| !node.labels.draining);
        let owner = room.owner.as_ref().map(|owner| (&owner.node, owner.revision));
        let mirror = room.mirror.as_ref().map(|mirror| (&mirror.node, mirror.revision));
        Vacancy::of(&self.rooms.origin.me, id, *schema, [owner, mirror], stays)
    }
}

/// What a room's record says, as far as claims go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    wants: Wants,
    schema: u32,
    lifecycle: Option<Lifecycle>,
}
