//! The way to the room's owner: finds it, connects, brings every speaker again, and starts over when the owner moves or
//! the connection breaks. They keep their stream number, so that the owner hears one connection go on.

use std::{future::Future, time::Duration};

use stentor_ids::{Code, Epoch, Fault};
use stentor_pace::{Backoff, Time};
use stentor_proto::v1::uplink_response::Message as Down;
use stentor_telemetry::LinkKind;
use tokio::{sync::watch, time::Instant};
use tracing::{Instrument, Span, debug};

use super::{
    connection::Connection,
    link::{Known, Link, RETRY_BASE, RETRY_CAP},
    way::Way,
};
use crate::Counted;

/// How long speakers are kept while nobody takes their packets. A person who talks into nothing should know after a
/// minute.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How long an owner that is not the owner any more may still say goodbye. A planned move is in the directory, and known to
/// the heir, a second before the slot at which it happens, and until then the old owner is the one that is heard.
const PARTING: Duration = Duration::from_millis(1500);

/// Why a connection is over.
enum Over {
    /// Look for the owner, now.
    Moved,
    /// Look for the owner, after a wait.
    Broken(Fault),
}

impl Link {
    /// Holds the way to the owner until the room cannot be had, and returns why.
    pub(super) async fn to_owner(&self, mut cause: Span) -> Fault {
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
        let mut heard = stentor_clock::now();
        loop {
            let opening = self.open_to_owner().instrument(std::mem::replace(&mut cause, Span::none()));
            let over = match opening.await {
                Ok(connection) => {
                    let begun = stentor_clock::now();
                    let over = self.hear_owner(connection).await;
                    heard = stentor_clock::now();
                    if heard.since(begun) >= RETRY_CAP {
                        backoff.reset();
                    }
                    over
                }
                Err(fault) => Over::Broken(fault),
            };
            self.lane.disconnect(Way::Owner);
            self.known.send_modify(|known| known.owner = None);
            let first = backoff.failures() == 0;
            let wait = self.wait(backoff.next(rand::random()));
            match over {
                Over::Broken(fault) if self.is_final(&fault, &mut heard) => return fault,
                // A room moves seldom; an owner that sends us away each time we come must not make us run in circles.
                Over::Moved if first => {}
                over => {
                    if let Over::Broken(fault) = over {
                        debug!(room = %self.room, %fault, "the room's owner is looked for again");
                    }
                    wait.await;
                }
            }
        }
    }

    /// Whether a fault is one that waiting does not mend. A room that was known once is not unknown because those who are
    /// asked have forgotten it, and as long as the mirror takes packets nobody talks into nothing.
    fn is_final(&self, fault: &Fault, heard: &mut Time) -> bool {
        if self.lane.is_mirrored() {
            *heard = stentor_clock::now();
        }
        match fault.code {
            Code::RoomEnded | Code::InvalidArgument => true,
            Code::UnknownRoom if !self.known.borrow().room => true,
            _ => stentor_clock::now().since(*heard) >= GIVE_UP,
        }
    }

    /// Waits until the owner may be elsewhere: for a while, or until the cluster changes or an origin tells of one.
    fn wait(&self, wait: Duration) -> impl Future<Output = ()> + use<> {
        let (mut cluster, mut known) = (self.uplinks.topology.changed(&self.room), self.known.subscribe());
        async move {
            cluster.mark_unchanged();
            let changed = async {
                tokio::select! {
                    // A view that will not change any more leaves the time alone.
                    Ok(()) = cluster.changed() => {}
                    () = told(&mut known, |known| known.moved.is_some()) => {}
                    else => std::future::pending().await,
                }
            };
            let _ = tokio::time::timeout(wait, changed).await;
        }
    }

    /// A connection to the owner: where an origin said that it is, or where it is found.
    async fn open_to_owner(&self) -> Result<Connection, Fault> {
        let mut moved = None;
        self.known.send_if_modified(|known| {
            moved = known.moved.take();
            false
        });
        let link_addr = match moved {
            Some(link_addr) => link_addr,
            None => self.locate().await?,
        };
        let outbound = self.lane.connect(Way::Owner, self.hello(false));
        Connection::open(&self.uplinks, &self.room, link_addr, outbound).await
    }

    /// Listens to the owner until the connection is over.
    async fn hear_owner(&self, mut connection: Connection) -> Over {
        let _counted = Counted::new(self.uplinks.metrics.links(LinkKind::Uplink));
        self.known.send_modify(|known| {
            known.room = true;
            known.epoch = known.epoch.max(connection.epoch);
            known.incarnation = connection.room.incarnation;
            known.moved = known.moved.take().filter(|addr| *addr != connection.link_addr);
            known.owner = Some(connection.link_addr.clone());
        });
        self.mirror_named(std::mem::take(&mut connection.room.mirror));
        let (mut cluster, mut known) = (self.uplinks.topology.changed(&self.room), self.known.subscribe());
        let (mut left, mut succeeded) = (None, None);
        loop {
            tokio::select! {
                said = connection.said() => match said {
                    Ok(message) => {
                        if let Some(over) = self.on_owner(message) {
                            return over;
                        }
                    }
                    Err(fault) => {
                        self.uplinks.metrics.link_failures(LinkKind::Uplink).inc();
                        return Over::Broken(fault);
                    }
                },
                Ok(()) = cluster.changed() => {
                    let has_left = self.has_left(&connection.link_addr);
                    left = has_left.then(|| left.unwrap_or_else(|| Instant::now() + PARTING));
                }
                () = told(&mut known, |known| known.moved.is_some()), if succeeded.is_none() => {
                    succeeded = Some(Instant::now() + PARTING);
                }
                () = reached(left) => return Over::Moved,
                () = reached(succeeded) => return Over::Moved,
            }
        }
    }

    fn on_owner(&self, message: Down) -> Option<Over> {
        match message {
            // It came with the connection.
            Down::Welcome(_) => {}
            Down::Attached(attached) => self.lane.attached(Way::Owner, &attached),
            Down::Refused(refused) => self.lane.refused(refused),
            Down::Monitor(monitor) => self.lane.monitor(monitor),
            Down::Event(event) => self.lane.event(event),
            Down::Mirror(mirror) => self.mirror_named(mirror.node),
            Down::Moved(moved) => {
                self.owner_named(&moved.node, Epoch(moved.epoch));
                return Some(Over::Moved);
            }
            Down::Ended(_) => {
                let detail = format!("{} has ended", self.room);
                return Some(Over::Broken(Fault::new(Code::RoomEnded, detail)));
            }
        }
        None
    }

    /// Whether the room's owner is not at this address any more, as far as this node can see.
    fn has_left(&self, link_addr: &str) -> bool {
        let topology = &self.uplinks.topology;
        match topology.owner(&self.room) {
            Some(owner) => owner.link_addr != link_addr,
            None => !topology.peers().iter().any(|peer| peer.link_addr == link_addr),
        }
    }
}

/// Done when what is known is so; never if nobody tells any more.
async fn told(known: &mut watch::Receiver<Known>, is_so: impl FnMut(&Known) -> bool) {
    if known.wait_for(is_so).await.is_err() {
        std::future::pending().await
    }
}

/// Waits until then; for ever if there is no such moment.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
