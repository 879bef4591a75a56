//! What a node is told: one value with every setting, each with a default, checked once.
//!
//! The settings come in layers, see [`layers`]. This module knows what they are and which go together; it opens no port
//! and reads no file but the secrets and certificates that the settings name.

mod auth;
mod directory;
mod files;
pub(crate) mod layers;
mod secret;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use stentor_directory::{NodeRole, Roles};
use stentor_ids::NodeId;

pub(crate) use auth::Auth;
pub(crate) use directory::{Directory, Place};
pub(crate) use secret::Secret;

use files::all_or_none;

/// Most connections that the port of nodes can be given: about as many file descriptors as a process may have.
const MAX_CONNECTIONS: usize = 1_000_000;

/// Every setting of a node, one section for each part of it. A setting is a field with a default, in the `Config` of the
/// crate that obeys it or, where the node itself does, here; nothing copies it. `deploy/local/node.toml` documents each with
/// its default, which a test compares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub(crate) node: Node,
    pub(crate) directory: Directory,
    pub(crate) link: Link,
    pub(crate) rooms: stentor_host::Config,
    pub(crate) edge: stentor_edge::Config,
    pub(crate) admin: stentor_admin::Config,
    pub(crate) ops: Ops,
    pub(crate) auth: Auth,
    pub(crate) log: stentor_telemetry::Config,
}

/// Who the node is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Node {
    /// Empty for the host's name and the link's port.
    pub(crate) id: String,
    #[serde(with = "roles")]
    pub(crate) roles: Roles,
    pub(crate) zone: String,
    pub(crate) capacity: u32,
    pub(crate) drain_timeout_s: u64,
}

impl Default for Node {
    fn default() -> Self {
        Self { id: String::new(), roles: Roles::all(), zone: String::new(), capacity: 1, drain_timeout_s: 20 }
    }
}

/// The links to other nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Link {
    pub(crate) listen: SocketAddr,
    /// What other nodes are told, `host:port`; empty for the address that was bound.
    pub(crate) advertise: String,
    /// Speak plain text off loopback too.
    pub(crate) insecure: bool,
    pub(crate) max_connections: usize,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            listen: loopback(7200),
            advertise: String::new(),
            insecure: false,
            max_connections: stentor_link::MAX_CONNECTIONS,
            ca: None,
            cert: None,
            key: None,
        }
    }
}

/// `/healthz`, `/readyz` and `/metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ops {
    pub(crate) listen: SocketAddr,
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: loopback(9090) }
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

impl Config {
    /// Whether the settings can be what they say, and go together.
    ///
    /// # Errors
    /// Names the first setting that cannot, with its value and what to write instead.
    pub(crate) fn validate(&self) -> Result<()> {
        ensure!(
            !self.node.roles.is_empty(),
            "node.roles is empty; give one or more of origin, relay, edge, admin"
        );
        self.id()?;
        ensure!(
            (1..=3600).contains(&self.node.drain_timeout_s),
            "node.drain_timeout_s is {}; give 1 to 3600",
            self.node.drain_timeout_s
        );
        ensure!(
            (1..=60).contains(&self.directory.lease_ttl_s),
            "directory.lease_ttl_s is {}; give 1 to 60",
            self.directory.lease_ttl_s
        );
        ensure!(
            (1..=MAX_CONNECTIONS).contains(&self.link.max_connections),
            "link.max_connections is {}; give 1 to {MAX_CONNECTIONS}",
            self.link.max_connections
        );
        self.admin.validate().map_err(|refusal| anyhow!("admin.{refusal}"))?;
        self.edge.validate().map_err(|refusal| anyhow!("edge.{refusal}"))?;
        self.directory.place()?;
        self.rooms.validate()?;
        all_or_none("link", &[("ca", &self.link.ca), ("cert", &self.link.cert), ("key", &self.link.key)])?;
        all_or_none("edge", &[("cert", &self.edge.cert), ("key", &self.edge.key)])?;
        all_or_none("admin", &[("cert", &self.admin.cert), ("key", &self.admin.key)])?;
        if self.has(NodeRole::Edge) {
            self.auth.edge_keys().context("the role edge checks tickets")?;
        }
        if self.has(NodeRole::Admin) {
            self.auth.tokens().context("the role admin checks tokens")?;
        }
        self.log.validate().context("log")
    }

    /// The node's id: as set, or made of the host's name and what tells two nodes of one host apart.
    pub(crate) fn id(&self) -> Result<NodeId> {
        if !self.node.id.is_empty() {
            return NodeId::new(&self.node.id).context("node.id");
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().split('.').next().filter(|name| !name.is_empty()).unwrap_or("node");
        let number = match self.link.listen.port() {
            0 => std::process::id(),
            port => port.into(),
        };
        NodeId::new(format!("{host}-{number}"))
            .context("the host's name makes no node id; give one with --id")
    }

    pub(crate) fn has(&self, role: NodeRole) -> bool {
        self.node.roles.has(role)
    }

    pub(crate) const fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.node.drain_timeout_s)
    }
}

/// Roles as a list of names, every one of them known: a typo in a configuration is refused, unlike in the directory.
mod roles {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use stentor_directory::{NodeRole, Roles};

    pub(super) fn serialize<S: Serializer>(roles: &Roles, to: S) -> Result<S::Ok, S::Error> {
        Vec::<&str>::from(*roles).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Roles, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        names.iter().map(|name| name.parse::<NodeRole>()).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use stentor_admission::key_line;

    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        config.auth.admin_tokens = Secret::from("ann:0123456789abcdef0123456789abcdef");
        config.auth.ticket_keys = Secret::from(key_line("main", &[7; 32]).unwrap().as_str());
        config.auth.cluster_keys = Secret::from(key_line("main", &[8; 32]).unwrap().as_str());
        assert!(config.validate().is_ok());
        change(&mut config);
        format!("{:#}", config.validate().unwrap_err())
    }

    #[test]
    fn a_setting_that_cannot_be_is_refused_by_name_with_its_value() {
        for (error, named) in [
            (refused(|config| config.node.id = "a b".into()), "\"a b\""),
            (refused(|config| config.node.roles = Roles::default()), "node.roles"),
            (refused(|config| config.node.drain_timeout_s = 0), "node.drain_timeout_s is 0"),
            (refused(|config| config.directory.lease_ttl_s = 999), "directory.lease_ttl_s is 999"),
            (refused(|config| config.directory.url = "zookeeper://x".into()), "zookeeper://x"),
            (refused(|config| config.directory.url = "etcds://x:1".into()), "tls"),
            (refused(|config| config.directory.data = Some("rooms".into())), "directory.data"),
            (refused(|config| config.link.cert = Some("link.pem".into())), "link.ca is missing"),
            (refused(|config| config.edge.buffer_ms = 0), "edge.buffer_ms is 0"),
            (refused(|config| config.edge.buffer_max_ms = 9_000), "edge.buffer_max_ms is 9000"),
            (refused(|config| config.auth.admin_tokens = Secret::default()), "STENTOR_AUTH__ADMIN_TOKENS"),
            (refused(|config| config.auth.ticket_keys = Secret::from("main")), "STENTOR_AUTH__TICKET_KEYS"),
            (refused(|config| config.auth.ticket_jwks = "{}".into()), "STENTOR_AUTH__TICKET_JWKS"),
            (refused(|config| config.auth.ticket_keys = Secret::default()), "auth.ticket_jwks_file"),
            (refused(|config| config.auth.cluster_keys = Secret::default()), "STENTOR_AUTH__CLUSTER_KEYS"),
            (
                refused(|config| config.auth.ticket_keys_file = Some("keys".into())),
                "auth.ticket_keys_file are both",
            ),
            (
                refused(|config| {
                    config.auth.admin_tokens = Secret::from("0123456789abcdef0123456789abcdef");
                }),
                "admin token 1 has no name; write name:token",
            ),
            (refused(|config| config.link.max_connections = 0), "link.max_connections is 0"),
            (refused(|config| config.admin.max_connections = 0), "admin.max_connections is 0"),
            (refused(|config| config.log.filter = "x=loud".into()), "x=loud"),
        ] {
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn the_documented_settings_are_all_there_are_and_stand_at_their_defaults() {
        let text = include_str!("../../../../deploy/local/node.toml");
        assert_eq!(toml::from_str::<Config>(text).unwrap(), Config::default());
        let uncommented = |line: &str| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{setting}\n"),
            _ => format!("{line}\n"),
        };
        let all: String = text.lines().map(uncommented).collect();
        let config: Config = toml::from_str(&all).unwrap();
        let documented: toml::Table = toml::from_str(&all).unwrap();
        assert_eq!(toml::Table::try_from(config).unwrap(), documented);
    }

    #[test]
    fn the_settings_that_the_readme_names_are_there_and_stand_at_the_defaults_that_it_says() {
        let config = toml::Table::try_from(Config::default()).unwrap();
        let default = |name: &str| {
            let (section, key) = name.split_once('.')?;
            Some(config[section].as_table()?.get(key)?.to_string().replace('"', ""))
        };
        let rows = include_str!("../../../../README.md").lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(|cell| cell.replace('`', ""));
            let (names, said) = (cells.next()?, cells.next()?);
            let section = names.split('.').next()?;
            config.contains_key(section).then_some((names, said))
        });
        let mut compared = 0;
        for (names, said) in rows {
            // A row of several names has a default for each, or for the first alone.
            let defaults = said.split(',').map(str::trim).filter(|said| !said.is_empty());
            for (name, said) in names.split(',').map(str::trim).zip(defaults) {
                match name {
                    // Made up at the start, or said in words.
                    "node.id" | "node.roles" => assert!(default(name).is_some(), "{name}"),
                    name => assert_eq!(default(name).as_deref(), Some(said), "{name}"),
                }
                compared += 1;
            }
        }
        assert!(compared >= 12, "{compared} of the README's settings were found");
    }
}
