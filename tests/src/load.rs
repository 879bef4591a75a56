//! Many HTTP listeners in one process, cheap enough not to be what is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// A crowd of `live.ogg` listeners. Dropping it hangs up.
#[derive(Debug)]
pub struct Crowd {
    tasks: JoinSet<()>,
    tally: Arc<Tally>,
    /// How long each took from connecting to the first byte of audio, sorted.
    pub starts: Vec<Duration>,
}

#[derive(Debug, Default)]
struct Tally {
    bytes: AtomicU64,
    closed: AtomicU64,
}

/// Connections that are being opened at the same time.
const OPENING: usize = 64;

impl Crowd {
    /// Connects `count` listeners and waits until each has its first byte of audio.
    ///
    /// # Errors
    /// When a connection is refused or answered with anything but 200.
    pub async fn gather(port: u16, path: &str, count: usize) -> Result<Self> {
        let mut crowd = Self { tasks: JoinSet::new(), tally: Arc::default(), starts: Vec::new() };
        let mut opening = JoinSet::new();
        for index in 0..count {
            if opening.len() >= OPENING {
                crowd.seat(opening.join_next().await.context("a task is there")???);
            }
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Listener: {index}\r\n\r\n");
            opening.spawn(open(port, request));
        }
        while let Some(opened) = opening.join_next().await {
            crowd.seat(opened??);
        }
        crowd.starts.sort();
        Ok(crowd)
    }

    fn seat(&mut self, (mut stream, start): (TcpStream, Duration)) {
        self.starts.push(start);
        let tally = Arc::clone(&self.tally);
        self.tasks.spawn(async move {
            let mut part = [0; 4096];
            while let Ok(read) = stream.read(&mut part).await
                && read > 0
            {
                tally.bytes.fetch_add(read as u64, Relaxed);
            }
            tally.closed.fetch_add(1, Relaxed);
        });
    }

    /// Bytes received by all so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tally.bytes.load(Relaxed)
    }

    /// Listeners whose connection has ended.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.tally.closed.load(Relaxed)
    }
}

/// Connects, sends the request and reads until the first byte after the head's headers pages.
async fn open(port: u16, request: String) -> Result<(TcpStream, Duration)> {
    let start = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut got = Vec::new();
    // OpusHead and OpusTags are two pages; audio begins with the third.
    while got.windows(4).filter(|four| four == b"OggS").count() < 3 {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await?;
        anyhow::ensure!(read > 0, "hung up after {:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&part[..read]);
        let taken = got.starts_with(b"HTTP/1.1 200") || got.starts_with(b"HTTP/1.0 200");
        anyhow::ensure!(taken, "answered {:?}", String::from_utf8_lossy(&got));
    }
    Ok((stream, start.elapsed()))
}
