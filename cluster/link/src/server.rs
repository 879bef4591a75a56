//! The port that other nodes connect to.

use std::{net::SocketAddr, sync::Arc};

use stentor_telemetry::NodeMetrics;
use tokio_util::sync::CancellationToken;

use crate::{Carrier, Carry, Security, control::Handler, uplink::Ingest};

/// What a node serves to others; what it does not do is `None`, and answered as such.
#[derive(Default, Clone)]
pub struct Services {
    /// Rooms that this node owns.
    pub own: Option<Arc<dyn Carry>>,
    /// Rooms that it carries for edges.
    pub carrier: Option<Carrier>,
    /// Speakers for rooms that it owns.
    pub ingest: Option<Arc<dyn Ingest>>,
    /// Control calls.
    pub control: Option<Arc<dyn Handler>>,
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
    /// The certificate, key or authority is not usable, or serving failed.
    #[error("links cannot be served: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A bound link port.
pub struct LinkServer(#[allow(dead_code)] ());

impl LinkServer {
    /// Binds the link port; port 0 takes a free one.
    ///
    /// # Errors
    /// The port cannot be bound, or the security's certificates are not usable.
    pub fn bind(_listen: SocketAddr, _security: &Security) -> Result<Self, Error> {
        todo!()
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Serves until `shutdown`; then streams end, and children take other parents.
    ///
    /// # Errors
    /// Serving failed.
    pub async fn run(
        self,
        _services: Services,
        _metrics: NodeMetrics,
        _shutdown: CancellationToken,
    ) -> Result<(), Error> {
        todo!()
    }
}
