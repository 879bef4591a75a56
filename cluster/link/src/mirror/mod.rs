//! What the two origins of a room tell each other: what each slot was made of, and how each of them stands. What it says is
//! made by the origins; here it is carried.

mod follower;
mod server;

use std::pin::Pin;

use futures::Stream;
use stentor_proto::v1;

pub use follower::{Followed, Follower};
pub(crate) use server::Server;

/// What an origin tells the other one of a room, from the moment that it was asked for. It ends when the room is not there
/// any more.
pub type FollowStream = Pin<Box<dyn Stream<Item = v1::FollowResponse> + Send>>;
