//! A listener's socket as a shard writes it: plain, or through TLS whose records the shard makes itself. TLS costs each
//! listener its own encryption of each page (1.5 µs for 440 bytes) and 8 to 10 kB of memory, and no task.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
};

use mio::{Interest, Registry, Token, event::Event, net::TcpStream};
use rustls::ServerConnection;

/// Ciphertext and plaintext that may wait inside a TLS connection: one record each. Beyond it writes take nothing.
const TLS_BUFFER_BYTES: usize = 16 * 1024;
/// Reads for one event. A listener has nothing to say after its request; one that says this much more is cut.
const MAX_READS: usize = 16;

/// A listener's socket.
#[derive(Debug)]
pub(crate) enum Wire {
    /// HTTP.
    Plain(TcpStream),
    /// HTTPS, after the handshake.
    Tls(Box<(TcpStream, ServerConnection)>),
}

impl Wire {
    /// A socket in non-blocking mode, with the TLS connection that is spoken on it, if any.
    pub(crate) fn new(socket: std::net::TcpStream, tls: Option<ServerConnection>) -> Self {
        let socket = TcpStream::from_std(socket);
        match tls {
            None => Self::Plain(socket),
            Some(mut tls) => {
                tls.set_buffer_limit(Some(TLS_BUFFER_BYTES));
                Self::Tls(Box::new((socket, tls)))
            }
        }
    }

    /// Wants to know when the peer hangs up.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.socket(), token, Interest::READABLE)
    }

    /// Writes what can be written now, possibly nothing.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => written(socket.write(bytes)),
            Self::Tls(inner) => {
                let (socket, tls) = &mut **inner;
                if !flush(socket, tls)? {
                    return Ok(0);
                }
                let taken = tls.writer().write(bytes)?;
                flush(socket, tls)?;
                Ok(taken)
            }
        }
    }

    /// Whether everything taken has gone to the kernel; tries to bring it there.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(inner) => flush(&mut inner.0, &mut inner.1),
        }
    }

    /// Whether the peer is still there after an event. What it says is thrown away.
    pub(super) fn heard(&mut self, event: &Event) -> bool {
        if event.is_read_closed() || event.is_error() {
            return false;
        }
        match self {
            // Left unread: the kernel's buffer bounds it, and a hang-up is told all the same.
            Self::Plain(_) => true,
            Self::Tls(inner) => listen(&mut inner.0, &mut inner.1).unwrap_or(false),
        }
    }

    /// Says that nothing follows.
    pub(super) fn finish(&mut self) {
        if let Self::Tls(inner) = self {
            inner.1.send_close_notify();
            // The stream is complete without it; a peer that cannot take it now does without.
            drop(flush(&mut inner.0, &mut inner.1));
        }
        drop(self.socket().shutdown(Shutdown::Write));
    }

    fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(inner) => &mut inner.0,
        }
    }
}

/// A full socket buffer, or an interruption, is no error: nothing was written.
fn written(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}

fn flush(socket: &mut TcpStream, tls: &mut ServerConnection) -> io::Result<bool> {
    while tls.wants_write() {
        if written(tls.write_tls(socket))? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn listen(socket: &mut TcpStream, tls: &mut ServerConnection) -> io::Result<bool> {
    for _ in 0..MAX_READS {
        match tls.read_tls(socket) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return flush(socket, tls).map(|_| true),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        if state.peer_has_closed() {
            return Ok(false);
        }
        let mut said = vec![0; state.plaintext_bytes_to_read()];
        tls.reader().read_exact(&mut said)?;
    }
    Ok(false)
}
