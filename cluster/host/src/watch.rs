//! The watch over the directory's view: rooms that run here are told when the view shows another owner or none, and rooms
//! that need an owner are claimed when this node's time has come.
//!
//! A view that is not current says nothing about who is missing, and nobody is told and nothing is claimed by it.
//!
//! Invariant: at most [`CLAIMS_AT_ONCE`] claims are under way.

use std::{collections::BTreeMap, sync::Arc};

use stentor_directory::{LeaseId, Revision, Session, SessionState, View};
use stentor_ids::{NodeId, RoomId};
use stentor_pace::Time;
use stentor_room::Record;
use tokio::{task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    actor::Message,
    claim::{Claimed, Target, claim},
    claims::Vacancy,
    origin::{Claiming, Origin, origins},
    rooms::Running,
};

/// Claims of this node under way at once. When an origin with many rooms dies, its rooms are claimed in as many turns; each
/// takes two round trips to the directory.
const CLAIMS_AT_ONCE: usize = 16;

/// What the watch remembers.
pub(crate) struct Watch {
    origin: Arc<Origin>,
    /// By the record's revision, whether the room is to have an owner: a record is decoded once.
    wanted: BTreeMap<RoomId, (Revision, bool)>,
    /// Who last owned a room, and where its links were.
    last_owners: BTreeMap<RoomId, (NodeId, String)>,
    lease: Option<LeaseId>,
    jobs: JoinSet<(Claiming, Claimed)>,
}

impl Watch {
    pub(crate) fn new(origin: Arc<Origin>, session: &Session) -> Self {
        Self {
            origin,
            wanted: BTreeMap::new(),
            last_owners: BTreeMap::new(),
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
        let vacancies = self.vacancies(view);
        let now = self.origin.timebase.now();
        let vacancies: Vec<_> =
            vacancies.iter().map(|(room, stale)| Vacancy { room, stale: *stale }).collect();
        let nodes = origins(view);
        let (due, next) = self.origin.claims.lock().due(now, &self.origin.me, &nodes, &vacancies);
        for due in due {
            if self.jobs.len() >= CLAIMS_AT_ONCE || !self.origin.has_place() {
                break;
            }
            let known = view.rooms.get(&due.room).cloned().zip(self.origin.claiming(&due.room));
            let Some((room, claiming)) = known else { continue };
            let former = self.last_owners.get(&due.room).filter(|(node, _)| *node != self.origin.me).cloned();
            let target = Target { room, preempt: due.preempt, vacant: now.since(due.since), former };
            let origin = self.origin.clone();
            self.jobs.spawn(async move { (claiming, claim(&origin, target).await) });
        }
        next
    }

    /// Tells a room that runs here whom the view shows as its owner.
    fn tell(&self, view: &View, running: &Running) {
        let own = running.hosted.ownership();
        let shown = view.rooms.get(&running.hosted.id).map(|room| room.owner.as_ref());
        let message = match shown {
            Some(Some(owner)) if owner.epoch > own.epoch() => Message::Claimed(owner.clone().into()),
            // A view from before the claim shows no owner either.
            Some(None) if view.revision >= own.owner().revision => Message::Unowned,
            _ => return,
        };
        // The actor is gone, and the room with it.
        drop(running.actor.cast(message));
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

    fn ended(&self, ended: Option<(Claiming, Claimed)>) {
        let Some((claiming, claimed)) = ended else { return };
        let now = self.origin.timebase.now();
        let mut claims = self.origin.claims.lock();
        match claimed {
            Claimed::Won => {}
            Claimed::Lost => claims.restart(&claiming.room, now),
            Claimed::NotYet(wait) => claims.shun(claiming.room.clone(), now + wait),
        }
    }

    /// Keeps what a room's last owner was, and forgets rooms that are gone.
    fn remember(&mut self, view: &View) {
        self.wanted.retain(|room, _| view.rooms.contains_key(room));
        self.last_owners.retain(|room, _| view.rooms.contains_key(room));
        for (id, room) in &view.rooms {
            let known = room.owner.as_ref().and_then(|owner| view.nodes.get(&owner.node));
            if let Some(node) = known {
                let last =
                    self.last_owners.entry(id.clone()).or_insert_with(|| (node.id.clone(), String::new()));
                if last.0 != node.id || last.1 != node.link_addr {
                    *last = (node.id.clone(), node.link_addr.clone());
                }
            }
            let cached = self.wanted.get(id).is_some_and(|(revision, _)| *revision == room.revision);
            if !cached {
                let record = Record::decode(&room.record);
                let wanted = record.as_ref().is_ok_and(|record| record.lifecycle().has_owner());
                if let Err(error) = record {
                    tracing::warn!(room = %id, %error, "a room's record cannot be read; nobody can own it");
                }
                self.wanted.insert(id.clone(), (room.revision, wanted));
            }
        }
    }

    /// Rooms that are to have an owner and have none that runs them; with the key that names this node, if one does.
    fn vacancies(&self, view: &View) -> Vec<(RoomId, Option<Revision>)> {
        let claiming = self.origin.claiming.lock().clone();
        let vacant = |(id, room): (&RoomId, &Arc<stentor_directory::Room>)| {
            let wanted = self.wanted.get(id).is_some_and(|(_, wanted)| *wanted);
            if !wanted || claiming.contains(id) || self.origin.rooms.contains(id) {
                return None;
            }
            match &room.owner {
                None => Some((id.clone(), None)),
                Some(owner) if owner.node == self.origin.me => Some((id.clone(), Some(owner.revision))),
                Some(_) => None,
            }
        };
        view.rooms.iter().filter_map(vacant).collect()
    }
}
