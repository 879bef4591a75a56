//! What this origin tells the other one of a room: its mix log, and as the owner the room's state and what happens to its
//! participants.

use futures::{StreamExt, stream};
use stentor_link::{Cursor, Item, bans_to_wire};
use stentor_proto::v1::{self, follow_response::Message};

use super::wire::response;
use crate::{hosted::Hosted, mix_log::Mixed, status};

/// What this origin says of a room from now on; an owner begins with the stage as it is.
pub(crate) fn follow(hosted: &Hosted) -> stentor_link::FollowStream {
    let (said, closed) = (hosted.mix_log.follow(), hosted.mix_log.closed());
    if !hosted.is_owned() {
        return Box::pin(said.map(|said| response(&said)).take_until(closed));
    }
    let published = hosted.published();
    let stage = Mixed::Stage(status::staged(published.standing.owner().epoch, &published.record));
    let said = stream::once(async { stage }).chain(said).map(|said| response(&said));
    let told = stream::unfold(hosted.feed.subscribe(None), told);
    Box::pin(stream::select(said, told).take_until(closed))
}

/// The next that the owner tells any child, but for frames: those come with what they were made of.
async fn told(mut cursor: Cursor) -> Option<(v1::FollowResponse, Cursor)> {
    loop {
        let message = match cursor.next().await {
            Item::Status(status) => Message::Room(status.as_ref().clone()),
            Item::Levels(levels) => Message::Levels(levels.as_ref().clone()),
            Item::Bans { words, whole_above } => Message::Bans(bans_to_wire(words, whole_above)),
            Item::Event(event) => Message::Event(event),
            Item::Fence { epoch, from_slot } => {
                Message::Fence(v1::Fence { epoch: epoch.0, from_slot: from_slot.0 })
            }
            // Who may speak comes with what was mixed under it.
            Item::Frame(_) | Item::Gap { .. } | Item::Stage(_) => continue,
            Item::Closed(_) => return None,
        };
        return Some((v1::FollowResponse { message: Some(message) }, cursor));
    }
}
