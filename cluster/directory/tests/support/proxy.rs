//! A TCP proxy in front of a server, which breaks what goes through it in a few ways.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// Connections are closed, and new ones as soon as they are made.
    Cut,
    /// Connections stay and nothing passes.
    BlackHole,
    /// What the client says passes, what the server says is lost.
    LoseAnswers,
}

pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Pass);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, modes.clone()));
            }
        });
        Self { address, mode, task }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on. Connections that lost something in the old mode are closed.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, mut modes: watch::Receiver<Mode>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    loop {
        let mode = *modes.borrow_and_update();
        match mode {
            Mode::Cut => return,
            Mode::Pass => tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => return,
                _ = modes.changed() => {}
            },
            Mode::BlackHole => {
                let _ = modes.changed().await;
                return;
            }
            Mode::LoseAnswers => {
                let (mut answers, mut questions) = server.split();
                let lose = async { while answers.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {} };
                tokio::select! {
                    _ = copy(&mut client, &mut questions) => {}
                    () = lose => {}
                    _ = modes.changed() => {}
                }
                return;
            }
        }
    }
}
