//! Follows the other origin of a room: one stream, made anew by itself when it breaks or falls silent. What it brings is
//! for the room to judge.
//!
//! Nothing is queued here: what is not asked for waits in the stream, within gRPC's window.

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use stentor_ids::{Code, Epoch, Fault, NodeId, RoomId};
use stentor_pace::Backoff;
use stentor_proto::{
    fault_of,
    v1::{self, follow_response::Message, mirror_service_client::MirrorServiceClient},
};
use stentor_telemetry::propagation;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Request, transport::Channel};

use crate::{MAX_MESSAGE, Mirror, Pool};

/// How long a stream may bring nothing: an origin tells how it stands twice a second, so three of those are missing by
/// then. It is the time to open one as well.
const SILENT: Duration = Duration::from_millis(1500);
/// A silence noticed this much too late was a pause of our own, and says nothing of the other side.
const OWN_PAUSE: Duration = Duration::from_millis(200);
/// First ceiling of the wait before a stream is opened again, and the highest: the other origin comes back within a
/// second, or is replaced. A stream that lasted for the highest has been a good one.
const RETRY_BASE: Duration = Duration::from_millis(50);
const RETRY_CAP: Duration = Duration::from_secs(1);

/// What following the other origin brings. A message is moved once, from the stream to its handling; a box would cost
/// more.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Followed {
    /// The other origin took us on. What it says from here on has no link to what an earlier stream said.
    Opened,
    /// It said something.
    Told(Message),
    /// The stream broke, brought nothing for 1.5 s, or could not be opened. It is tried again, without end.
    Lost(Fault),
}

/// Follows the other origin of one room.
pub struct Follower {
    me: NodeId,
    pool: Pool,
    room: RoomId,
    peer: Option<Mirror>,
    epoch: Epoch,
    backoff: Backoff,
    state: State,
}

type Told = Pin<Box<dyn Stream<Item = Result<Followed, Fault>> + Send>>;

enum State {
    /// There is nobody to follow, or it is too early to try again.
    Resting {
        until: Option<Instant>,
    },
    Following {
        told: Told,
        since: Instant,
        heard: Instant,
    },
}

impl Follower {
    /// Follows nobody yet, for the origin `me`.
    #[must_use]
    pub fn new(me: NodeId, pool: Pool, room: RoomId) -> Self {
        let backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
        let state = State::Resting { until: None };
        Self { me, pool, room, peer: None, epoch: Epoch(0), backoff, state }
    }

    /// Says whom to follow from now on, and the highest epoch known: an owner under a lower one is none. Following the same
    /// node goes on undisturbed; the epoch counts from the next stream on.
    pub fn follow(&mut self, peer: Option<Mirror>, epoch: Epoch) {
        self.epoch = epoch;
        if self.peer == peer {
            return;
        }
        self.state = State::Resting { until: peer.is_some().then(Instant::now) };
        self.peer = peer;
        self.backoff.reset();
    }

    /// What comes next. It may be dropped and called again without losing anything; while there is nobody to follow it is
    /// pending for ever.
    pub async fn next(&mut self) -> Followed {
        loop {
            match &mut self.state {
                State::Resting { until: None } => std::future::pending::<()>().await,
                State::Resting { until: Some(until) } => {
                    sleep_until(*until).await;
                    if let Err(fault) = self.open() {
                        return self.lose(fault);
                    }
                }
                State::Following { told, heard, .. } => {
                    let deadline = *heard + SILENT;
                    let next = timeout_at(deadline, told.next()).await;
                    *heard = Instant::now();
                    match next {
                        Ok(Some(Ok(followed))) => return followed,
                        Ok(Some(Err(fault))) => return self.lose(fault),
                        Ok(None) => return self.lose(self.gone("ended its stream")),
                        Err(_) if deadline.elapsed() > OWN_PAUSE => {}
                        Err(_) => {
                            if let Some(peer) = &self.peer {
                                self.pool.distrust(&peer.link_addr);
                            }
                            return self.lose(self.gone("said nothing for 1.5 s"));
                        }
                    }
                }
            }
        }
    }

    fn open(&mut self) -> Result<(), Fault> {
        let Some(peer) = &self.peer else { return Err(self.gone("is none")) };
        let channel = self.pool.channel(&peer.link_addr)?;
        let request =
            v1::FollowRequest { room: self.room.to_string(), node: self.me.to_string(), epoch: self.epoch.0 };
        let told = Box::pin(stream::once(open(channel, request)).try_flatten());
        let now = Instant::now();
        self.state = State::Following { told, since: now, heard: now };
        Ok(())
    }

    fn lose(&mut self, fault: Fault) -> Followed {
        if matches!(&self.state, State::Following { since, .. } if since.elapsed() > RETRY_CAP + SILENT) {
            self.backoff.reset();
        }
        let until = Instant::now() + self.backoff.next(rand::random());
        self.state = State::Resting { until: Some(until) };
        Followed::Lost(fault)
    }

    fn gone(&self, what: &str) -> Fault {
        let peer = self.peer.as_ref().map_or_else(|| "nobody".to_owned(), |peer| peer.node.to_string());
        Fault::new(Code::NodeUnavailable, format!("{peer}, the other origin of {}, {what}", self.room))
    }
}

async fn open(
    channel: Channel,
    request: v1::FollowRequest,
) -> Result<impl Stream<Item = Result<Followed, Fault>>, Fault> {
    let mut client = MirrorServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let mut request = Request::new(request);
    propagation::inject(request.metadata_mut());
    let inbound = client.follow(request).await.map_err(|status| fault_of(&status))?.into_inner();
    let told = inbound.map_err(|status| fault_of(&status)).try_filter_map(async |response| {
        // A message of a newer build has no variant here.
        Ok(response.message.map(Followed::Told))
    });
    Ok(stream::once(async { Ok(Followed::Opened) }).chain(told))
}
