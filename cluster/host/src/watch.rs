//! The watch over the directory's view: rooms that run here are told when the view shows another owner or none, and rooms
//! that need an owner are claimed when this node's time has come.
//!
//! A view that is not current says nothing about who is missing, and nobody is told and nothing is claimed by it. When it is
//! current again, everything is looked at.
//!
//! A room is looked at when it has changed in the view, when what runs here has changed, when nodes have, and for as long as
//! what runs here and what the view shows are not the same. So a look costs what changed, however many rooms there are.
//!
//! Invariant: at most [`CLAIMS_AT_ONCE`] claims are under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use stentor_directory::{Changed, LeaseId, Revision, Room, Session, SessionState, View};
use stentor_ids::{NodeId, RoomId};
use stentor_pace::Time;
use stentor_placement::{Claim, Office, OfficeKind, Vacancy};
use stentor_room::Record;
use tokio::{task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    actor::Message,
    claim::{Claimed, TRY_AGAIN, Target, claim, mirror},
    hosted::Seat as Held,
    origin::{Claiming, Origin, origins},
    rooms::Running,
    topology,
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
    /// By the record's revision, whom a room is to have, of those that run here, lack an owner or a mirror, or have this
    /// node for one: such a record is decoded once, and others are not.
    wanted: BTreeMap<RoomId, (Revision, Wanted)>,
    /// Rooms to look at.
    due: BTreeSet<RoomId>,
    /// Where the links of nodes are, or were.
    addresses: BTreeMap<NodeId, String>,
    lease: Option<LeaseId>,
    jobs: JoinSet<(Claiming, OfficeKind, Claimed)>,
}

impl Watch {
    pub(crate) fn new(origin: Arc<Origin>, session: &Session) -> Self {
        Self {
            origin,
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
        let mut view = self.origin.view.reader();
        let mut shown = Arc::default();
        let mut rooms = self.origin.rooms.count();
        let mut clock = self.origin.clock.clone();
        let mut listening = true;
        let mut next = None;
        loop {
            let alarm = async {
                match next {
                    Some(at) => sleep_until(self.origin.timebase.instant(at)).await,
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
        self.origin.claims.lock().nodes_changed();
        self.look_at_own();
    }

    /// What runs here, and what might, is to be looked at.
    fn look_at_own(&mut self) {
        let wanted = self.wanted.iter().filter(|(_, (_, wanted))| matches!(wanted, Wanted::Owner { .. }));
        self.due.extend(wanted.map(|(room, _)| room.clone()));
        self.due.extend(self.origin.rooms.all().iter().map(|running| running.hosted.id.clone()));
    }

    /// Looks whom a room is to have, if that is this node's affair.
    fn see(&mut self, view: &View, id: &RoomId, runs_here: bool) {
        let may_be_mine = |node: Option<&NodeId>| node.is_none_or(|node| *node == self.origin.me);
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
            Ok(record) if record.lifecycle().has_owner() => Wanted::Owner { schema: record.schema() },
            Ok(_) => Wanted::Nobody,
            Err(error) => {
                tracing::warn!(room = %id, %error, "a room's record cannot be read; this node leaves it to others");
                Wanted::Others
            }
        };
        self.wanted.insert(id.clone(), (room.revision, wanted));
    }

    /// Tells rooms that run here and claims what is due. Returns when to look again if nothing changes.
    fn look(&mut self, view: &View) -> Option<Time> {
        if !view.current {
            return None;
        }
        let now = self.origin.timebase.now();
        for id in std::mem::take(&mut self.due) {
            let running = self.origin.rooms.get(&id);
            self.see(view, &id, running.is_some());
            let office = self.vacancy(view, &id).filter(|_| running.is_none());
            self.weigh(now, &id, office);
            if running.is_some_and(|running| !self.tell(view, &running)) {
                self.due.insert(id);
            }
        }
        let (due, next) = {
            let mut claims = self.origin.claims.lock();
            let nodes = if claims.is_empty() { Vec::new() } else { origins(view) };
            claims.due(now, &self.origin.me, &nodes)
        };
        for due in due {
            let known = view.rooms.get(&due.room).cloned();
            let Some(room) = known.filter(|_| self.jobs.len() < CLAIMS_AT_ONCE) else { continue };
            if !self.origin.rooms.contains(&due.room) {
                self.claim(view, room, &due, now);
            }
        }
        next
    }

    /// Notes that a room's office is empty, and that the other one, or both, are not.
    fn weigh(&self, now: Time, id: &RoomId, empty: Option<Empty<'_>>) {
        let mut claims = self.origin.claims.lock();
        for office in [OfficeKind::Owner, OfficeKind::Mirror] {
            match empty.as_ref().map(Empty::vacancy).filter(|vacancy| vacancy.office.kind() == office) {
                Some(vacancy) => claims.vacant(now, &vacancy),
                None => claims.filled(id, office),
            }
        }
    }

    /// Claims an office whose turn at this node has come.
    fn claim(&mut self, view: &View, room: Arc<Room>, due: &Claim<Revision>, now: Time) {
        if self.origin.is_barred() {
            return;
        }
        let may = match due.office {
            OfficeKind::Owner => self.origin.has_place(),
            OfficeKind::Mirror => self.origin.may_mirror(),
        };
        let Some(claiming) = self.origin.claiming(&due.room).filter(|_| may) else { return };
        let (origin, office, preempt) = (self.origin.clone(), due.office, due.preempt);
        let former =
            view.last_owner(&due.room).map(|owner| &owner.node).filter(|node| **node != self.origin.me);
        let former = former.and_then(|node| Some((node.clone(), self.addresses.get(node)?.clone())));
        let vacant = now.since(due.since);
        self.jobs.spawn(async move {
            let claimed = match office {
                OfficeKind::Owner => claim(&origin, Target { room, preempt, vacant, former }).await,
                OfficeKind::Mirror => match mirror(&origin, &room, preempt).await {
                    Ok(()) => Claimed::Won,
                    Err(fault) => {
                        tracing::info!(room = %room.id, %fault, "the room is not mirrored here");
                        Claimed::NotYet(TRY_AGAIN)
                    }
                },
            };
            (claiming, office, claimed)
        });
    }

    /// Tells a room that runs here whom the view shows as its origins. Whether that is as the room has it; until then it is
    /// told again at each look, as what it does about it may fail.
    fn tell(&self, view: &View, running: &Running) -> bool {
        let room = view.rooms.get(&running.hosted.id);
        let tell = |message| {
            // The actor is gone, and the room with it.
            drop(running.actor.cast(message));
        };
        match (running.hosted.seat(), room.and_then(|room| room.owner.as_ref())) {
            (Held::Owner(own), Some(owner)) if owner.epoch > own.epoch() => {
                tell(Message::Claimed(owner.clone().into()));
                false
            }
            (Held::Owner(own), Some(owner)) if owner == own.owner() => {
                tell(Message::Mirrored(topology::mirror(view, &running.hosted.id)));
                true
            }
            (Held::Owner(own), _) => {
                // No owner, or an older one: the directory lost this one's key, or went back to a state from before it. A
                // view from before the claim shows no key either.
                if view.is_after(own.written()) {
                    tell(Message::Unowned);
                }
                false
            }
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
                    shown => return shown == Some(&owner) && view.mirror(&running.hosted.id).is_some(),
                }
                false
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

    fn ended(&self, ended: Option<(Claiming, OfficeKind, Claimed)>) {
        let Some((claiming, office, claimed)) = ended else { return };
        let now = self.origin.timebase.now();
        let mut claims = self.origin.claims.lock();
        match claimed {
            Claimed::Won => {}
            Claimed::Lost => claims.restart(&claiming.room, office, now),
            Claimed::NotYet(wait) => claims.shun(claiming.room.clone(), office, now + wait),
        }
    }

    /// The office of a room that is to be taken and that nobody holds, as far as this node can tell.
    fn vacancy<'a>(&self, view: &'a View, id: &'a RoomId) -> Option<Empty<'a>> {
        let Some((_, Wanted::Owner { schema })) = self.wanted.get(id) else { return None };
        let room = view.rooms.get(id)?;
        let me = &self.origin.me;
        let stays = |node: &&NodeId| view.nodes.get(*node).is_some_and(|node| !node.labels.draining);
        let empty = |office, other, stale| Some(Empty { room: id, office, other, stale, schema: *schema });
        match (&room.owner, &room.mirror) {
            (None, mirror) => {
                let mirror = mirror.as_ref().map(|mirror| &mirror.node);
                empty(OfficeKind::Owner, mirror.filter(stays), None)
            }
            (Some(owner), _) if owner.node == *me => empty(OfficeKind::Owner, None, Some(owner.revision)),
            (Some(owner), None) => empty(OfficeKind::Mirror, Some(&owner.node), None),
            (Some(owner), Some(mirror)) if mirror.node == *me => {
                empty(OfficeKind::Mirror, Some(&owner.node), Some(mirror.revision))
            }
            (Some(_), Some(_)) => None,
        }
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

/// An empty office.
struct Empty<'a> {
    room: &'a RoomId,
    office: OfficeKind,
    /// Who has the room's other office.
    other: Option<&'a NodeId>,
    /// The office's key, if it names this node.
    stale: Option<Revision>,
    /// The schema of the room's record.
    schema: u32,
}

impl Empty<'_> {
    fn vacancy(&self) -> Vacancy<'_, Revision> {
        let office = match (self.office, self.other) {
            (OfficeKind::Mirror, Some(owner)) => Office::Mirror { owner },
            (_, mirror) => Office::Owner { mirror },
        };
        Vacancy { room: self.room, office, stale: self.stale, schema: self.schema }
    }
}
