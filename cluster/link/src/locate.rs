//! Who carries a room: answered from the topology where that knows rooms, else by a parent of the room, so that a join
//! does not need the directory.

use std::{sync::Arc, time::Duration};

use stentor_ids::{Code, Fault, NodeId, RoomId};
use stentor_proto::v1;
use tokio::time::Instant;

use crate::{
    Pool, Topology,
    control::{Client, LOCATE_WITHIN},
    tree,
};

/// Parents asked before it is given up; each gets half of the time, so that one that is gone does not use it up.
const ASKED: u32 = 2;

/// Answers where a room is. Clones share everything.
#[derive(Clone)]
pub struct Locator {
    me: NodeId,
    client: Client,
    topology: Arc<dyn Topology>,
}

impl Locator {
    /// A locator for the node `me`.
    #[must_use]
    pub fn new(me: NodeId, pool: Pool, topology: Arc<dyn Topology>) -> Self {
        Self { me, client: Client::new(pool), topology }
    }

    /// The room as it is, and the link addresses of its owner and its mirror (empty while it has none). Answers within a
    /// second.
    ///
    /// # Errors
    /// `UnknownRoom`, or `NodeUnavailable` if nobody who would know answers.
    pub async fn status(&self, room: &RoomId) -> Result<v1::LocateResponse, Fault> {
        let peers = self.topology.peers();
        let knows = peers.iter().find(|peer| peer.id == self.me);
        if knows.is_some_and(|peer| peer.origin || peer.relay || peer.admin) {
            return self.at_hand(room);
        }
        let mut failed = Fault::new(Code::NodeUnavailable, "no relay or origin is known to ask for the room")
            .retry_after(Duration::from_secs(1));
        for place in tree::above_edge(room, &self.me, &peers).into_iter().take(ASKED as usize) {
            let deadline = Instant::now() + LOCATE_WITHIN / ASKED;
            match tokio::time::timeout_at(deadline, self.client.locate(&place.link_addr, room)).await {
                Ok(Ok(located)) if located.room.is_some() => return Ok(located),
                Ok(Ok(_)) => failed = unknown(room),
                Ok(Err(fault)) => failed = fault,
                Err(_) => {
                    failed = Fault::new(Code::NodeUnavailable, format!("{place} did not answer in time"))
                        .retry_after(Duration::from_secs(1));
                }
            }
        }
        Err(failed)
    }

    fn at_hand(&self, room: &RoomId) -> Result<v1::LocateResponse, Fault> {
        let mut status = self.topology.status(room).ok_or_else(|| unknown(room))?;
        let owner = self.topology.owner(room);
        if let Some(owner) = &owner {
            status.owner = owner.node.to_string();
            status.epoch = status.epoch.max(owner.epoch.0);
        }
        let owner_addr = owner.map(|owner| owner.link_addr).unwrap_or_default();
        let mirror = self.topology.mirror(room);
        if let Some(mirror) = &mirror {
            status.mirror = mirror.node.to_string();
        }
        let mirror_addr = mirror.map(|mirror| mirror.link_addr).unwrap_or_default();
        Ok(v1::LocateResponse { room: Some(status), owner_addr, mirror_addr })
    }
}

/// That there is no such room.
pub(crate) fn unknown(room: &RoomId) -> Fault {
    Fault::new(Code::UnknownRoom, format!("there is no room {room}; check its name"))
}
