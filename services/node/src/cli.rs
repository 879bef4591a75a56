//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Result, anyhow};
use clap::{Args, Parser, Subcommand};

use crate::config::{
    Config,
    layers::{self, Setting},
};

/// Live audio rooms as a cluster.
#[derive(Debug, Parser)]
#[command(name = "stentor", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A whole cluster in this process, with a demo event on the air.
    Dev(DevArgs),
    /// One node of a cluster.
    Node(NodeArgs),
}

/// Settings come from the file, over it from `STENTOR_SECTION__KEY` in the environment, over it from flags.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The configuration, in TOML.
    #[arg(long, value_name = "FILE", env = "STENTOR_CONFIG")]
    config: Option<PathBuf>,
    /// Print the configuration that results, secrets hidden, and exit.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Name of this node [node.id].
    #[arg(long)]
    id: Option<String>,
    /// What it does: origin, relay, edge, admin [node.roles].
    #[arg(long, value_name = "ROLE,…")]
    roles: Option<String>,
    /// Its failure domain [node.zone].
    #[arg(long)]
    zone: Option<String>,
    /// Where the directory is: etcd://host:port,… or embedded [directory.url].
    #[arg(long, value_name = "URL")]
    directory: Option<String>,
    /// Folder for the room records of an embedded directory [directory.data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where other nodes connect [link.listen].
    #[arg(long, value_name = "IP:PORT")]
    link_listen: Option<String>,
    /// Where people connect [edge.listen].
    #[arg(long, value_name = "IP:PORT")]
    edge_listen: Option<String>,
    /// Where operators connect [admin.listen].
    #[arg(long, value_name = "IP:PORT")]
    admin_listen: Option<String>,
    /// Where /healthz, /readyz and /metrics are [ops.listen].
    #[arg(long, value_name = "IP:PORT")]
    ops_listen: Option<String>,
    /// Speak plain text to other nodes off loopback too [link.insecure].
    #[arg(long)]
    insecure: bool,
    /// Longest time to leave in, in seconds [node.drain_timeout_s].
    #[arg(long, value_name = "S")]
    drain_timeout: Option<String>,
    /// Which events are logged, for example info,stentor_link=debug [log.filter].
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How a log line looks: text or json [log.format].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Collector that spans are sent to, http://host:port [log.otlp_endpoint].
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// Any other setting, for example edge.buffer_ms=100.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl NodeArgs {
    /// The configuration out of all layers, not validated yet.
    pub(crate) fn config(&self, env: impl IntoIterator<Item = (String, String)>) -> Result<Config> {
        let mut settings = layers::from_env(env);
        settings.extend(self.settings()?);
        layers::load(self.config.as_deref(), &settings)
    }

    fn settings(&self) -> Result<Vec<Setting>> {
        let insecure = self.insecure.then(|| "true".to_owned());
        let flags = [
            ("--id", "node.id", &self.id),
            ("--roles", "node.roles", &self.roles),
            ("--zone", "node.zone", &self.zone),
            ("--directory", "directory.url", &self.directory),
            ("--data", "directory.data", &self.data),
            ("--link-listen", "link.listen", &self.link_listen),
            ("--edge-listen", "edge.listen", &self.edge_listen),
            ("--admin-listen", "admin.listen", &self.admin_listen),
            ("--ops-listen", "ops.listen", &self.ops_listen),
            ("--insecure", "link.insecure", &insecure),
            ("--drain-timeout", "node.drain_timeout_s", &self.drain_timeout),
            ("--log", "log.filter", &self.log),
            ("--log-format", "log.format", &self.log_format),
            ("--otlp", "log.otlp_endpoint", &self.otlp),
        ];
        let named = flags.into_iter().filter_map(|(flag, path, value)| {
            let value = value.clone()?;
            Some(Ok(Setting { source: flag.into(), path: path.into(), value }))
        });
        let free = self.set.iter().map(|text| {
            let (path, value) = text
                .split_once('=')
                .ok_or_else(|| anyhow!("--set {text:?}: write --set section.key=value"))?;
            Ok(Setting { source: format!("--set {path}"), path: path.into(), value: value.into() })
        });
        named.chain(free).collect()
    }
}

/// Ports for a cluster on this machine.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where people connect to the first edge.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) edge_a: SocketAddr,
    /// Where people connect to the second edge.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8081")]
    pub(crate) edge_b: SocketAddr,
    /// Where operators connect.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7070")]
    pub(crate) admin: SocketAddr,
    /// Where /healthz, /readyz and /metrics are.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9090")]
    pub(crate) ops: SocketAddr,
    /// Folder in which rooms survive a restart; without it they end with the process.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where the keys made at this start are written, for `source`.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Which events are logged.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(crate) log: String,
    /// Collector that spans are sent to, http://host:port.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
}

impl DevArgs {
    /// Where the keys go: as given, or beside other temporary files under a name that is the admin port's.
    pub(crate) fn env_file(&self) -> PathBuf {
        let named = || std::env::temp_dir().join(format!("stentor-dev-{}.env", self.admin.port()));
        self.env_file.clone().unwrap_or_else(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Result<Config> {
        let cli = Cli::try_parse_from([&["stentor", "node"], args].concat())?;
        let Command::Node(args) = cli.command else { panic!("node was given") };
        args.config([])
    }

    #[test]
    fn a_flag_sets_its_setting_and_is_named_when_it_cannot() {
        let config =
            config(&["--roles", "edge", "--edge-listen", "127.0.0.1:99", "--set", "edge.buffer_ms=100"]);
        let config = config.unwrap();
        assert_eq!((config.edge.listen.port(), config.edge.buffer_ms), (99, 100));
        for (args, named) in [
            (["--edge-listen", "nowhere"], "--edge-listen"),
            (["--set", "edge.bufer=1"], "bufer"),
            (["--set", "edge"], "section.key=value"),
            (["--roles", "mixer"], "mixer"),
        ] {
            let error = format!("{:#}", self::config(&args).unwrap_err());
            assert!(error.contains(named), "{error}");
        }
    }
}
