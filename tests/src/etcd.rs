//! A real etcd server of one member, on free ports, with its data in a folder that outlives a restart.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Process, eventually, free_port};

/// The server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Etcd {
    folder: TempDir,
    client: u16,
    peer: u16,
    process: Option<Process>,
}

impl Etcd {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When `etcd` is not installed or does not come up within 20 s.
    pub async fn start() -> Result<Self> {
        let mut etcd =
            Self { folder: TempDir::new()?, client: free_port()?, peer: free_port()?, process: None };
        etcd.restart().await?;
        Ok(etcd)
    }

    /// Where it listens, as Stentor's configuration names it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client)
    }

    /// Kills it (SIGKILL); its data stay.
    ///
    /// # Errors
    /// When it cannot be reaped.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts it again on the same ports and data.
    ///
    /// # Errors
    /// As [`Etcd::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let (client, peer) = (self.endpoint(), format!("http://127.0.0.1:{}", self.peer));
        let data = self.folder.path().join("data");
        let args = [
            "--name=member".to_owned(),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=member={peer}"),
            "--log-level=error".to_owned(),
        ];
        let program = PathBuf::from("etcd");
        self.process = Some(Process::start("etcd", &program, args, &[], self.folder.path())?);
        let port = self.client;
        eventually("etcd's /health", Duration::from_secs(20), || async move {
            let answer = crate::http::get(port, "/health").await.ok()?;
            answer.body_text().contains("true").then_some(())
        })
        .await
    }
}
