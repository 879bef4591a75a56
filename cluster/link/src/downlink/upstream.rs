//! One stream from one parent, as the subscriber polls it: connecting is its first step, and its end is told.

use std::pin::Pin;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use stentor_ids::Fault;
use stentor_proto::{
    fault_of,
    v1::{self, downlink_service_client::DownlinkServiceClient, subscribe_response::Message},
};
use stentor_telemetry::propagation;
use tokio::sync::mpsc;
use tokio_stream::{StreamNotifyClose, wrappers::ReceiverStream};
use tonic::{Request, transport::Channel};
use tracing::{Instrument, Span};

use super::wire::{self, Hello};
use crate::MAX_MESSAGE;

/// Messages to a parent that may wait: the hello and a few counts. A count that does not fit is let go; the next one,
/// a second later, says more.
const WAITING: usize = 4;

/// What comes from a parent. A message is moved once, from the stream to its handling; a box would cost more.
#[allow(clippy::large_enum_variant)]
pub(super) enum Told {
    /// The parent took the subscription.
    Opened,
    /// It said something.
    Message(Message),
}

/// A parent's stream; its last item is `None`.
pub(super) type Upstream = StreamNotifyClose<Pin<Box<dyn Stream<Item = Result<Told, Fault>> + Send>>>;

/// Sends counts to a parent.
pub(super) struct Reports(mpsc::Sender<v1::SubscribeRequest>);

impl Reports {
    pub(super) fn send(&self, report: v1::CountReport) {
        // Full or closed: see `WAITING`.
        let _ = self.0.try_send(wire::report(report));
    }
}

/// Subscribes over `channel`, as part of the trace of `cause`.
pub(super) fn subscribe(channel: Channel, hello: Hello, cause: Span) -> (Reports, Upstream) {
    let (sender, receiver) = mpsc::channel(WAITING);
    // The channel is empty and its receiver is here, so the hello fits.
    let _ = sender.try_send(hello.into());
    let stream: Pin<Box<dyn Stream<Item = _> + Send>> =
        Box::pin(stream::once(open(channel, receiver).instrument(cause)).try_flatten());
    (Reports(sender), StreamNotifyClose::new(stream))
}

async fn open(
    channel: Channel,
    requests: mpsc::Receiver<v1::SubscribeRequest>,
) -> Result<impl Stream<Item = Result<Told, Fault>>, Fault> {
    let mut client = DownlinkServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let mut request = Request::new(ReceiverStream::new(requests));
    propagation::inject(request.metadata_mut());
    let inbound = client.subscribe(request).await.map_err(|status| fault_of(&status))?.into_inner();
    let messages = inbound.map_err(|status| fault_of(&status)).try_filter_map(async |response| {
        // A message of a newer build has no variant here.
        Ok(response.message.map(Told::Message))
    });
    Ok(stream::once(async { Ok(Told::Opened) }).chain(messages))
}
