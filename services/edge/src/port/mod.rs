//! The public port: one address for everything. The first bytes of a connection decide between HTTP/1.x and HTTP/2, which
//! gRPC speaks; with TLS, so did ALPN before.
//!
//! | connection | goes to |
//! |---|---|
//! | HTTP/2 preface | the gRPC server, with the bytes read so far put back |
//! | HTTP/1.x request for a stream | a shard of the fan-out engine, socket and all |
//! | HTTP/1.x request for a room's events | is told them here |
//! | HTTP/1.x request for anything else | is answered here and closed |
//! | anything else | a problem with status 400, and closed |
//!
//! Invariants: a head takes at most 8 KiB and 5 s; there are never more connections than the bound, but for a few that are
//! told so.

mod connection;
mod limits;
mod rewound;
mod service;
mod tls;

use std::{io, net::SocketAddr, time::Duration};

use stentor_ids::{Code, Fault};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

pub(crate) use limits::room_for_connections;
pub(crate) use rewound::Rewound;
pub(crate) use service::Service;
pub(crate) use tls::acceptor;

use crate::count::{Count, Held};
use connection::{serve, turn_away};

/// Connections that the kernel keeps until they are accepted: a burst of joins at 5,000 a second while the loop is busy
/// for almost a second. Beyond it the kernel makes clients try again.
const BACKLOG: i32 = 4096;
/// Bytes that the kernel holds for a connection that does not take them, as asked for; it takes twice that, with its own
/// bookkeeping. A listener who stalls is thereby a few seconds behind at most, and a stalled crowd does not eat the
/// machine.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// Connections above the bound that are told so at the same time. Beyond it they are just closed.
const MAX_TURNED_AWAY: usize = 64;
/// Pause after a connection could not be accepted: most likely there are no file descriptors, and some will be free soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound public port.
pub(crate) struct Port {
    listener: std::net::TcpListener,
    addr: SocketAddr,
}

impl Port {
    /// Binds the port; 0 takes a free one.
    ///
    /// # Errors
    /// It is taken, or not ours to take.
    pub(crate) fn bind(addr: SocketAddr) -> io::Result<Self> {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // Accepted sockets inherit these, which saves two system calls for each.
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        let listener = std::net::TcpListener::from(socket);
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts until the service stops.
    pub(crate) async fn run(self, service: Service) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let turned_away = Count::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = service.stop.cancelled() => return Ok(()),
            };
            match accepted {
                Ok((socket, _)) => admit(&service, socket, &turned_away),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn admit(service: &Service, socket: TcpStream, turned_away: &Count) {
    if let Some(held) = service.connections.hold_below(service.max_connections) {
        let service = service.clone();
        tokio::spawn(async move {
            let stop = service.stop.clone();
            stop.run_until_cancelled_owned(serve(service, socket, held)).await;
        });
    } else if let Some(held) = turned_away.hold_below(MAX_TURNED_AWAY) {
        let fault = Fault::new(Code::Overloaded, "this edge has as many connections as it may; try another");
        tokio::spawn(told(service.clone(), socket, fault.retry_after(Duration::from_secs(5)), held));
    }
}

async fn told(service: Service, socket: TcpStream, fault: Fault, _held: Held) {
    turn_away(&service, socket, &fault).await;
}
