//! Calls between nodes that are not audio, each with a deadline. Nothing is retried here: whoever calls knows whether
//! the call may be repeated.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{Stream, StreamExt, future};
use stentor_ids::{Code, Fault, NodeId, RoomId};
use stentor_proto::{
    fault_of, status_of,
    v1::{self, control_service_client::ControlServiceClient, control_service_server},
};
use stentor_telemetry::propagation;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, transport::Channel};
use tracing::{Instrument, info_span};

use crate::{Journal, MAX_MESSAGE, Pool, bad_name};

/// How long [`Client::locate`] and [`Client::probe`] may take: they are answered from memory.
pub const LOCATE_WITHIN: Duration = Duration::from_secs(1);
/// How long the other calls may take: they may commit to the directory.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a transfer may take: the new owner starts and a few more slots are mixed by the old one.
pub const HAND_OFF_WITHIN: Duration = Duration::from_secs(5);

/// Raised and lowered hands in one call: with the longest names they are 170 kB, which a message has room for.
pub const MAX_HANDS: usize = 500;

/// What a node answers other nodes.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Who carries a room, as this node sees it.
    async fn locate(&self, room: RoomId) -> Result<v1::LocateResponse, Fault>;
    /// A command for a room that this node should own.
    async fn command(&self, room: RoomId, command: v1::CommandRequest) -> Result<v1::CommandReply, Fault>;
    /// Raised and lowered hands for a room that this node should own.
    async fn hands(&self, room: RoomId, _request: v1::HandsRequest) -> Result<v1::HandsReply, Fault> {
        Err(Fault::new(Code::NotOwner, format!("this node runs no rooms, and so not {room}")))
    }
    /// Own a room from a named slot on, as its owner asks: the heir's side of a transfer.
    async fn take_over(
        &self,
        room: RoomId,
        request: v1::TakeOverRequest,
    ) -> Result<v1::TakeOverResponse, Fault>;
    /// Is this node alive, and what does it own of the room, if one is named?
    async fn probe(&self, room: Option<RoomId>) -> Result<v1::ProbeResponse, Fault>;
    /// Start or stop draining.
    async fn drain(&self, draining: bool) -> Result<v1::DrainResponse, Fault>;
    /// Transfer a room that this node owns to another: the named one, or the best by placement.
    async fn hand_off(&self, room: RoomId, to: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault>;
    /// Mirror a room in place of whoever does.
    async fn mirror(&self, room: RoomId, _request: v1::MirrorRequest) -> Result<v1::MirrorResponse, Fault> {
        Err(Fault::new(Code::UnknownNode, format!("this node runs no rooms, and so it cannot mirror {room}")))
    }
    /// How long ago this node got a slot of the room from that node itself; `None` if it takes none from there.
    async fn heard(&self, _room: &RoomId, _from: &NodeId) -> Option<Duration> {
        None
    }
}

/// Calls other nodes. Clones share the connections.
#[derive(Clone)]
pub struct Client {
    pool: Pool,
}

impl Client {
    /// A client over the pool's connections.
    #[must_use]
    pub const fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Asks a node who carries a room.
    ///
    /// # Errors
    /// The node's refusal; `NodeUnavailable` if it does not answer within [`LOCATE_WITHIN`].
    pub async fn locate(&self, link_addr: &str, room: &RoomId) -> Result<v1::LocateResponse, Fault> {
        let request = v1::LocateRequest { room: room.to_string() };
        self.call(link_addr, request, LOCATE_WITHIN, async |mut client, request| client.locate(request).await)
            .await
    }

    /// Hands a command to the owner of a room.
    ///
    /// # Errors
    /// The owner's refusal; `NodeUnavailable` if it does not answer within [`ANSWER_WITHIN`], and then the command may
    /// or may not have been carried out.
    pub async fn command(
        &self,
        link_addr: &str,
        command: v1::CommandRequest,
    ) -> Result<v1::CommandReply, Fault> {
        self.call(link_addr, command, ANSWER_WITHIN, async |mut client, request| {
            client.command(request).await
        })
        .await
    }

    /// Hands raised and lowered hands, at most [`MAX_HANDS`], to the owner of a room. A repetition does no harm.
    ///
    /// # Errors
    /// As [`command`](Self::command); what was refused of single hands is in the answer.
    pub async fn hands(&self, link_addr: &str, request: v1::HandsRequest) -> Result<v1::HandsReply, Fault> {
        self.call(link_addr, request, ANSWER_WITHIN, async |mut client, request| client.hands(request).await)
            .await
    }

    /// Asks a node to take a room over.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub async fn take_over(
        &self,
        link_addr: &str,
        request: v1::TakeOverRequest,
    ) -> Result<v1::TakeOverResponse, Fault> {
        self.call(link_addr, request, ANSWER_WITHIN, async |mut client, request| {
            client.take_over(request).await
        })
        .await
    }

    /// Asks a node whether it is alive, and what it owns of a room.
    ///
    /// # Errors
    /// As [`locate`](Self::locate).
    pub async fn probe(&self, link_addr: &str, room: Option<&RoomId>) -> Result<v1::ProbeResponse, Fault> {
        self.heard(link_addr, room, None).await
    }

    /// The same, and how long ago the asked node got a slot of the room from `heard`.
    ///
    /// # Errors
    /// As [`locate`](Self::locate).
    pub async fn heard(
        &self,
        link_addr: &str,
        room: Option<&RoomId>,
        heard: Option<&NodeId>,
    ) -> Result<v1::ProbeResponse, Fault> {
        let heard = heard.map(ToString::to_string).unwrap_or_default();
        let room = room.map(ToString::to_string).unwrap_or_default();
        let request = v1::ProbeRequest { room, heard };
        self.call(link_addr, request, LOCATE_WITHIN, async |mut client, request| client.probe(request).await)
            .await
    }

    /// Tells a node to start or stop draining. It answers at once with what is still there.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub async fn drain(&self, link_addr: &str, draining: bool) -> Result<v1::DrainResponse, Fault> {
        let request = v1::DrainRequest { draining };
        self.call(link_addr, request, ANSWER_WITHIN, async |mut client, request| client.drain(request).await)
            .await
    }

    /// Asks the owner of a room to hand it to another node, or to the best by placement.
    ///
    /// # Errors
    /// As [`command`](Self::command), within [`HAND_OFF_WITHIN`].
    pub async fn hand_off(
        &self,
        link_addr: &str,
        room: &RoomId,
        to: Option<&NodeId>,
    ) -> Result<v1::TakeOverResponse, Fault> {
        let to = to.map(ToString::to_string).unwrap_or_default();
        let request = v1::HandOffRequest { room: room.to_string(), to };
        self.call(link_addr, request, HAND_OFF_WITHIN, async |mut client, request| {
            client.hand_off(request).await
        })
        .await
    }

    /// Asks a node to mirror a room.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub async fn mirror(
        &self,
        link_addr: &str,
        request: v1::MirrorRequest,
    ) -> Result<v1::MirrorResponse, Fault> {
        self.call(link_addr, request, ANSWER_WITHIN, async |mut client, request| client.mirror(request).await)
            .await
    }

    /// What happens at a node from now on, until the stream breaks. A room's name narrows it down.
    ///
    /// # Errors
    /// As [`locate`](Self::locate).
    pub async fn watch(
        &self,
        link_addr: &str,
        room: Option<&RoomId>,
    ) -> Result<Streaming<v1::Happening>, Fault> {
        let request = v1::WatchRequest { room: room.map(ToString::to_string).unwrap_or_default() };
        self.call(link_addr, request, LOCATE_WITHIN, async |mut client, request| client.watch(request).await)
            .await
    }

    async fn call<Q, A>(
        &self,
        link_addr: &str,
        request: Q,
        within: Duration,
        call: impl AsyncFnOnce(ControlServiceClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Fault> {
        let client = ControlServiceClient::new(self.pool.channel(link_addr)?);
        let mut request = Request::new(request);
        propagation::inject(request.metadata_mut());
        match tokio::time::timeout(within, call(client.max_decoding_message_size(MAX_MESSAGE), request)).await
        {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(fault_of(&status)),
            Err(_) => Err(Fault::new(
                Code::NodeUnavailable,
                format!("the node at {link_addr} did not answer within {} ms", within.as_millis()),
            )
            .retry_after(Duration::from_secs(1))),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "control::Client({:?})", self.pool)
    }
}

type Happenings = Pin<Box<dyn Stream<Item = Result<v1::Happening, Status>> + Send>>;

/// Answers other nodes' calls by a [`Handler`]: parses at the door, and carries the caller's trace on.
pub(crate) struct Server {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) journal: Option<Journal>,
    pub(crate) stop: CancellationToken,
}

fn room(name: &str) -> Result<RoomId, Fault> {
    RoomId::new(name).map_err(bad_name)
}

/// Runs an answer within a span that continues the caller's trace.
async fn answer<Q, A>(
    call: &'static str,
    request: Request<Q>,
    answer: impl AsyncFnOnce(Q) -> Result<A, Fault>,
) -> Result<Response<A>, Status> {
    let span = info_span!("control", call);
    propagation::adopt(&span, request.metadata());
    let answer = answer(request.into_inner()).instrument(span).await;
    answer.map(Response::new).map_err(|fault| status_of(&fault))
}

#[async_trait]
impl control_service_server::ControlService for Server {
    async fn locate(
        &self,
        request: Request<v1::LocateRequest>,
    ) -> Result<Response<v1::LocateResponse>, Status> {
        answer("locate", request, async |asked| self.handler.locate(room(&asked.room)?).await).await
    }

    async fn command(
        &self,
        request: Request<v1::CommandRequest>,
    ) -> Result<Response<v1::CommandReply>, Status> {
        answer("command", request, async |asked| self.handler.command(room(&asked.room)?, asked).await).await
    }

    async fn hands(&self, request: Request<v1::HandsRequest>) -> Result<Response<v1::HandsReply>, Status> {
        answer("hands", request, async |asked| {
            let count = asked.changes.len();
            if count > MAX_HANDS {
                let detail = format!("{count} hands in one call; at most {MAX_HANDS} are taken");
                return Err(Fault::new(Code::InvalidArgument, detail));
            }
            self.handler.hands(room(&asked.room)?, asked).await
        })
        .await
    }

    async fn take_over(
        &self,
        request: Request<v1::TakeOverRequest>,
    ) -> Result<Response<v1::TakeOverResponse>, Status> {
        answer("take_over", request, async |asked| self.handler.take_over(room(&asked.room)?, asked).await)
            .await
    }

    async fn probe(&self, request: Request<v1::ProbeRequest>) -> Result<Response<v1::ProbeResponse>, Status> {
        answer("probe", request, async |asked| {
            let heard = Some(asked.heard).filter(|name| !name.is_empty());
            let heard = heard.map(NodeId::new).transpose().map_err(bad_name)?;
            let asked = Some(asked.room).filter(|name| !name.is_empty());
            let asked = asked.as_deref().map(room).transpose()?;
            let mut answer = self.handler.probe(asked.clone()).await?;
            answer.now_us = stentor_clock::wall().as_micros();
            if let (Some(room), Some(from)) = (asked, heard) {
                let ago = self.handler.heard(&room, &from).await;
                answer.heard_ms_ago = ago.map(|ago| u32::try_from(ago.as_millis()).unwrap_or(u32::MAX));
            }
            Ok(answer)
        })
        .await
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        answer("drain", request, async |asked| self.handler.drain(asked.draining).await).await
    }

    async fn hand_off(
        &self,
        request: Request<v1::HandOffRequest>,
    ) -> Result<Response<v1::TakeOverResponse>, Status> {
        answer("hand_off", request, async |asked| {
            let to = Some(asked.to).filter(|name| !name.is_empty());
            let to = to.map(NodeId::new).transpose().map_err(bad_name)?;
            self.handler.hand_off(room(&asked.room)?, to).await
        })
        .await
    }

    async fn mirror(
        &self,
        request: Request<v1::MirrorRequest>,
    ) -> Result<Response<v1::MirrorResponse>, Status> {
        answer("mirror", request, async |asked| self.handler.mirror(room(&asked.room)?, asked).await).await
    }

    type WatchStream = Happenings;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Happenings>, Status> {
        answer("watch", request, async |asked| {
            let only = Some(asked.room).filter(|name| !name.is_empty());
            let wanted = move |told: &v1::Happening| {
                // What is missed may have been of the room.
                let missed = matches!(told.what, Some(v1::happening::What::Missed(_)));
                missed || only.as_ref().is_none_or(|room| told.room == *room)
            };
            let none = || Fault::new(Code::WrongState, "this node keeps no journal");
            let journal = self.journal.as_ref().ok_or_else(none)?;
            let told = journal.watch().filter(move |told| future::ready(wanted(told)));
            let told = told.take_until(self.stop.clone().cancelled_owned());
            Ok(Box::pin(told.map(Ok)) as Happenings)
        })
        .await
    }
}
