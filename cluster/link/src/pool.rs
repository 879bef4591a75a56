//! One gRPC connection for each other node, made when first used and again when it broke. Who uses it decides when to
//! try again: the pool itself retries nothing.
//!
//! Invariant: never more than [`MAX_CHANNELS`] connections are kept.

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use stentor_ids::{Code, Fault};
use stentor_pace::Time;
use stentor_telemetry::{Gauge, LinkKind, NodeMetrics};
use tokio::{
    net::{TcpSocket, lookup_host},
    time::timeout,
};
use tonic::transport::{Channel, Endpoint};

use crate::Security;

/// Connections kept. A node links to the nodes of its cluster; beyond it the one that was unused for longest goes, and
/// whoever still has it keeps it.
const MAX_CHANNELS: usize = 1024;
/// A connection unused for this long is let go: its node has most likely left.
const UNUSED: Duration = Duration::from_secs(300);
/// How long connecting may take, TLS included: between nodes of one cluster it takes milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How often HTTP/2 pings, and how long it waits for the answer: a black hole is noticed within 5 s where no missing slot
/// tells sooner, and a node that is paused for a moment is not given up.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(2);
pub(crate) const PING_WITHIN: Duration = Duration::from_secs(3);
/// Bytes of one stream that may be under way: about 3 s of room audio at 32 kbit/s. What a child that stalls finds when it
/// comes back is no older than that, since the parent holds back the rest and then skips.
const STREAM_WINDOW: u32 = 16 * 1024;
/// Bytes of all streams of one connection that may be under way: a thousand rooms do not starve each other.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// The connections to other nodes. Clones share them.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    security: Security,
    from: Option<IpAddr>,
    #[cfg(feature = "memory")]
    network: Option<crate::memory::Network>,
    channels: Mutex<HashMap<String, Entry>>,
    gauge: Gauge,
}

struct Entry {
    channel: Channel,
    made: Time,
    used: Time,
}

impl Pool {
    /// An empty pool. Its connections leave from the address `from`, if one is given, so that firewalls can tell the nodes
    /// of one machine apart.
    ///
    /// # Errors
    /// A certificate or key cannot be read.
    pub fn new(security: Security, from: Option<IpAddr>, metrics: &NodeMetrics) -> Result<Self, Fault> {
        endpoint("localhost:1", &security, from)?;
        Ok(Self(Arc::new(Inner::new(security, from, metrics))))
    }

    /// An empty pool whose connections are in memory.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn in_memory(network: crate::memory::Network, metrics: &NodeMetrics) -> Self {
        let inner = Inner::new(Security::Insecure, None, metrics);
        Self(Arc::new(Inner { network: Some(network), ..inner }))
    }

    /// The connection to the node whose links listen at `link_addr` (`host:port`). It is made in the background; calls on
    /// it wait for that, up to a second.
    ///
    /// # Errors
    /// `InvalidArgument`: the address is no address.
    pub fn channel(&self, link_addr: &str) -> Result<Channel, Fault> {
        let now = stentor_clock::now();
        let mut channels = self.0.channels.lock();
        if let Some(entry) = channels.get_mut(link_addr) {
            entry.used = now;
            return Ok(entry.channel.clone());
        }
        let channel = self.0.connect(&endpoint(link_addr, &self.0.security, self.0.from)?);
        channels.retain(|_, entry| now.since(entry.used) < UNUSED);
        if channels.len() >= MAX_CHANNELS {
            let oldest = channels.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(addr) = oldest.map(|(addr, _)| addr.clone()) {
                channels.remove(&addr);
            }
        }
        channels.insert(link_addr.to_owned(), Entry { channel: channel.clone(), made: now, used: now });
        self.0.gauge.set(i64::try_from(channels.len()).unwrap_or(i64::MAX));
        Ok(channel)
    }

    /// Whether nobody listens at `link_addr` any more: the machine that is there refuses to connect. `false` if it says
    /// nothing within a second.
    pub async fn refuses(&self, link_addr: &str) -> bool {
        #[cfg(feature = "memory")]
        if let Some(network) = &self.0.network {
            return network.refuses(link_addr);
        }
        let connected = timeout(CONNECT_WITHIN, self.0.knock(link_addr)).await;
        matches!(connected, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// The connection to this node brings nothing: whoever asks next is given a new one, and who has the old one keeps it.
    /// A connection younger than a second is trusted still, so that the many streams that hang on one ask for one new.
    pub(crate) fn distrust(&self, link_addr: &str) {
        let now = stentor_clock::now();
        let mut channels = self.0.channels.lock();
        if channels.get(link_addr).is_some_and(|entry| now.since(entry.made) >= CONNECT_WITHIN) {
            channels.remove(link_addr);
        }
    }
}

impl Inner {
    fn new(security: Security, from: Option<IpAddr>, metrics: &NodeMetrics) -> Self {
        let gauge = metrics.links(LinkKind::Channel).clone();
        Self {
            security,
            from,
            #[cfg(feature = "memory")]
            network: None,
            channels: Mutex::default(),
            gauge,
        }
    }

    /// Connects, and leaves again.
    async fn knock(&self, link_addr: &str) -> io::Result<()> {
        let addr = lookup_host(link_addr).await?.next().ok_or(io::ErrorKind::NotFound)?;
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(from) = self.from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        socket.connect(addr).await.map(drop)
    }

    fn connect(&self, endpoint: &Endpoint) -> Channel {
        #[cfg(feature = "memory")]
        if let Some(network) = &self.network {
            return endpoint.connect_with_connector_lazy(network.clone());
        }
        endpoint.connect_lazy()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.0.security)
    }
}

fn endpoint(link_addr: &str, security: &Security, from: Option<IpAddr>) -> Result<Endpoint, Fault> {
    let tls = security.client();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let wrong = |error: tonic::transport::Error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        Fault::new(Code::InvalidArgument, format!("no link can be made to {link_addr:?}: {error} {cause}"))
    };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{link_addr}"))
        .map_err(wrong)?
        .local_address(from)
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    match tls {
        Some(tls) => endpoint.tls_config(tls).map_err(wrong),
        None => Ok(endpoint),
    }
}
