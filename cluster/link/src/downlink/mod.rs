//! Room audio down the tree: who carries a room here, the server that children subscribe to, and the subscriber that
//! takes a room from its parents.

mod carrier;
mod server;
mod subscriber;
mod upstream;
mod wire;

use async_trait::async_trait;
use stentor_ids::{Code, Epoch, Fault, RoomId};

pub use carrier::{Carrier, Config};
pub(crate) use server::Server;

use crate::{Feed, MixLog};

/// Who has a room's feed on this node.
#[async_trait]
pub trait Carry: Send + Sync + 'static {
    /// The room's feed.
    ///
    /// # Errors
    /// `UnknownRoom`; `NotOwner` or `NoOwner`, with the time after which to ask again; `Overloaded` at a bound.
    async fn feed(&self, room: &RoomId) -> Result<Feed, Fault>;

    /// The room's mix log from now on, for whoever is to be able to go on with the room. Only an owner has it, and none of
    /// an epoch below the one that is asked for.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    async fn mix_log(&self, room: &RoomId, _epoch: Epoch) -> Result<MixLog, Fault> {
        Err(Fault::new(Code::NotOwner, format!("the mix log of {room} is not here; ask the room's owner")))
    }
}
