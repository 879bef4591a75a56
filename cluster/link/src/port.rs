//! A port that nodes or operators connect to, with a bound on how many do at once. One more connection is closed as soon
//! as it comes, and counted: who holds a place keeps it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt};
use stentor_telemetry::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tonic::transport::server::{Connected, TcpIncoming};

/// A bound port.
#[derive(Debug)]
pub struct Port {
    incoming: TcpIncoming,
    local_addr: SocketAddr,
    places: Arc<Semaphore>,
}

/// A connection that holds a place. Every call on it finds `I` among its extensions, the same for all calls.
#[derive(Debug)]
pub struct Connection<I> {
    stream: TcpStream,
    info: I,
    _place: OwnedSemaphorePermit,
}

impl Port {
    /// Binds the port; port 0 takes a free one. Call it within a tokio runtime.
    ///
    /// # Errors
    /// The port is taken, or not ours to take.
    pub fn bind(listen: SocketAddr, max_connections: usize) -> io::Result<Self> {
        let incoming = TcpIncoming::bind(listen)?.with_nodelay(Some(true));
        let local_addr = incoming.local_addr()?;
        let places = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { incoming, local_addr, places })
    }

    /// Another bound.
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        let places = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Self { places, ..self }
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Those who connect. `refused` counts those for whom there is no place.
    pub fn connections<I: Default + Send>(
        self,
        refused: Counter,
    ) -> impl Stream<Item = io::Result<Connection<I>>> + Unpin {
        let Self { incoming, local_addr, places } = self;
        let place = move |accepted: io::Result<TcpStream>| {
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => return Some(Err(error)),
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                let count = refused.inc() + 1;
                // Not for each of many: a log that strangers fill helps nobody.
                if count.is_power_of_two() {
                    tracing::warn!(%local_addr, count, "a connection is closed: the port has all that it may have");
                }
                return None;
            };
            Some(Ok(Connection { stream, info: I::default(), _place: place }))
        };
        incoming.filter_map(move |accepted| std::future::ready(place(accepted)))
    }
}

impl<I: Clone + Send + Sync + 'static> Connected for Connection<I> {
    type ConnectInfo = I;

    fn connect_info(&self) -> I {
        self.info.clone()
    }
}

impl<I: Unpin> AsyncRead for Connection<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<I: Unpin> AsyncWrite for Connection<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
