//! Who is let in takes part in a room that is played here, from now on if it was not.

use std::sync::Arc;

use stentor_admission::Claims;
use stentor_ids::{Code, Fault, RoomId};
use stentor_link::{Carry, Closed, Feed};

use super::{
    Caller, NEW_OWNER, Rooms, ended,
    on_air::{self, Audience, OnAir, Part},
    player::Player,
};

impl Rooms {
    /// Lets someone in to take part in the room, which is played here from now on if it was not.
    ///
    /// # Errors
    /// As [`Rooms::check`]; `Draining`; `Overloaded` at a bound.
    pub(crate) async fn admit(
        &self,
        room: &RoomId,
        caller: Caller<'_>,
        part: Part,
    ) -> Result<Audience, Fault> {
        self.0.auth.check_open()?;
        let (status, claims) = self.checked(room, caller).await?;
        if let Some(on_air) = self.0.playing.lock().get(room) {
            return Ok(on_air.admit(claims, part));
        }
        // What is carried may be a former room of this name that has ended.
        self.0.carrier.meet(room, status.incarnation);
        let feed = self.0.carrier.feed(room).await?;
        if let Some(claims) = &claims {
            // Who is banned comes with the feed, before its state.
            on_air::check_banned(&feed, &claims.participant)?;
        }
        match feed.closed() {
            None => Ok(self.play(feed, claims, part)),
            Some(Closed::Ended) => Err(ended(room.as_str())),
            Some(Closed::Fault(fault)) => Err(fault),
            Some(Closed::Moved) => {
                Err(Fault::new(Code::NoOwner, "the room was let go meanwhile").retry_after(NEW_OWNER))
            }
        }
    }

    fn play(&self, feed: Feed, claims: Option<Claims>, part: Part) -> Audience {
        let mut playing = self.0.playing.lock();
        if let Some(on_air) = playing.get(feed.room()) {
            return on_air.admit(claims, part);
        }
        let on_air = Arc::new(OnAir::new(feed));
        let audience = on_air.admit(claims, part);
        self.0.fanout.open(on_air.room());
        playing.insert(on_air.room().clone(), on_air.clone());
        drop(playing);
        self.0.tasks.spawn(Player::new(self.clone(), on_air).run());
        audience
    }
}
