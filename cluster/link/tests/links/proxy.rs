//! A TCP proxy before a node's link port: what a test does to the network.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Freeze,
    Cut,
}

/// Passes connections on to a port, until it is told otherwise.
pub struct Proxy {
    addr: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (mode, mut now) = watch::channel(Mode::Pass);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Ok((inbound, _)) = listener.accept() => {
                        if *now.borrow() != Mode::Cut {
                            tokio::spawn(pass(inbound, target, now.clone()));
                        }
                    }
                    changed = now.changed() => if changed.is_err() { return },
                }
            }
        });
        Self { addr, mode }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Breaks every connection, and refuses new ones.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Passes nothing on any more, and tells nobody: a black hole.
    pub fn freeze(&self) {
        self.mode.send_replace(Mode::Freeze);
    }

    /// All is well again.
    pub fn restore(&self) {
        self.mode.send_replace(Mode::Pass);
    }
}

async fn pass(inbound: TcpStream, target: SocketAddr, mode: watch::Receiver<Mode>) {
    let Ok(outbound) = TcpStream::connect(target).await else { return };
    for stream in [&inbound, &outbound] {
        stream.set_nodelay(true).unwrap();
    }
    let (up_read, up_write) = inbound.into_split();
    let (down_read, down_write) = outbound.into_split();
    tokio::join!(copy(up_read, down_write, mode.clone()), copy(down_read, up_write, mode));
}

async fn copy(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let now = *mode.borrow_and_update();
        // A cut that came while bytes went through has been seen just now, and wakes nobody again.
        if now == Mode::Cut {
            return;
        }
        tokio::select! {
            read = from.read(&mut buffer), if now == Mode::Pass => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => if to.write_all(&buffer[..count]).await.is_err() { return },
            },
            changed = mode.changed() => if changed.is_err() || *mode.borrow() == Mode::Cut { return },
        }
    }
}
