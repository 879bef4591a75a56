//! A real browser that plays a stream in an `<audio>` element, and what it hears.
//!
//! The page is served from a port of its own, hence from another origin than the stream's, and reports back to it. It
//! knows nothing of rooms: a stream is a URL.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use stentor_programs::Program;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

const PAGE: &str = include_str!("player.html");
/// Headless, playing without a click, and asking nobody but loopback for anything.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];
/// Root mean square of a moment that is not silence: -40 dBFS.
const AUDIBLE: f64 = 0.01;
/// A report is a line of JSON; a longer one is none of the page's.
const MAX_REPORT: usize = 4096;
/// How long the page may take to send a request that it has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the browser has told so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// `currentTime` of the element: where in the stream it plays. Zero until it begins, somewhere in a live stream.
    pub position: Duration,
    /// Moments looked at while it played, ten a second.
    pub moments: usize,
    /// Those of them that were not silence.
    pub audible: usize,
    /// The first `error` event, or why it would not begin to play.
    pub error: Option<String>,
}

/// A running browser. Dropping it ends the browser with all its processes.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    profile: TempDir,
    heard: watch::Receiver<Heard>,
    page: JoinHandle<()>,
}

impl Browser {
    /// Starts one that plays this URL.
    ///
    /// # Errors
    /// When there is no browser; the error says what to install.
    pub async fn play(url: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let page = format!("http://{}/?src={url}", listener.local_addr()?);
        let profile = TempDir::new()?;
        let log = File::create(profile.path().join("log"))?;
        let child = Program::Chromium
            .command()?
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().join("data").display()))
            .arg(page)
            .env("HOME", profile.path())
            // Its helpers are in its group, and so they end with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting the browser")?;
        let (told, heard) = watch::channel(Heard::default());
        Ok(Self { child, profile, heard, page: tokio::spawn(serve(listener, told)) })
    }

    /// Waits until what was heard is as wished, and gives it.
    ///
    /// # Errors
    /// When it is not within that time, or the browser cannot play the stream.
    pub async fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut wish: impl FnMut(&Heard) -> bool,
    ) -> Result<Heard> {
        let come = self.heard.wait_for(|heard| heard.error.is_some() || wish(heard));
        let come = timeout(within, come).await.map(|heard| heard.map(|heard| heard.clone()));
        let Ok(Ok(heard)) = come else {
            let (heard, log) = (self.heard.borrow().clone(), self.log());
            bail!("waited {within:?} in vain for {what}; the browser has told {heard:?}; its log:\n{log}");
        };
        ensure!(heard.error.is_none(), "the browser cannot play it: {heard:?}");
        Ok(heard)
    }

    /// All that it has printed.
    fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.profile.path().join("log")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.page.abort();
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Serves the page and takes its reports, for as long as there is someone to tell.
async fn serve(listener: TcpListener, told: watch::Sender<Heard>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        // A request that breaks off is a report less.
        connections.spawn(timeout(PATIENCE, answer(stream, told.clone())));
    }
}

/// Answers one request: a report, or whatever else with the page.
async fn answer(stream: TcpStream, told: watch::Sender<Heard>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while stream.read_line(&mut head).await? > 2 {
        let line = head.lines().last().unwrap_or_default().to_lowercase();
        length = line.strip_prefix("content-length: ").map_or(Ok(length), str::parse)?;
    }
    let page = if head.starts_with("POST /report") {
        ensure!(length <= MAX_REPORT, "a report of {length} bytes");
        let mut report = vec![0; length];
        stream.read_exact(&mut report).await?;
        let report: Value = serde_json::from_slice(&report)?;
        told.send_modify(|heard| heard.take(&report));
        ""
    } else {
        PAGE
    };
    let length = page.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    );
    Ok(stream.write_all(answer.as_bytes()).await?)
}

impl Heard {
    fn take(&mut self, report: &Value) {
        if let Some(error) = report["error"].as_str() {
            self.error.get_or_insert_with(|| error.to_owned());
            return;
        }
        let position = Duration::try_from_secs_f64(report["position"].as_f64().unwrap_or(0.0));
        let position = position.unwrap_or_default();
        if position > self.position {
            self.position = position;
            self.moments += 1;
            self.audible += usize::from(report["level"].as_f64().unwrap_or(0.0) > AUDIBLE);
        }
    }
}
