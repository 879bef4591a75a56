//! The gRPC services of an edge, served on the connections that the public port hands over.
//!
//! Bounds are those of HTTP/2 and of each service; a connection that says nothing is asked for a sign of life and closed
//! without one.

mod gate;
mod hands;
mod intake;
mod listen;
mod owners;
mod participant;
mod speak;

use std::{io, sync::Arc, time::Duration};

use stentor_link::{Locator, control, uplink::Uplinks};
use stentor_proto::v1::{
    self,
    listen_service_server::{self, ListenServiceServer},
    participant_service_server::{self, ParticipantServiceServer},
    speak_service_server::{self, SpeakServiceServer},
};
use stentor_telemetry::NodeMetrics;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{service::Routes, transport::Server};

use crate::{auth::Auth, farewell::Farewell, port::Rewound, rooms::Rooms};

/// Longest message taken: a packet of 1500 bytes, names and reasons, many times over.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// Calls under way on one connection. A client needs a few; a proxy in front of many opens more connections.
const MAX_STREAMS: u32 = 128;
/// Bytes of header fields of one call: two tickets.
const MAX_HEADER_BYTES: u32 = 8 * 1024;
/// Bytes a client may send ahead on one connection: 8 s of speech at the highest rate.
const WINDOW_BYTES: u32 = 64 * 1024;
/// How often a connection is asked for a sign of life, and how long it may take.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WITHIN: Duration = Duration::from_secs(10);

/// What the services are made of.
pub(crate) struct Parts {
    pub(crate) auth: Arc<Auth>,
    pub(crate) rooms: Rooms,
    pub(crate) locator: Locator,
    pub(crate) uplinks: Uplinks,
    pub(crate) owners: control::Client,
    pub(crate) metrics: NodeMetrics,
    pub(crate) farewell: Farewell,
}

/// Serves the connections that come in, until there are no more to come and those that came have ended.
pub(crate) async fn serve(
    parts: Parts,
    incoming: mpsc::Receiver<io::Result<Rewound>>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_WITHIN))
        .add_routes(routes(parts).await)
        .serve_with_incoming(ReceiverStream::new(incoming))
        .await
}

async fn routes(parts: Parts) -> Routes {
    let Parts { auth, rooms, locator, uplinks, owners, metrics, farewell } = parts;
    let listen = listen::Listen::new(rooms.clone(), metrics.clone(), farewell.clone());
    let speak = speak::Speak::new(auth.clone(), rooms, uplinks, metrics.clone(), farewell);
    let participants = participant::Participants::new(auth, locator, owners, metrics);
    let listen = ListenServiceServer::new(listen).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let speak = SpeakServiceServer::new(speak).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let participants =
        ParticipantServiceServer::new(participants).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<ListenServiceServer<listen::Listen>>().await;
    reporter.set_serving::<SpeakServiceServer<speak::Speak>>().await;
    let routes = Routes::new(listen).add_service(speak).add_service(participants).add_service(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(listen_service_server::SERVICE_NAME)
        .with_service_name(speak_service_server::SERVICE_NAME)
        .with_service_name(participant_service_server::SERVICE_NAME)
        .with_service_name(tonic_health::pb::health_server::SERVICE_NAME)
        .with_service_name(tonic_reflection::pb::v1::server_reflection_server::SERVICE_NAME)
        .build_v1();
    match reflection {
        Ok(reflection) => routes.add_service(reflection),
        Err(error) => {
            tracing::error!(%error, "this build's descriptors are damaged; there is no reflection");
            routes
        }
    }
}
