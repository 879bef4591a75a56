//! Room audio down the tree: who carries a room here, the server that children subscribe to, and the subscriber that
//! takes a room from its parents.
//!
//! This is the relay tier, and the way in of an edge: what a node does that passes rooms on, or plays them. What it decides
//! by is pure and in `stentor-relay`.

mod carrier;
mod heard;
mod server;
mod subscriber;
mod upstream;
mod wire;

use async_trait::async_trait;
use stentor_ids::{Code, Epoch, Fault, NodeId, RoomId};

pub use carrier::{Carrier, Config};
pub(crate) use server::Server;

use crate::{Feed, FollowStream};

/// Who has a room's feed on this node.
#[async_trait]
pub trait Carry: Send + Sync + 'static {
    /// The room's feed.
    ///
    /// # Errors
    /// `UnknownRoom`; `NotOwner` or `NoOwner`, with the time after which to ask again; `Overloaded` at a bound.
    async fn feed(&self, room: &RoomId) -> Result<Feed, Fault>;

    /// What an origin of the room tells the other one, from now on. Only its owner and its mirror tell it; an owner under an
    /// epoch below the one that is asked for is none.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    async fn follow(&self, room: &RoomId, _by: NodeId, _epoch: Epoch) -> Result<FollowStream, Fault> {
        Err(Fault::new(Code::NotOwner, format!("{room} is not mixed here; ask its origins")))
    }
}
