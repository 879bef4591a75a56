//! The side of a parent: a child subscribes, gets what the ring still holds of what it lacks, then what comes.
//!
//! The stream that a child reads is the cursor itself: no task and no queue stands between a room's feed and its child,
//! so a child that does not read lags in the feed, and skips.

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{Stream, StreamExt, future, stream};
use prost::Message as _;
use stentor_ids::{Code, Fault, NodeId};
use stentor_proto::{
    status_of,
    v1::{self, downlink_service_server, subscribe_request::Message as Up, subscribe_response::Message},
};
use stentor_telemetry::{Counter, Frames, LinkKind, NodeMetrics, Tier, propagation};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, Span, field, info_span};

use super::{
    Carrier, Carry,
    wire::{Hello, believe, message_of},
};
use crate::{
    Closed, Counted, Cursor, Feed, Item,
    feed::{Child, Taken},
};

/// How long a child may take to say hello: it is the first thing it sends.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// When to try again where the answer may be another one soon.
const RETRY_AFTER: Duration = Duration::from_millis(500);

type Down = Pin<Box<dyn Stream<Item = Result<v1::SubscribeResponse, Status>> + Send>>;

/// Answers children.
pub(crate) struct Server {
    pub(crate) me: NodeId,
    pub(crate) own: Option<Arc<dyn Carry>>,
    pub(crate) carrier: Option<Carrier>,
    pub(crate) metrics: NodeMetrics,
    pub(crate) stop: CancellationToken,
}

#[async_trait]
impl downlink_service_server::DownlinkService for Server {
    type SubscribeStream = Down;

    async fn subscribe(
        &self,
        request: Request<Streaming<v1::SubscribeRequest>>,
    ) -> Result<Response<Down>, Status> {
        let span = info_span!("subscribe", room = field::Empty, child = field::Empty);
        propagation::adopt(&span, request.metadata());
        let opened = self.open(request.into_inner()).instrument(span).await;
        opened.map(Response::new).map_err(|fault| status_of(&fault))
    }
}

impl Server {
    async fn open(&self, mut inbound: Streaming<v1::SubscribeRequest>) -> Result<Down, Fault> {
        let hello = hello(&mut inbound).await?;
        Span::current().record("room", hello.room.as_str()).record("child", hello.node.as_str());
        let (feed, tier, leaving) = self.feed(&hello).await?;
        let hello = if feed.is_other(hello.incarnation) { hello.anew() } else { hello };
        believe(&hello, &feed).inspect_err(|_| {
            self.metrics.reports_refused().inc();
        })?;
        let child = feed.child(hello.node.clone(), hello.seen).ok_or_else(|| {
            let detail = format!("{} serves {} to as many children as it may", self.me, hello.room);
            Fault::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
        })?;
        let child = Arc::new(child);
        let counts = read_counts(inbound, child.clone(), hello.node.clone(), self.metrics.clone());
        let mut cursor = feed.subscribe(hello.from);
        if hello.serial > 0 {
            cursor = cursor.with_events_after(hello.serial);
        }
        let downstream = Downstream {
            cursor,
            leaving,
            out: self.metrics.frames(tier, Frames::Out).clone(),
            bytes: self.metrics.downlink_bytes(tier).clone(),
            skipped: self.metrics.frames(tier, Frames::Skipped).clone(),
            _reader: AbortOnDropHandle::new(tokio::spawn(counts)),
            _child: child,
            _counted: Counted::new(self.metrics.links(LinkKind::Child)),
        };
        Ok(self.until_stopped(stream::unfold(downstream, Downstream::next)))
    }

    /// The feed that a child is given: relays are served rooms that this node owns; edges also those that it carries.
    /// A carrier may leave the tree.
    async fn feed(&self, hello: &Hello) -> Result<(Feed, Tier, Leaving), Fault> {
        let not_ours = || {
            let detail = format!("{} does not own {}; ask its owner", self.me, hello.room);
            Err(Fault::new(Code::NotOwner, detail).retry_after(RETRY_AFTER))
        };
        let owned = match &self.own {
            Some(own) => own.feed(&hello.room).await,
            None => not_ours(),
        };
        match (owned, &self.carrier) {
            (Ok(feed), _) => Ok((feed, Tier::Origin, None)),
            (Err(_), Some(carrier)) if hello.edge => {
                let feed = carrier.feed(&hello.room).await?;
                Ok((feed, Tier::Relay, Some(carrier.leaving())))
            }
            (Err(fault), _) => Err(fault),
        }
    }

    /// Ends the stream with `Draining` when the server stops, so that the child takes another parent at once.
    fn until_stopped(
        &self,
        messages: impl Stream<Item = Result<v1::SubscribeResponse, Status>> + Send + 'static,
    ) -> Down {
        let stop = self.stop.clone();
        let fault = Fault::new(Code::Draining, format!("{} is leaving; take another parent", self.me));
        let last = stream::once(async move { stop.is_cancelled().then(|| Err(status_of(&fault))) });
        let messages = messages.take_until(self.stop.clone().cancelled_owned());
        Box::pin(messages.chain(last.filter_map(future::ready)))
    }
}

/// Whether what a child is given may be had elsewhere better; `None` if it need not be asked, or was told.
type Leaving = Option<watch::Receiver<bool>>;

/// What one child is given.
struct Downstream {
    cursor: Cursor,
    leaving: Leaving,
    out: Counter,
    bytes: Counter,
    skipped: Counter,
    _reader: AbortOnDropHandle<()>,
    /// It is there for as long as it is given anything.
    _child: Arc<Child>,
    _counted: Counted,
}

impl Downstream {
    async fn next(mut self) -> Option<(Result<v1::SubscribeResponse, Status>, Self)> {
        let item = tokio::select! {
            item = self.cursor.next() => item,
            () = leaves(&mut self.leaving) => {
                self.leaving = None;
                let message = Some(Message::Move(v1::Move::default()));
                return Some((Ok(v1::SubscribeResponse { message }), self));
            }
        };
        match &item {
            Item::Frame(_) => {
                self.out.inc();
            }
            Item::Gap { count, .. } => {
                self.skipped.inc_by(*count);
            }
            _ => {}
        }
        match message_of(item) {
            Ok(message) => {
                self.bytes.inc_by(message.encoded_len() as u64);
                Some((Ok(message), self))
            }
            Err(Closed::Ended) => None,
            Err(Closed::Moved) => {
                let fault = Fault::new(Code::NotOwner, "the room has left this node; ask its owner");
                Some((Err(status_of(&fault.retry_after(RETRY_AFTER))), self))
            }
            Err(Closed::Fault(fault)) => Some((Err(status_of(&fault)), self)),
        }
    }
}

/// Done when this node leaves the tree; never if it does not.
async fn leaves(leaving: &mut Leaving) {
    if let Some(leaving) = leaving
        && leaving.wait_for(|leaves| *leaves).await.is_ok()
    {
        return;
    }
    future::pending().await
}

async fn hello(inbound: &mut Streaming<v1::SubscribeRequest>) -> Result<Hello, Fault> {
    match tokio::time::timeout(HELLO_WITHIN, inbound.message()).await {
        Ok(Ok(Some(first))) => Hello::try_from(first),
        Ok(Ok(None)) => Err(Fault::new(Code::InvalidArgument, "the subscription ended before its hello")),
        Ok(Err(status)) => Err(stentor_proto::fault_of(&status)),
        Err(_) => Err(Fault::new(
            Code::InvalidArgument,
            format!("no hello came within {} s of subscribing", HELLO_WITHIN.as_secs()),
        )),
    }
}

/// Takes the child's counts for as long as it sends any.
async fn read_counts(
    mut inbound: Streaming<v1::SubscribeRequest>,
    child: Arc<Child>,
    node: NodeId,
    metrics: NodeMetrics,
) {
    let mut doubted = false;
    while let Ok(Some(request)) = inbound.message().await {
        let Some(Up::Count(report)) = request.message else { continue };
        match child.report(&report) {
            Taken::Yes => {}
            Taken::Twice => {
                tracing::warn!(%node, "two nodes of this name take a room from here; give each a name of its own");
            }
            Taken::CannotBe => {
                metrics.reports_refused().inc();
                if !std::mem::replace(&mut doubted, true) {
                    tracing::warn!(%node, ?report, "a child's count cannot be true, and is not in the sum");
                }
            }
        }
    }
}
