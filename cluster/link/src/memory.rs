//! Links without sockets, for tests on paused time: a runtime that waits for a socket looks idle, and its time would go on to
//! the next timer while the bytes are under way. Here they are where the runtime sees them.
//!
//! What is above a connection is the same as over TCP: HTTP/2, its windows and its pings. There is no TLS, and nothing is
//! ever refused for want of a place.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};
use tonic::transport::Uri;
use tower_service::Service;

/// Bytes of one direction of a connection that may be under way, about what a socket on loopback takes.
const BUFFER: usize = 256 * 1024;
/// Connections that have come and are not taken yet.
const BACKLOG: usize = 128;

/// Where those that are to reach each other are. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Network(Arc<Mutex<Ports>>);

#[derive(Debug, Default)]
struct Ports {
    last: u16,
    listeners: HashMap<SocketAddr, mpsc::Sender<DuplexStream>>,
}

/// A port in memory. Whoever connects once it is dropped is refused.
#[derive(Debug)]
pub(crate) struct Listener {
    addr: SocketAddr,
    incoming: mpsc::Receiver<DuplexStream>,
}

impl Network {
    /// Takes a free port.
    pub(crate) fn listen(&self) -> Listener {
        let mut ports = self.0.lock();
        ports.last += 1;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.last));
        let (connections, incoming) = mpsc::channel(BACKLOG);
        ports.listeners.insert(addr, connections);
        Listener { addr, incoming }
    }

    /// Whether nobody listens there any more.
    pub(crate) fn refuses(&self, link_addr: &str) -> bool {
        let addr = link_addr.parse::<SocketAddr>();
        let ports = self.0.lock();
        addr.is_ok_and(|addr| ports.listeners.get(&addr).is_none_or(mpsc::Sender::is_closed))
    }

    /// A connection to whoever listens there.
    async fn connect(self, addr: Option<SocketAddr>) -> io::Result<TokioIo<DuplexStream>> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let listener = addr.and_then(|addr| self.0.lock().listeners.get(&addr).cloned());
        let (here, there) = duplex(BUFFER);
        listener.ok_or_else(refused)?.send(there).await.map_err(|_| refused())?;
        Ok(TokioIo::new(here))
    }
}

impl Service<Uri> for Network {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let addr = uri.authority().and_then(|authority| authority.as_str().parse().ok());
        Box::pin(self.clone().connect(addr))
    }
}

impl Listener {
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Stream for Listener {
    type Item = io::Result<DuplexStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_recv(cx).map(|stream| stream.map(Ok))
    }
}
