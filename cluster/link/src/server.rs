//! The port that other nodes connect to: HTTP/2 over TCP, under mutual TLS where the security says so.
//!
//! Garbage on the port costs the connection that brought it and nothing else; a message above [`MAX_MESSAGE`] costs its
//! stream.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::FutureExt;
use stentor_ids::NodeId;
use stentor_proto::v1::{
    control_service_server::ControlServiceServer, downlink_service_server::DownlinkServiceServer,
    mirror_service_server::MirrorServiceServer, uplink_service_server::UplinkServiceServer,
};
use stentor_telemetry::{NodeMetrics, PortKind};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::{
    Carrier, Carry, Journal, MAX_MESSAGE, Port, Security,
    control::{self, Handler},
    downlink, mirror,
    pool::{PING_EVERY, PING_WITHIN},
    uplink::{self, Ingest},
};

/// Streams that one other node may have open at once: two for each room that both carry. Beyond it HTTP/2 makes the
/// other side wait.
const MAX_STREAMS: u32 = 16 * 1024;
/// Connections at once, unless set: a pool reaches 1,024 nodes, each of which may have one here, one more in the place of
/// one that it no longer trusts, and both again while it restarts. Beyond it a new one is closed.
pub const MAX_CONNECTIONS: usize = 4096;
/// How long a TLS handshake may take: between nodes of one cluster it takes milliseconds, and who does not finish it holds
/// a place.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long streams that were told to end may take to do so when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// What a node serves to others; what it does not do is `None`, and answered as such.
#[derive(Default, Clone)]
pub struct Services {
    /// Rooms that this node owns: their audio, and their mix logs.
    pub own: Option<Arc<dyn Carry>>,
    /// Rooms that it carries for edges.
    pub carrier: Option<Carrier>,
    /// Speakers for rooms that it owns.
    pub ingest: Option<Arc<dyn Ingest>>,
    /// Control calls.
    pub control: Option<Arc<dyn Handler>>,
    /// What happens here, for whoever watches.
    pub journal: Option<Journal>,
}

/// Why links cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken, or not ours to take.
    #[error("links cannot listen at {addr}: {source}; free the port or choose another")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificate, key or authority is not usable.
    #[error("links cannot be secured: {0}; check the CA, the certificate and its key")]
    Security(#[source] tonic::transport::Error),
    /// Serving failed.
    #[error("links cannot be served: {0}")]
    Serve(#[source] tonic::transport::Error),
}

/// A bound link port.
pub struct LinkServer {
    listener: Listener,
    server: Server,
}

enum Listener {
    Port(Port),
    #[cfg(feature = "memory")]
    Memory(crate::memory::Listener),
}

impl LinkServer {
    /// Binds the link port; port 0 takes a free one. Call it within a tokio runtime.
    ///
    /// # Errors
    /// The port cannot be bound, or the security's certificates are not usable.
    pub fn bind(listen: SocketAddr, security: &Security) -> Result<Self, Error> {
        let bind = |source| Error::Bind { addr: listen, source };
        let port = Port::bind(listen, MAX_CONNECTIONS).map_err(bind)?;
        let server = match security.server() {
            Some(tls) => server().tls_config(tls.timeout(HANDSHAKE)).map_err(Error::Security)?,
            None => server(),
        };
        Ok(Self { listener: Listener::Port(port), server })
    }

    /// Takes a free port in memory, for whose pools are there as well.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn in_memory(network: &crate::memory::Network) -> Self {
        Self { listener: Listener::Memory(network.listen()), server: server() }
    }

    /// Takes no more connections at once than these, instead of [`MAX_CONNECTIONS`].
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        let listener = match self.listener {
            Listener::Port(port) => Listener::Port(port.with_max_connections(max_connections)),
            #[cfg(feature = "memory")]
            memory @ Listener::Memory(_) => memory,
        };
        Self { listener, ..self }
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        match &self.listener {
            Listener::Port(port) => port.local_addr(),
            #[cfg(feature = "memory")]
            Listener::Memory(listener) => listener.local_addr(),
        }
    }

    /// Serves as node `me` until `shutdown`; then streams end, and children take other parents.
    ///
    /// # Errors
    /// Serving failed.
    pub async fn run(
        mut self,
        me: NodeId,
        services: Services,
        metrics: NodeMetrics,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let refused = metrics.connections_refused(PortKind::Link).clone();
        let mirror = services.own.clone().map(|own| mirror::Server { own, stop: shutdown.clone() });
        let downlink = downlink::Server {
            me: me.clone(),
            own: services.own,
            carrier: services.carrier,
            metrics: metrics.clone(),
            stop: shutdown.clone(),
        };
        let uplink = services.ingest.map(|ingest| uplink::Server { ingest, metrics, stop: shutdown.clone() });
        let (journal, stop) = (services.journal, shutdown.clone());
        let control = services.control.map(|handler| control::Server { handler, journal, stop });
        let router = self
            .server
            .add_service(DownlinkServiceServer::new(downlink).max_decoding_message_size(MAX_MESSAGE))
            .add_optional_service(
                uplink.map(|it| UplinkServiceServer::new(it).max_decoding_message_size(MAX_MESSAGE)),
            )
            .add_optional_service(
                mirror.map(|it| MirrorServiceServer::new(it).max_decoding_message_size(MAX_MESSAGE)),
            )
            .add_optional_service(
                control.map(|it| ControlServiceServer::new(it).max_decoding_message_size(MAX_MESSAGE)),
            );
        let stop = shutdown.clone().cancelled_owned();
        let served = match self.listener {
            Listener::Port(port) => {
                router.serve_with_incoming_shutdown(port.connections::<()>(refused), stop).boxed()
            }
            #[cfg(feature = "memory")]
            Listener::Memory(listener) => router.serve_with_incoming_shutdown(listener, stop).boxed(),
        };
        tokio::select! {
            served = served => served.map_err(Error::Serve),
            () = stopped(&shutdown) => Ok(()),
        }
    }
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_WITHIN))
        .max_concurrent_streams(MAX_STREAMS)
}

/// Done when streams have had their time to end.
async fn stopped(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(STOP_WITHIN).await;
}
