//! How to reach etcd.

use std::{path::PathBuf, time::Duration};

use crate::Error;

/// An etcd server closes a connection that pings it more often than every 5 s (`--grpc-keepalive-min-time`).
const MIN_KEEPALIVE_MS: u64 = 5_000;

/// How to reach etcd. What of it an operator sets is the node's `[directory]`, which is made into this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// The members, as `http://host:port` or `https://host:port`. One is used at a time; the next when it fails.
    pub endpoints: Vec<String>,
    /// Certificates, for `https` endpoints.
    pub tls: Option<EtcdTls>,
    /// What all keys start with, so that several clusters can share an etcd. No slash at the end.
    pub prefix: String,
    /// Longest wait for the first answer at start, and for each new connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for the answer to one request, in milliseconds.
    pub request_timeout_ms: u64,
    /// Time between pings of a connection, in milliseconds; at least 5000.
    pub keepalive_ms: u64,
    /// How long a watch may be silent before it is asked for a sign of life, and again before it is given up, in
    /// milliseconds.
    pub watch_idle_ms: u64,
}

/// The files, in PEM, for TLS to etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdTls {
    /// Certificates of the authorities that sign etcd's certificate.
    pub ca: PathBuf,
    /// This client's certificate, with its chain.
    pub cert: PathBuf,
    /// This client's private key.
    pub key: PathBuf,
}

impl Default for EtcdConfig {
    fn default() -> Self {
        Self {
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            tls: None,
            prefix: "/stentor/v1".to_owned(),
            connect_timeout_ms: 3_000,
            request_timeout_ms: 2_000,
            keepalive_ms: 10_000,
            watch_idle_ms: 5_000,
        }
    }
}

impl EtcdConfig {
    /// Checks what can be checked without a connection.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that cannot work, with its value.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Config(text));
        if self.endpoints.is_empty() {
            return refuse("endpoints is empty; give at least one, as http://host:port".to_owned());
        }
        let scheme = if self.tls.is_some() { "https://" } else { "http://" };
        for endpoint in &self.endpoints {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                return refuse(format!("endpoint {endpoint:?} does not start with http:// or https://"));
            }
            if !endpoint.starts_with(scheme) {
                return refuse(format!(
                    "endpoint {endpoint:?}: https:// and tls certificates go together; give both or neither"
                ));
            }
        }
        if !self.prefix.starts_with('/') || self.prefix.ends_with('/') {
            return refuse(format!("prefix {:?} must start with a slash and not end with one", self.prefix));
        }
        let times = [
            ("connect_timeout_ms", self.connect_timeout_ms, 1),
            ("request_timeout_ms", self.request_timeout_ms, 1),
            ("keepalive_ms", self.keepalive_ms, MIN_KEEPALIVE_MS),
            ("watch_idle_ms", self.watch_idle_ms, 1),
        ];
        for (name, value, least) in times {
            if value < least {
                return refuse(format!("{name} is {value}; at least {least} is needed"));
            }
        }
        Ok(())
    }

    pub(crate) const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) const fn keepalive(&self) -> Duration {
        Duration::from_millis(self.keepalive_ms)
    }

    pub(crate) const fn watch_idle(&self) -> Duration {
        Duration::from_millis(self.watch_idle_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_work_is_refused_by_the_name_of_its_field() {
        let good = EtcdConfig::default();
        assert!(good.validate().is_ok());
        let bad = [
            (EtcdConfig { endpoints: vec![], ..good.clone() }, "endpoints"),
            (EtcdConfig { endpoints: vec!["etcd:2379".into()], ..good.clone() }, "etcd:2379"),
            (EtcdConfig { endpoints: vec!["https://etcd:2379".into()], ..good.clone() }, "tls"),
            (EtcdConfig { prefix: "stentor/".into(), ..good.clone() }, "prefix"),
            (EtcdConfig { keepalive_ms: 1000, ..good.clone() }, "keepalive_ms"),
            (EtcdConfig { request_timeout_ms: 0, ..good }, "request_timeout_ms"),
        ];
        for (config, named) in bad {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
