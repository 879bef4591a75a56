//! The task that holds one room's uplinks, to its owner ([`to_owner`](super::to_owner)) and to its mirror
//! ([`to_mirror`](super::to_mirror)), and what the two know of where these are. Each way goes on by itself: neither waits
//! for the other, and packets go over whichever is there.

use std::{sync::Arc, time::Duration};

use stentor_ids::{Code, Epoch, Fault, RoomId};
use stentor_proto::v1;
use tokio::sync::watch;
use tracing::{Span, info};

use super::{lane::Lane, shared::Inner, way::Way};

/// First ceiling of the wait before an origin is tried again, and the highest: a new one is there within the lease, and
/// speakers should lose none of its first slots.
pub(super) const RETRY_BASE: Duration = Duration::from_millis(50);
pub(super) const RETRY_CAP: Duration = Duration::from_secs(1);

/// The task of one room.
pub(super) struct Link {
    pub(super) uplinks: Arc<Inner>,
    pub(super) room: RoomId,
    pub(super) lane: Arc<Lane>,
    pub(super) known: watch::Sender<Known>,
}

/// Where the room's origins are, by the last word on it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether anyone has ever told of the room.
    pub(super) room: bool,
    /// Highest epoch seen: an owner under a lower one is none.
    pub(super) epoch: Epoch,
    /// Which of the rooms of its name it is; 0 while that is not known.
    pub(super) incarnation: u64,
    /// Where the owner is that an origin told of, until it has been tried there.
    pub(super) moved: Option<String>,
    /// Where the owner is that has welcomed us, for as long as it is connected.
    pub(super) owner: Option<String>,
    /// The mirror's id, empty while there is none.
    mirror: String,
    /// Where the mirror was last said to be, if the view of the cluster does not tell.
    mirror_addr: String,
}

impl Link {
    /// Begins the task of a room, which runs until nobody speaks here any more or the room cannot be had. Its first
    /// connection belongs to the present trace.
    pub(super) fn begin(uplinks: Arc<Inner>, room: RoomId, lane: Arc<Lane>) {
        let link = Self { uplinks, room, lane, known: watch::Sender::default() };
        tokio::spawn(link.run(Span::current()));
    }

    async fn run(self, cause: Span) {
        tokio::select! {
            fault = self.to_owner(cause) => self.end(&fault),
            never = self.to_mirror() => match never {},
            () = self.deserted() => {}
        }
    }

    /// Tells every speaker that it is over, and takes no more.
    fn end(&self, fault: &Fault) {
        info!(room = %self.room, %fault, "uplink given up");
        self.retire(|_| true);
        self.lane.end(fault);
    }

    /// Done when the last speaker has gone, and nobody joins any more.
    async fn deserted(&self) {
        let mut changed = self.lane.changed();
        while !self.retire(|lane| lane.users() == 0) {
            // The lane lives as long as we do, and so does what tells of it.
            let _ = changed.changed().await;
        }
    }

    /// Takes the lane out of the edge's uplinks, so that nobody joins it any more, if it is still wanted so then.
    fn retire(&self, wanted: impl FnOnce(&Lane) -> bool) -> bool {
        let mut rooms = self.uplinks.rooms.lock();
        let over = wanted(&self.lane);
        if over && rooms.get(&self.room).is_some_and(|lane| Arc::ptr_eq(lane, &self.lane)) {
            rooms.remove(&self.room);
        }
        over
    }

    /// What a connection to one of the origins begins with.
    pub(super) fn hello(&self, mirror: bool) -> v1::UplinkHello {
        v1::UplinkHello {
            room: self.room.to_string(),
            node: self.uplinks.me.to_string(),
            epoch: self.known.borrow().epoch.0,
            incarnation: self.known.borrow().incarnation,
            mirror,
        }
    }

    /// Asks who carries the room, notes its mirror, and returns where its owner is.
    pub(super) async fn locate(&self) -> Result<String, Fault> {
        let located = self.uplinks.locator.status(&self.room).await?;
        let room = located.room.unwrap_or_default();
        if room.lifecycle() == v1::Lifecycle::Ended {
            return Err(Fault::new(Code::RoomEnded, format!("{} has ended", self.room)));
        }
        self.known.send_modify(|known| {
            known.room = true;
            (known.mirror, known.mirror_addr) = (room.mirror, located.mirror_addr);
        });
        if located.owner_addr.is_empty() {
            let fault = Fault::new(Code::NoOwner, format!("nobody owns {} at the moment", self.room));
            return Err(fault.retry_after(Duration::from_secs(1)));
        }
        Ok(located.owner_addr)
    }

    /// An origin says that the room's mirror is another one.
    pub(super) fn mirror_named(&self, node: String) {
        self.known.send_if_modified(|known| {
            let other = known.mirror != node;
            if other {
                (known.mirror, known.mirror_addr) = (node, String::new());
            }
            other
        });
    }

    /// The owner is here, by its own word.
    pub(super) fn owner_at(&self, link_addr: &String) {
        self.known.send_if_modified(|known| {
            let other = known.owner.as_ref() != Some(link_addr);
            known.moved = other.then(|| link_addr.clone()).or_else(|| known.moved.take());
            other
        });
    }

    /// An origin says that the room has another owner.
    pub(super) fn owner_named(&self, node: &str, epoch: Epoch) {
        let addr = self.addr_of(node);
        self.known.send_if_modified(|known| {
            if epoch < known.epoch {
                return false;
            }
            known.epoch = epoch;
            known.moved = addr.or_else(|| (known.mirror == node).then(|| known.mirror_addr.clone()));
            known.moved =
                known.moved.take().filter(|addr| !addr.is_empty() && known.owner.as_ref() != Some(addr));
            true
        });
    }

    /// Where the room's mirror is, unless the owner's uplink goes there already.
    pub(super) fn mirror_addr(&self) -> Option<String> {
        let known = self.known.borrow();
        let in_view = self.addr_of(&known.mirror);
        let addr = in_view.unwrap_or_else(|| known.mirror_addr.clone());
        Some(addr).filter(|addr| !addr.is_empty() && known.owner.as_ref() != Some(addr))
    }

    fn addr_of(&self, node: &str) -> Option<String> {
        let peers = self.uplinks.topology.peers();
        peers.iter().find(|peer| peer.id.as_str() == node).map(|peer| peer.link_addr.clone())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.lane.disconnect(Way::Owner);
        self.lane.disconnect(Way::Mirror);
    }
}
