//! Who carries a room: answered from the topology where it knows rooms, else by a parent of the room.

use std::sync::Arc;

use stentor_ids::{Fault, NodeId, RoomId};
use stentor_proto::v1;

use crate::{Pool, Topology};

/// Answers where a room is. Clones share everything.
#[derive(Clone)]
pub struct Locator(#[allow(dead_code)] Arc<()>);

impl Locator {
    /// A locator for the node `me`.
    #[must_use]
    pub fn new(_me: NodeId, _pool: Pool, _topology: Arc<dyn Topology>) -> Self {
        todo!()
    }

    /// The room as it is, and the link address of its owner (empty while it has none). Answers within a second.
    ///
    /// # Errors
    /// `UnknownRoom`, or `NodeUnavailable` if nobody who would know answers.
    pub async fn status(&self, _room: &RoomId) -> Result<v1::LocateResponse, Fault> {
        todo!()
    }
}
