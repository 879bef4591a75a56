//! What all rooms of this node share: the directory and this node's membership, the way to other nodes, clocks and
//! metrics, and the rooms themselves.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use ractor::ActorRef;
use stentor_directory::{Directory, NodeRole, Revision, Session, View, ViewHandle};
use stentor_ids::{Code, Fault, NodeId, RoomId};
use stentor_link::{Journal, Mirror, Pool, Topology, control};
use stentor_placement::{Candidate, Claims, Standing};
use stentor_room::Record;
use stentor_telemetry::NodeMetrics;
use tokio::sync::watch;

use crate::{
    Config,
    engine::EngineFactory,
    hosted::{Hosted, Seat},
    media::Replays,
    pulse::Pulse,
    rooms::{Rooms, Running},
    supervisor,
    timebase::Timebase,
};

/// When to come back while a room is between two owners, or between two lives of its actor.
const SOON: Duration = Duration::from_millis(200);
/// When to come back to a room that nobody owns: the claim steps of a few origins.
const CLAIM_WAIT: Duration = Duration::from_secs(1);

/// This node as an origin.
pub(crate) struct Origin {
    pub(crate) me: NodeId,
    pub(crate) config: Config,
    pub(crate) directory: Directory,
    /// Whoever composes the node holds and closes it; without it nothing more is claimed.
    pub(crate) session: Weak<Session>,
    pub(crate) view: ViewHandle,
    pub(crate) topology: Arc<dyn Topology>,
    pub(crate) pool: Pool,
    pub(crate) control: control::Client,
    pub(crate) journal: Journal,
    pub(crate) metrics: NodeMetrics,
    pub(crate) timebase: Timebase,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) engines: EngineFactory,
    pub(crate) replays: Arc<Replays>,
    pub(crate) rooms: Rooms,
    pub(crate) claims: Mutex<Claims<Revision>>,
    /// Rooms that this node is claiming, or has claimed and does not run yet.
    pub(crate) claiming: Mutex<BTreeSet<RoomId>>,
    pub(crate) supervisor: OnceLock<ActorRef<supervisor::Message>>,
    /// How this node's clock stands.
    pub(crate) clock: watch::Receiver<Standing>,
}

impl Origin {
    /// This node's membership.
    pub(crate) fn session(&self) -> Result<Arc<Session>, stentor_directory::Error> {
        self.session.upgrade().ok_or(stentor_directory::Error::LeaseGone)
    }

    /// Whether this node may own one more room.
    pub(crate) fn has_place(&self) -> bool {
        self.rooms.owned() < self.config.max_rooms as usize
    }

    /// Whether this node may mirror one more room. It may come to own all of them.
    pub(crate) fn may_mirror(&self) -> bool {
        self.rooms.len() < 2 * self.config.max_rooms as usize
    }

    /// Where a node is reached, if it lives.
    pub(crate) fn place_of(&self, node: &NodeId) -> Option<Mirror> {
        let peers = self.topology.peers();
        let peer = peers.iter().find(|peer| peer.id == *node)?;
        Some(Mirror { node: node.clone(), link_addr: peer.link_addr.clone() })
    }

    /// Whether this node's clock is so far off that it takes no rooms.
    pub(crate) fn is_barred(&self) -> bool {
        self.clock.borrow().barred
    }

    /// Whether this node is leaving.
    pub(crate) fn is_draining(&self) -> bool {
        self.view.snapshot().nodes.get(&self.me).is_some_and(|node| node.labels.draining)
    }

    /// Marks a room as being claimed, for as long as the mark lives. `None` if it is already.
    pub(crate) fn claiming(self: &Arc<Self>, room: &RoomId) -> Option<Claiming> {
        let new = self.claiming.lock().insert(room.clone());
        new.then(|| Claiming { origin: self.clone(), room: room.clone() })
    }

    /// A room that this node owns.
    ///
    /// # Errors
    /// Why it does not, and who does as far as this node knows.
    pub(crate) fn running(&self, room: &RoomId) -> Result<Running, Fault> {
        let running = self.rooms.get(room).filter(|running| running.hosted.is_owned());
        running.ok_or_else(|| self.elsewhere(room))
    }

    /// A room that this node owns or mirrors.
    ///
    /// # Errors
    /// As [`running`](Self::running).
    pub(crate) fn hosted(&self, room: &RoomId) -> Result<Arc<Hosted>, Fault> {
        self.rooms.get(room).map(|running| running.hosted).ok_or_else(|| self.elsewhere(room))
    }

    /// Runs a room that this node has just come to own or to mirror.
    pub(crate) async fn start(
        &self,
        room: &RoomId,
        record: Record,
        seat: Seat,
    ) -> Result<Arc<Hosted>, Fault> {
        let hosted = Arc::new(Hosted::new(room.clone(), record, seat));
        let supervisor = self.supervisor.get().ok_or_else(stopped)?;
        let start = |reply| supervisor::Message::Start { hosted: hosted.clone(), reply };
        match ractor::call!(supervisor, start) {
            Ok(Ok(())) => Ok(hosted),
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(stopped()),
        }
    }

    fn elsewhere(&self, room: &RoomId) -> Fault {
        let view = self.view.snapshot();
        let Some(known) = view.rooms.get(room) else {
            return Fault::new(Code::UnknownRoom, format!("there is no room {room}"));
        };
        if let Some(owner) = known.owner.as_ref().filter(|owner| owner.node != self.me) {
            let detail = format!("room {room} is run by {}, not by {}", owner.node, self.me);
            return Fault::new(Code::NotOwner, detail).retry_after(SOON);
        }
        match Record::decode(&known.record).map(|record| record.lifecycle()) {
            Ok(lifecycle) if !lifecycle.has_owner() => {
                let detail = format!("room {room} is {lifecycle}; {} runs only open and live rooms", self.me);
                Fault::new(Code::NotOwner, detail)
            }
            Ok(_) => no_owner(room, CLAIM_WAIT),
            Err(error) => Fault::new(Code::Internal, format!("room {room}: {error}")),
        }
    }
}

/// The mark that a room is being claimed.
pub(crate) struct Claiming {
    origin: Arc<Origin>,
    pub(crate) room: RoomId,
}

impl Drop for Claiming {
    fn drop(&mut self) {
        self.origin.claiming.lock().remove(&self.room);
    }
}

/// The origins of a view.
pub(crate) fn origins(view: &View) -> Vec<Candidate<'_>> {
    let origins = view.nodes.values().filter(|node| node.roles.has(NodeRole::Origin));
    origins.map(|node| Candidate::of(&node.id, &node.labels, view.owned_by(&node.id))).collect()
}

/// The room is between two lives of its actor.
pub(crate) fn restarting(room: &RoomId) -> Fault {
    no_owner(room, SOON)
}

/// The room goes, or has gone, to another node.
pub(crate) fn moved(room: &RoomId, to: &NodeId) -> Fault {
    Fault::new(Code::NotOwner, format!("room {room} is moving to {to}")).retry_after(SOON)
}

/// The room is only mirrored here.
pub(crate) fn mirrored_only(room: &RoomId, owner: &NodeId) -> Fault {
    Fault::new(Code::NotOwner, format!("room {room} is run by {owner}, and only mirrored here"))
        .retry_after(SOON)
}

fn no_owner(room: &RoomId, wait: Duration) -> Fault {
    let detail = format!("the owner of room {room} is being replaced; try again in {} ms", wait.as_millis());
    Fault::new(Code::NoOwner, detail).retry_after(wait)
}

fn stopped() -> Fault {
    Fault::new(Code::Draining, "this node's rooms are stopped; another origin takes them")
}
