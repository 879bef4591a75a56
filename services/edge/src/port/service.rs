//! What every connection of the public port is served with.

use std::{io, sync::Arc};

use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::rewound::Rewound;
use crate::{count::Count, http::Http, rooms::Rooms};

/// What connections are served with. Clones share everything.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) http: Arc<Http>,
    pub(crate) rooms: Rooms,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Takes connections that speak HTTP/2.
    pub(crate) grpc: mpsc::Sender<io::Result<Rewound>>,
    /// All connections, listeners handed to shards counted in.
    pub(crate) connections: Count,
    pub(crate) max_connections: usize,
    /// Ends every connection that is not a shard's.
    pub(crate) stop: CancellationToken,
}
