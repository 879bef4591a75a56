//! The rooms of this node: those that run here, and those that it claims.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use ractor::ActorRef;
use stentor_directory::Revision;
use stentor_ids::{Code, Fault, RoomId};
use stentor_ownership::{
    Preemptions,
    refusal::{SOON, unowned},
};
use stentor_placement::Claims;
use stentor_room::Record;

use crate::{
    driver::Standing,
    hosted::Hosted,
    message::Start,
    origin::Origin,
    published::{Published, published},
    registry::{Registry, Running},
};

/// This node's rooms.
pub(crate) struct Rooms {
    pub(crate) origin: Arc<Origin>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) claims: Mutex<Claims<Revision>>,
    /// How often this node has contested the owners of rooms of late.
    pub(crate) preemptions: Arc<Mutex<Preemptions>>,
    /// Rooms that this node is claiming, or has claimed and does not run yet.
    claiming: Mutex<BTreeSet<RoomId>>,
    supervisor: OnceLock<ActorRef<Start>>,
}

impl Rooms {
    pub(crate) fn new(origin: Arc<Origin>, registry: Registry) -> Self {
        Self {
            origin,
            registry: Arc::new(registry),
            claims: Mutex::default(),
            preemptions: Arc::default(),
            claiming: Mutex::default(),
            supervisor: OnceLock::new(),
        }
    }

    /// Rooms can be run from now on. Whether this is the first supervisor.
    pub(crate) fn supervised(&self, supervisor: ActorRef<Start>) -> bool {
        self.supervisor.set(supervisor).is_ok()
    }

    /// Whether this node may own one more room.
    pub(crate) fn has_place(&self) -> bool {
        self.registry.owned() < self.origin.config.max_rooms as usize
    }

    /// Whether this node may mirror one more room. It may come to own all of them.
    pub(crate) fn may_mirror(&self) -> bool {
        self.registry.len() < 2 * self.origin.config.max_rooms as usize
    }

    /// Marks a room as being claimed, for as long as the mark lives. `None` if it is already.
    pub(crate) fn claiming(self: &Arc<Self>, room: &RoomId) -> Option<Claiming> {
        let new = self.claiming.lock().insert(room.clone());
        new.then(|| Claiming { rooms: self.clone(), room: room.clone() })
    }

    /// A room that this node owns.
    ///
    /// # Errors
    /// Why it does not, and who does as far as this node knows.
    pub(crate) fn running(&self, room: &RoomId) -> Result<Running, Fault> {
        let running = self.registry.get(room).filter(|running| running.hosted.is_owned());
        running.ok_or_else(|| self.elsewhere(room))
    }

    /// A room that this node owns or mirrors.
    ///
    /// # Errors
    /// As [`running`](Self::running).
    pub(crate) fn hosted(&self, room: &RoomId) -> Result<Arc<Hosted>, Fault> {
        self.registry.get(room).map(|running| running.hosted).ok_or_else(|| self.elsewhere(room))
    }

    /// Runs a room that this node has just come to own or to mirror.
    ///
    /// # Errors
    /// This node runs none any more, or runs it already.
    pub(crate) async fn start(&self, room: &RoomId, record: Record, standing: Standing) -> Result<(), Fault> {
        let (publisher, reader) = published(Published { standing, record, taken_over: None });
        let hosted = Arc::new(Hosted::new(room.clone(), reader));
        let supervisor = self.supervisor.get().ok_or_else(stopped)?;
        ractor::call!(supervisor, |reply| Start { hosted, publisher, reply }).map_err(|_| stopped())?
    }

    fn elsewhere(&self, room: &RoomId) -> Fault {
        let (view, me) = (self.origin.view.snapshot(), &self.origin.me);
        let Some(known) = view.rooms.get(room) else {
            return Fault::new(Code::UnknownRoom, format!("there is no room {room}"));
        };
        if let Some(owner) = known.owner.as_ref().filter(|owner| owner.node != *me) {
            let detail = format!("room {room} is run by {}, not by {me}", owner.node);
            return Fault::new(Code::NotOwner, detail).retry_after(SOON);
        }
        match Record::decode(&known.record).map(|record| record.lifecycle()) {
            Ok(lifecycle) if !lifecycle.has_owner() => {
                let detail = format!("room {room} is {lifecycle}; {me} runs only open and live rooms");
                Fault::new(Code::NotOwner, detail)
            }
            Ok(_) => unowned(room),
            Err(error) => Fault::new(Code::Internal, format!("room {room}: {error}")),
        }
    }
}

/// The mark that a room is being claimed.
pub(crate) struct Claiming {
    rooms: Arc<Rooms>,
    pub(crate) room: RoomId,
}

impl Drop for Claiming {
    fn drop(&mut self) {
        self.rooms.claiming.lock().remove(&self.room);
    }
}

fn stopped() -> Fault {
    Fault::new(Code::Draining, "this node's rooms are stopped; another origin takes them")
}
