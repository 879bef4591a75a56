//! What a node is told: one value with every setting, each with a default, checked once.
//!
//! The settings come in layers, see [`layers`]. This module knows what they are and which go together; it opens no port
//! and reads no file but the secrets and certificates that the settings name.

pub(crate) mod layers;
mod secret;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use stentor_admission::{AdminTokens, KeySet};
use stentor_directory::{EtcdConfig, EtcdTls, NodeRole, Roles};
use stentor_ids::NodeId;

pub(crate) use secret::Secret;

/// Every setting of a node. `deploy/local/node.toml` documents each with its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) node: Node,
    pub(crate) directory: Directory,
    pub(crate) link: Link,
    pub(crate) edge: Edge,
    pub(crate) admin: Admin,
    pub(crate) ops: Ops,
    pub(crate) auth: Auth,
    pub(crate) log: stentor_telemetry::Config,
}

/// Who the node is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Node {
    /// Empty for `<host name>-<link port>`.
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

/// Where the cluster keeps who lives and who owns what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Directory {
    /// `etcd://host:port,host:port/prefix`, `etcds://…` with TLS, or `embedded` for a cluster of this one process.
    pub(crate) url: String,
    pub(crate) lease_ttl_s: u64,
    /// Folder for the room records of an embedded directory; without it they end with the process.
    pub(crate) data: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) request_timeout_ms: u64,
}

impl Default for Directory {
    fn default() -> Self {
        let etcd = EtcdConfig::default();
        Self {
            url: "etcd://127.0.0.1:2379".into(),
            lease_ttl_s: 3,
            data: None,
            ca: None,
            cert: None,
            key: None,
            connect_timeout_ms: etcd.connect_timeout_ms,
            request_timeout_ms: etcd.request_timeout_ms,
        }
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
            ca: None,
            cert: None,
            key: None,
        }
    }
}

/// Where people connect. Used with the role `edge`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Edge {
    pub(crate) listen: SocketAddr,
    /// What people are told, as a URL; empty for the address that was bound.
    pub(crate) advertise: String,
    /// Threads that write to listeners; 0 for one a core.
    pub(crate) shards: usize,
    pub(crate) buffer_ms: u64,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            listen: loopback(8080),
            advertise: String::new(),
            shards: 0,
            buffer_ms: 60,
            cert: None,
            key: None,
        }
    }
}

/// Where operators connect. Used with the role `admin`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(7070) }
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

/// What tickets and admin tokens are checked with: in place, comma-separated, or in a file, one a line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// `name:secret` for each valid key, the secret in base64url of 32 bytes or more.
    pub(crate) ticket_keys: Secret,
    pub(crate) ticket_keys_file: Option<PathBuf>,
    /// Valid tokens of 32 characters or more.
    pub(crate) admin_tokens: Secret,
    pub(crate) admin_tokens_file: Option<PathBuf>,
}

impl Auth {
    /// The keys that sign tickets; every edge needs them.
    pub(crate) fn keys(&self) -> Result<KeySet> {
        let text = lines("ticket_keys", &self.ticket_keys, self.ticket_keys_file.as_deref())?;
        KeySet::parse(&text).context("auth.ticket_keys (STENTOR_AUTH__TICKET_KEYS)")
    }

    /// The tokens that let operators in; every admin node needs them.
    pub(crate) fn tokens(&self) -> Result<AdminTokens> {
        let text = lines("admin_tokens", &self.admin_tokens, self.admin_tokens_file.as_deref())?;
        AdminTokens::parse(&text).context("auth.admin_tokens (STENTOR_AUTH__ADMIN_TOKENS)")
    }
}

fn lines(name: &str, inline: &Secret, file: Option<&Path>) -> Result<String> {
    match file {
        Some(_) if !inline.is_empty() => bail!("auth.{name} and auth.{name}_file are both given; give one"),
        Some(file) => {
            std::fs::read_to_string(file).with_context(|| format!("auth.{name}_file {}", file.display()))
        }
        None => Ok(inline.reveal().replace(',', "\n")),
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// Where the directory is, as the URL says.
#[derive(Debug, PartialEq)]
pub(crate) enum Place {
    Embedded,
    Etcd(EtcdConfig),
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
        if !self.node.id.is_empty() {
            NodeId::new(&self.node.id).context("node.id")?;
        }
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
            (20..=2000).contains(&self.edge.buffer_ms),
            "edge.buffer_ms is {}; give 20 to 2000",
            self.edge.buffer_ms
        );
        ensure!(self.edge.shards <= 1024, "edge.shards is {}; give at most 1024", self.edge.shards);
        self.directory.place()?;
        all_or_none("link", &[("ca", &self.link.ca), ("cert", &self.link.cert), ("key", &self.link.key)])?;
        all_or_none("edge", &[("cert", &self.edge.cert), ("key", &self.edge.key)])?;
        if self.has(NodeRole::Edge) {
            self.auth.keys().context("the role edge checks tickets")?;
        }
        if self.has(NodeRole::Admin) {
            self.auth.tokens().context("the role admin checks tokens")?;
        }
        self.log.validate().context("log")
    }

    pub(crate) fn has(&self, role: NodeRole) -> bool {
        self.node.roles.has(role)
    }

    pub(crate) const fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.node.drain_timeout_s)
    }
}

impl Directory {
    /// Reads the URL.
    pub(crate) fn place(&self) -> Result<Place> {
        if self.url == "embedded" {
            return Ok(Place::Embedded);
        }
        ensure!(
            self.data.is_none(),
            "directory.data is for an embedded directory; this one is {:?}",
            self.url
        );
        let (scheme, rest) = match (self.url.strip_prefix("etcd://"), self.url.strip_prefix("etcds://")) {
            (Some(rest), _) => ("http", rest),
            (_, Some(rest)) => ("https", rest),
            _ => bail!(
                "directory.url is {:?}; write etcd://host:port, etcds://host:port or embedded",
                self.url
            ),
        };
        let (hosts, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let tls = [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)];
        all_or_none("directory", &tls)?;
        let tls = match (&self.ca, &self.cert, &self.key) {
            (Some(ca), Some(cert), Some(key)) => {
                Some(EtcdTls { ca: ca.clone(), cert: cert.clone(), key: key.clone() })
            }
            _ => None,
        };
        let mut etcd = EtcdConfig {
            endpoints: hosts.split(',').map(|host| format!("{scheme}://{host}")).collect(),
            tls,
            connect_timeout_ms: self.connect_timeout_ms,
            request_timeout_ms: self.request_timeout_ms,
            ..EtcdConfig::default()
        };
        if !prefix.is_empty() {
            etcd.prefix = format!("/{prefix}");
        }
        etcd.validate().with_context(|| format!("directory.url {:?}", self.url))?;
        Ok(Place::Etcd(etcd))
    }

    pub(crate) const fn lease_ttl(&self) -> Duration {
        Duration::from_secs(self.lease_ttl_s)
    }
}

fn all_or_none(section: &str, files: &[(&str, &Option<PathBuf>)]) -> Result<()> {
    let missing: Vec<_> = files.iter().filter(|(_, file)| file.is_none()).map(|(name, _)| *name).collect();
    if missing.is_empty() || missing.len() == files.len() {
        return Ok(());
    }
    bail!("{section}.{} is missing; TLS needs all of {section}.{{{}}}", missing[0], names(files));
}

fn names(files: &[(&str, &Option<PathBuf>)]) -> String {
    files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",")
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
        config.auth.admin_tokens = Secret::from("0123456789abcdef0123456789abcdef");
        config.auth.ticket_keys = Secret::from(key_line("main", &[7; 32]).unwrap().as_str());
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
            (refused(|config| config.auth.admin_tokens = Secret::default()), "STENTOR_AUTH__ADMIN_TOKENS"),
            (refused(|config| config.auth.ticket_keys = Secret::from("main")), "STENTOR_AUTH__TICKET_KEYS"),
            (
                refused(|config| config.auth.ticket_keys_file = Some("keys".into())),
                "auth.ticket_keys_file are both",
            ),
            (refused(|config| config.log.filter = "x=loud".into()), "x=loud"),
        ] {
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn the_directory_is_read_from_its_url() {
        let place = |url: &str| Directory { url: url.into(), ..Directory::default() }.place().unwrap();
        assert_eq!(place("embedded"), Place::Embedded);
        let Place::Etcd(etcd) = place("etcd://a:2379,b:2379/live/eu") else { panic!("etcd is meant") };
        assert_eq!(etcd.endpoints, ["http://a:2379", "http://b:2379"]);
        assert_eq!(etcd.prefix, "/live/eu");
    }
}
