//! The way to the room's mirror: it brings the packets of those whom the owner took, so that the mirror can go on with
//! them at any moment. It is retried without a word to anyone.
//!
//! A mirror that is replaced, or owns the room by now, is kept until the owner has every speaker: until then it may be
//! the only one that hears them.

use std::{convert::Infallible, pin::pin, time::Duration};

use stentor_ids::{Epoch, Fault};
use stentor_pace::Backoff;
use stentor_proto::v1::uplink_response::Message as Down;
use stentor_telemetry::LinkKind;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::{
    connection::Connection,
    link::{Link, RETRY_BASE, RETRY_CAP},
    way::Way,
};
use crate::Counted;

/// When a speaker is brought again that the mirror refused: it learns of a new one from the owner, as we do.
const ASK_AGAIN: Duration = Duration::from_millis(250);

impl Link {
    /// Holds the way to the mirror, whenever there is one.
    pub(super) async fn to_mirror(&self) -> Infallible {
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
        loop {
            let link_addr = self.mirror_is(Option::is_some).await.unwrap_or_default();
            let outbound = self.lane.connect(Way::Mirror, self.hello(true));
            let begun = stentor_clock::now();
            let opened = Connection::open(&self.uplinks, &self.room, link_addr.clone(), outbound).await;
            let over = match opened {
                Ok(connection) => self.hear_mirror(connection).await,
                Err(fault) => Some(fault),
            };
            self.lane.disconnect(Way::Mirror);
            if stentor_clock::now().since(begun) >= 2 * RETRY_CAP {
                backoff.reset();
            }
            if let Some(fault) = over {
                debug!(room = %self.room, %fault, "the room's mirror is tried again");
                let wait = backoff.next(rand::random());
                // Another mirror is tried at once.
                let _ = timeout(wait, self.mirror_is(|addr| addr.as_ref() != Some(&link_addr))).await;
            }
        }
    }

    /// Where the mirror is, once that is as it should be.
    async fn mirror_is(&self, is_so: impl Fn(&Option<String>) -> bool) -> Option<String> {
        let (mut cluster, mut known) = (self.uplinks.topology.changed(&self.room), self.known.subscribe());
        loop {
            cluster.borrow_and_update();
            known.borrow_and_update();
            let addr = self.mirror_addr();
            if is_so(&addr) {
                return addr;
            }
            tokio::select! {
                Ok(()) = cluster.changed() => {}
                Ok(()) = known.changed() => {}
            }
        }
    }

    /// Listens to the mirror until the connection is over, and returns why if it should not be.
    async fn hear_mirror(&self, mut connection: Connection) -> Option<Fault> {
        let _counted = Counted::new(self.uplinks.metrics.links(LinkKind::Uplink));
        self.mirror_says_moved(&connection.room.owner, connection.epoch);
        let link_addr = connection.link_addr.clone();
        let mut done = pin!(self.mirror_is_done(&link_addr));
        let mut ask_again = None;
        loop {
            tokio::select! {
                said = connection.said() => match said {
                    Ok(Down::Attached(attached)) => self.lane.attached(Way::Mirror, &attached),
                    Ok(Down::Monitor(monitor)) => self.lane.monitor(monitor),
                    Ok(Down::Mirror(mirror)) => {
                        // Only an owner says so.
                        self.owner_at(&link_addr);
                        self.mirror_named(mirror.node);
                    }
                    Ok(Down::Moved(moved)) => self.mirror_says_moved(&moved.node, Epoch(moved.epoch)),
                    Ok(Down::Refused(refused)) => {
                        self.lane.refused_by_mirror(&refused.participant);
                        ask_again = ask_again.or_else(|| Some(Instant::now() + ASK_AGAIN));
                    }
                    // What else happens is for the owner to say.
                    Ok(Down::Welcome(_) | Down::Event(_) | Down::Ended(_)) => {}
                    Err(fault) => return Some(fault),
                },
                () = async { sleep_until(ask_again.unwrap_or_else(Instant::now)).await }, if ask_again.is_some() => {
                    self.lane.ask_mirror_again();
                    ask_again = None;
                }
                () = &mut done => return None,
            }
        }
    }

    /// A mirror knows of an owner that is not the one that we know, if it is of a higher epoch; else it only takes its leave.
    fn mirror_says_moved(&self, node: &str, epoch: Epoch) {
        if epoch > self.known.borrow().epoch {
            self.owner_named(node, epoch);
        }
    }

    /// Done when there is another mirror, or none, and the owner, who is known to be the owner still, has every
    /// speaker.
    async fn mirror_is_done(&self, link_addr: &String) {
        let mut lane = self.lane.changed();
        loop {
            self.mirror_is(|addr| addr.as_ref() != Some(link_addr)).await;
            lane.borrow_and_update();
            if self.known.borrow().moved.is_none() && self.lane.is_whole() {
                return;
            }
            // The lane lives as long as we do, and so does what tells of it.
            let _ = lane.changed().await;
        }
    }
}
