//! What an edge can be told: the section `edge` of a node's settings, each of which stands here and nowhere else in code.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The settings of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where people connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The edge's URL as people know it; empty to tell them the one that they came by.
    pub advertise: String,
    /// Threads that write to HTTP listeners; 0 for one a core.
    pub shards: usize,
    /// The seam buffer: how long a slot may take before it is given up, and how much later everyone hears. 20 to 2000 ms.
    pub buffer_ms: u64,
    /// How far the seam buffer grows, by a slot each time that nothing has come when one is due. It is given back in
    /// silence. At most 2000 ms; no more than `buffer_ms` keeps it as it is.
    pub buffer_max_ms: u64,
    /// Most connections at once; 0 for as many as the process may have file descriptors.
    pub max_connections: usize,
    /// How long an HTTP listener may take nothing of what waits for it before it is dropped. 1000 ms and more: longer than
    /// any hiccup of a mobile network that a player survives.
    pub patience_ms: u64,
    /// File of the certificate chain for HTTPS, PEM; plain HTTP without. Whoever makes the edge reads it.
    pub cert: Option<PathBuf>,
    /// File of its private key, PEM.
    pub key: Option<PathBuf>,
}

/// What the files of the certificate and its key hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub cert_pem: String,
    /// The private key, PEM.
    pub key_pem: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            advertise: String::new(),
            shards: 0,
            buffer_ms: 60,
            buffer_max_ms: 200,
            max_connections: 0,
            patience_ms: 10_000,
            cert: None,
            key: None,
        }
    }
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// A sentence that names the setting, its value and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        if !(20..=2000).contains(&self.buffer_ms) {
            return Err(format!("buffer_ms is {}; give 20 to 2000", self.buffer_ms));
        }
        if self.buffer_max_ms > 2000 {
            return Err(format!("buffer_max_ms is {}; give at most 2000", self.buffer_max_ms));
        }
        if self.patience_ms < 1000 {
            return Err(format!("patience_ms is {}; give at least 1000", self.patience_ms));
        }
        if self.shards > MAX_SHARDS {
            return Err(format!("shards is {}; give at most {MAX_SHARDS}", self.shards));
        }
        let url = self.advertise.is_empty() || self.advertise.contains("://");
        url.then_some(()).ok_or_else(|| format!("advertise is {:?}; give a URL", self.advertise))
    }
}

/// Far more threads than any machine has cores.
const MAX_SHARDS: usize = 1024;

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_what_is_not_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert_eq!(refused(|config| config.buffer_ms = 5), "buffer_ms is 5; give 20 to 2000");
        assert_eq!(refused(|config| config.buffer_max_ms = 2001), "buffer_max_ms is 2001; give at most 2000");
        assert!(refused(|config| config.patience_ms = 1).starts_with("patience_ms is 1;"));
        assert!(refused(|config| config.shards = 2000).starts_with("shards is 2000;"));
        assert!(refused(|config| config.advertise = "example.com".into()).contains("give a URL"));
    }
}
