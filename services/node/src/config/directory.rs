//! Where the directory is.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use stentor_directory::{EtcdConfig, EtcdTls};

use super::files::all_or_none;

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

/// Where the directory is, as the URL says.
#[derive(Debug, PartialEq)]
pub(crate) enum Place {
    Embedded,
    Etcd(EtcdConfig),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_read_from_its_url() {
        let place = |url: &str| Directory { url: url.into(), ..Directory::default() }.place().unwrap();
        assert_eq!(place("embedded"), Place::Embedded);
        let Place::Etcd(etcd) = place("etcd://a:2379,b:2379/live/eu") else { panic!("etcd is meant") };
        assert_eq!(etcd.endpoints, ["http://a:2379", "http://b:2379"]);
        assert_eq!(etcd.prefix, "/live/eu");
    }
}
