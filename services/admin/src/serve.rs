//! The operators' port: bound at once, so that a port in use is told before anything else starts.
//!
//! Invariant: no call of `AdminService` is answered without a valid admin token.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use stentor_admission::AdminTokens;
use stentor_link::Port;
use stentor_proto::v1::{
    DESCRIPTOR,
    admin_service_server::{AdminServiceServer, SERVICE_NAME},
};
use stentor_telemetry::{NodeMetrics, PortKind};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic_health::{ServingStatus, pb::health_server::SERVICE_NAME as HEALTH};
use tonic_reflection::pb::{
    v1::server_reflection_server as reflection_v1, v1alpha::server_reflection_server as reflection_v1alpha,
};

use crate::{
    Cluster,
    auth::{Attempts, Guarded},
    calls::Calls,
    lost,
};

/// Longest request: the longest title and reason are far below.
const MAX_REQUEST: usize = 64 * 1024;
/// Calls of one connection at the same time; more wait.
const CALLS_PER_CONNECTION: usize = 32;
/// Connections at once, unless set: operators and automations have one each, a page that watches one a tab. Few enough
/// that a port full of guessers, each of whom has [`CALLS_PER_CONNECTION`] under way, tries no more than some thousand
/// tokens a second.
const MAX_CONNECTIONS: usize = 256;
/// Most that can be set: about as many file descriptors as a process may have.
const MOST_CONNECTIONS: usize = 1_000_000;
/// How long a TLS handshake may take. Who does not finish it holds a place.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// An operator's connection that hangs is closed after these.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How long calls under way may take to end at shutdown.
const GOODBYE: Duration = Duration::from_secs(2);

/// Where and how operators connect: the section `admin` of a node's settings, each of which stands here and nowhere else
/// in code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at once, 1 to 1 000 000; one more is closed as it comes.
    pub max_connections: usize,
    /// File of the certificate chain for TLS, PEM. Whoever makes the port reads it.
    pub cert: Option<PathBuf>,
    /// File of its private key, PEM.
    pub key: Option<PathBuf>,
}

impl Default for Config {
    /// Plain text on 127.0.0.1:7070, 256 connections.
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 7070));
        Self { listen, max_connections: MAX_CONNECTIONS, cert: None, key: None }
    }
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// A sentence that names the setting, its value and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let connections = self.max_connections;
        if !(1..=MOST_CONNECTIONS).contains(&connections) {
            return Err(format!("max_connections is {connections}; give 1 to {MOST_CONNECTIONS}"));
        }
        Ok(())
    }
}

/// What keeps others out.
#[derive(Debug, Clone)]
pub struct Protection {
    /// Whoever shows one of these is an operator.
    pub tokens: AdminTokens,
    /// What the certificate and key hold, for TLS.
    pub tls: Option<Tls>,
    /// The operator's word that tokens in plain text off loopback are meant.
    pub insecure: bool,
}

impl Protection {
    /// # Errors
    /// [`Error::PlainText`].
    fn check(&self, listen: SocketAddr) -> Result<(), Error> {
        if self.tls.is_none() && !self.insecure && !listen.ip().is_loopback() {
            return Err(Error::PlainText { listen });
        }
        Ok(())
    }
}

/// A certificate chain and its key, both PEM.
#[derive(Clone)]
pub struct Tls {
    /// The chain.
    pub cert_pem: String,
    /// The key.
    pub key_pem: String,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Why operators cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be.
    #[error("the operators' setting {0}")]
    Config(String),
    /// Tokens would travel in plain text.
    #[error(
        "admin tokens would cross the network in plain text at {listen}; give a certificate and key, or say that it is \
         meant to be insecure"
    )]
    PlainText {
        /// Where it was to listen.
        listen: SocketAddr,
    },
    /// The port is taken, or not ours to take.
    #[error("operators cannot connect at {listen}: {source}; free the port or choose another")]
    Bind {
        /// Where it was to listen.
        listen: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificate or key is not usable, or serving failed.
    #[error("operators cannot be served: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptor of our own services does not parse.
    #[error("gRPC reflection cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The operators' port, bound and not served yet.
pub struct Admin {
    port: Port,
    server: Server,
    tokens: AdminTokens,
    cluster: Cluster,
    metrics: NodeMetrics,
}

impl Admin {
    /// Binds the port. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`Error`] says why it cannot be.
    pub fn new(
        config: &Config,
        protection: Protection,
        cluster: Cluster,
        metrics: NodeMetrics,
    ) -> Result<Self, Error> {
        config.validate().map_err(Error::Config)?;
        protection.check(config.listen)?;
        let Protection { tokens, tls, .. } = protection;
        let bind = |source| Error::Bind { listen: config.listen, source };
        let port = Port::bind(config.listen, config.max_connections).map_err(bind)?;
        let mut server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .concurrency_limit_per_connection(CALLS_PER_CONNECTION);
        if let Some(tls) = tls {
            let identity = Identity::from_pem(tls.cert_pem, tls.key_pem);
            server = server.tls_config(ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE))?;
        }
        Ok(Self { port, server, tokens, cluster, metrics })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.port.local_addr()
    }

    /// Serves until `shutdown`, and puts back what the directory loses meanwhile; then calls under way have two seconds to end.
    ///
    /// # Errors
    /// [`Error::Transport`] if serving fails.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { port, mut server, tokens, cluster, metrics } = self;
        let put_back = lost::put_back(cluster.directory.clone(), metrics.clone());
        let incoming = port.connections::<Attempts>(metrics.connections_refused(PortKind::Admin).clone());
        let calls = AdminServiceServer::new(Calls::new(cluster, metrics.clone(), shutdown.clone()));
        let calls = Guarded::new(calls.max_decoding_message_size(MAX_REQUEST), tokens, metrics);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<AdminServiceServer<Calls>>().await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTOR)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name(SERVICE_NAME)
                .with_service_name(HEALTH)
                .with_service_name(reflection_v1::SERVICE_NAME)
                .with_service_name(reflection_v1alpha::SERVICE_NAME)
        };
        let serving = server
            .add_service(calls)
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
        let stopped = async {
            shutdown.cancelled().await;
            health.set_service_status("", ServingStatus::NotServing).await;
            health.set_not_serving::<AdminServiceServer<Calls>>().await;
            tokio::time::sleep(GOODBYE).await;
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = stopped => Ok(()),
            () = put_back => Ok(()),
        }
    }
}
