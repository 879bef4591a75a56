//! A room is taken when it is first asked for: its subscriber runs for as long as the room is carried.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use stentor_ids::{Code, Fault, RoomId};
use stentor_telemetry::Tier;
use tracing::Span;

use super::{
    super::{Carry, heard::Heard, subscriber::Subscriber},
    Carried, Carrier, LINGER,
};
use crate::{Closed, Counted, Feed, FeedWriter, Item, locate::unknown};

/// Rooms that a node carries at once. Beyond it a new room is refused with `Overloaded`: the rooms that are carried go
/// first.
const MAX_CARRIED: usize = 4096;
/// How long a room may take until its state is known: two hops to connect, each within a second.
const FIRST_WITHIN: Duration = Duration::from_secs(2);
/// When to ask again for a room that did not come.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Carrier {
    /// The room's feed, and its subscriber begun if it is new.
    fn carried(&self, room: &RoomId) -> Result<Feed, Fault> {
        let mut rooms = self.0.rooms.lock();
        if *self.0.leaving.borrow() || self.0.stop.is_cancelled() {
            let detail = format!("{} is leaving; ask another node", self.0.config.me);
            return Err(Fault::new(Code::Draining, detail));
        }
        if let Some(Carried { feed, .. }) = rooms.get(room) {
            feed.touch();
            return Ok(feed.reader());
        }
        if rooms.len() >= MAX_CARRIED {
            let detail = format!("{} carries {MAX_CARRIED} rooms, as many as it may", self.0.config.me);
            return Err(Fault::new(Code::Overloaded, detail).retry_after(LINGER));
        }
        let carried = Carried { feed: Arc::new(FeedWriter::new(room.clone())), heard: Heard::default() };
        let feed = carried.feed.reader();
        rooms.insert(room.clone(), carried.clone());
        drop(rooms);
        let counted = Counted::new(self.0.metrics.rooms(self.0.config.tier));
        self.0.tasks.spawn(self.clone().carry(carried, Span::current(), counted));
        Ok(feed)
    }

    /// Carries one room for as long as it is wanted, and keeps its end for those who ask late.
    async fn carry(self, Carried { feed, heard }: Carried, cause: Span, _counted: Counted) {
        let stop = self.0.stop.clone();
        let until_over = async {
            Subscriber::new(self.clone(), feed.clone(), heard, cause).run().await;
            if feed.closed() == Some(Closed::Ended) {
                tokio::time::sleep(LINGER).await;
            }
        };
        tokio::select! {
            () = until_over => {}
            () = stop.cancelled() => {}
        }
        feed.close(Closed::Moved);
        let mut rooms = self.0.rooms.lock();
        // The room may have been made anew under its name, and begun again, while this one came to its end.
        if rooms.get(feed.room()).is_some_and(|current| current.feed.is(&feed)) {
            rooms.remove(feed.room());
        }
    }
}

#[async_trait]
impl Carry for Carrier {
    async fn feed(&self, room: &RoomId) -> Result<Feed, Fault> {
        if self.0.config.tier != Tier::Edge {
            // A relay sees every room's record, so a name that is none costs nothing, and a child of a room whose owner is
            // being replaced need not wait: it is told the room's state when there is one.
            let recorded = self.0.topology.status(room);
            if let Some(record) = &recorded {
                self.meet(room, record.incarnation);
            }
            let known = recorded.is_some() || self.0.topology.owner(room).is_some();
            return if known { self.carried(room) } else { Err(unknown(room)) };
        }
        let feed = self.carried(room)?;
        match tokio::time::timeout(FIRST_WITHIN, known(&feed)).await {
            Ok(Ok(())) => Ok(feed),
            Ok(Err(fault)) => Err(fault),
            Err(_) => {
                let detail = format!("nobody above {} has answered for {room} yet", self.0.config.me);
                Err(Fault::new(Code::NoOwner, detail).retry_after(RETRY_AFTER))
            }
        }
    }
}

/// Waits until a feed has the room's state, or cannot be had.
async fn known(feed: &Feed) -> Result<(), Fault> {
    if feed.status().is_some() {
        return Ok(());
    }
    let mut cursor = feed.subscribe(None);
    loop {
        match cursor.next().await {
            Item::Status(_) | Item::Closed(Closed::Ended) => return Ok(()),
            Item::Closed(Closed::Fault(fault)) => return Err(fault),
            Item::Closed(Closed::Moved) => {
                return Err(
                    Fault::new(Code::NoOwner, "the room was let go meanwhile").retry_after(RETRY_AFTER)
                );
            }
            Item::Frame(_)
            | Item::Levels(_)
            | Item::Bans { .. }
            | Item::Stage(_)
            | Item::Event(_)
            | Item::Gap { .. }
            | Item::Fence { .. } => {}
        }
    }
}
