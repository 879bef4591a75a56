//! A real etcd on free ports, of one member or of several, with its data in a folder that outlives a restart.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use stentor_programs::Program;
use tempfile::TempDir;

use crate::process::{Process, Usage, eventually, free_port};

/// The servers. Dropping them kills them and removes their data.
#[derive(Debug)]
pub struct Etcd {
    folder: TempDir,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    client: u16,
    peer: u16,
    process: Option<Process>,
}

impl Etcd {
    /// Starts so many members and waits until each answers.
    ///
    /// # Errors
    /// When `etcd` is not installed or does not come up within 20 s.
    pub async fn start_members(count: usize) -> Result<Self> {
        let member = |_| Ok(Member { client: free_port()?, peer: free_port()?, process: None });
        let members = (0..count).map(member).collect::<Result<_>>()?;
        let mut etcd = Self { folder: TempDir::new()?, members };
        etcd.restart().await?;
        Ok(etcd)
    }

    /// Where the members listen.
    #[must_use]
    pub fn members(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| (Ipv4Addr::LOCALHOST, member.client).into()).collect()
    }

    /// What a member uses.
    ///
    /// # Errors
    /// When it does not run.
    pub fn usage(&self, index: usize) -> Result<Usage> {
        let process = self.members.get(index).and_then(|member| member.process.as_ref());
        Ok(process.context("the member does not run")?.usage())
    }

    /// Kills all members (SIGKILL); their data stay.
    ///
    /// # Errors
    /// When one cannot be reaped.
    pub fn kill(&mut self) -> Result<()> {
        (0..self.members.len()).try_for_each(|index| self.kill_member(index))
    }

    /// Kills one member (SIGKILL); its data stay.
    ///
    /// # Errors
    /// When it cannot be reaped.
    pub fn kill_member(&mut self, index: usize) -> Result<()> {
        self.members[index].process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Kills all members and removes their data.
    ///
    /// # Errors
    /// When a member cannot be reaped or its data cannot be removed.
    pub fn wipe(&mut self) -> Result<()> {
        self.kill()?;
        for index in 0..self.members.len() {
            std::fs::remove_dir_all(self.data(index))?;
        }
        Ok(())
    }

    /// Starts the members that do not run, on the same ports and data.
    ///
    /// # Errors
    /// As [`Etcd::start_members`].
    pub async fn restart(&mut self) -> Result<()> {
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.peer);
        let named = |(index, member)| format!("member-{index}={}", peer(member));
        let cluster: Vec<String> = self.members.iter().enumerate().map(named).collect();
        for index in 0..self.members.len() {
            let (data, member) = (self.data(index), &mut self.members[index]);
            if member.process.is_some() {
                continue;
            }
            let (client, peer) = (format!("http://127.0.0.1:{}", member.client), peer(member));
            let args = [
                format!("--name=member-{index}"),
                format!("--data-dir={}", data.display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", cluster.join(",")),
                "--log-level=error".to_owned(),
            ];
            let name = format!("etcd-{index}");
            let mut etcd = Program::Etcd.command()?;
            let process = Process::start(&name, etcd.args(args), self.folder.path())?;
            member.process = Some(process);
        }
        for port in self.members.iter().map(|member| member.client) {
            eventually("etcd's /health", Duration::from_secs(20), || async move {
                let answer = crate::http::get(port, "/health").await.ok()?;
                answer.body_text().contains("true").then_some(())
            })
            .await?;
        }
        Ok(())
    }

    /// What `etcdctl` answers the first member's client.
    ///
    /// # Errors
    /// When it is not installed or fails; the error is what it said.
    pub fn control(&self, args: &[&str]) -> Result<String> {
        let endpoint = format!("http://127.0.0.1:{}", self.members[0].client);
        let mut command = Program::Etcdctl.command()?;
        command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoint]).args(args);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "etcdctl {}: {said}", args.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn data(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("data-{index}"))
    }
}
