//! The cluster as an operator meets it: `stentorctl` as a process of its own.

use std::{process::Output, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Cluster;
use crate::http;
use crate::process::binary;

impl Cluster {
    /// Runs `stentorctl` with these arguments against one of the admin nodes.
    ///
    /// # Errors
    /// When it cannot be started.
    async fn run_ctl(&self, admin: usize, args: &[&str]) -> Result<Output> {
        let node = self.nth_edge(admin);
        let mut command = tokio::process::Command::new(binary("stentorctl")?);
        command
            .args(args)
            .kill_on_drop(true)
            .envs(self.ctl_env(admin))
            .env("STENTOR_ADMIN", format!("http://127.0.0.1:{}", node.admin));
        Ok(tokio::time::timeout(Duration::from_secs(60), command.output())
            .await
            .context("stentorctl hangs")??)
    }

    pub(super) fn ctl_env(&self, edge: usize) -> [(&'static str, String); 3] {
        [
            ("STENTOR_EDGE", format!("http://127.0.0.1:{}", self.edge_port(edge))),
            ("STENTOR_ADMIN_TOKEN", self.admin_token.clone()),
            ("STENTOR_TICKET_KEYS", self.ticket_keys.clone()),
        ]
    }

    /// What `stentorctl` prints, whether it succeeds or not.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn ctl_output(&self, args: &[&str]) -> Result<Output> {
        self.run_ctl(0, args).await
    }

    /// What `stentorctl` prints when it succeeds.
    ///
    /// # Errors
    /// When it does not; the error is what it said.
    pub async fn ctl(&self, args: &[&str]) -> Result<String> {
        self.ctl_at(0, args).await
    }

    /// The same against another admin node.
    ///
    /// # Errors
    /// As [`Cluster::ctl`].
    pub async fn ctl_at(&self, admin: usize, args: &[&str]) -> Result<String> {
        let output = self.run_ctl(admin, args).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "stentorctl {} failed: {said}", args.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The same as JSON.
    ///
    /// # Errors
    /// As [`Cluster::ctl`], and when it prints no JSON.
    pub async fn ctl_json(&self, args: &[&str]) -> Result<Value> {
        self.ctl_json_at(0, args).await
    }

    /// The same against another admin node.
    ///
    /// # Errors
    /// As [`Cluster::ctl_json`].
    pub async fn ctl_json_at(&self, admin: usize, args: &[&str]) -> Result<Value> {
        let text = self.ctl_at(admin, &[&["-o", "json"], args].concat()).await?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// A node's metrics, as Prometheus reads them.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn metrics(&self, name: &str) -> Result<String> {
        Ok(http::get(self.nodes[self.index(name)?].ops, "/metrics").await?.body_text())
    }
}
