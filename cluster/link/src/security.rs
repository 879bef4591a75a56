//! How links are secured. Off loopback they are mutual TLS, or the process refuses to start unless told otherwise.
//!
//! One certificate authority signs the certificates of the cluster's nodes and nothing else. Each certificate carries
//! the DNS name [`SERVER_NAME`], whatever the node's address: addresses change, and who holds a certificate of that
//! authority is a node. A node is thereby trusted to say which node it is.

use std::{fmt, net::SocketAddr};

use stentor_ids::{Code, Fault};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// The DNS name that every node's certificate carries, and that a connecting node asks for.
pub const SERVER_NAME: &str = "stentor-link";

/// How the links of a node are secured.
#[derive(Clone)]
pub enum Security {
    /// Plain text, for loopback and for those who secure the network by other means.
    Insecure,
    /// Mutual TLS: both sides show a certificate of the cluster's authority. All three are PEM.
    Mutual {
        /// The authority's certificate.
        ca_pem: String,
        /// This node's certificate chain.
        cert_pem: String,
        /// Its private key.
        key_pem: String,
    },
}

impl Security {
    /// Whether a node may listen for links at `listen` with this security; `insecure` is the operator's word that plain
    /// text off loopback is meant.
    ///
    /// # Errors
    /// It may not; the fault says what to do.
    pub fn check(&self, listen: SocketAddr, insecure: bool) -> Result<(), Fault> {
        match self {
            Self::Insecure if !listen.ip().is_loopback() && !insecure => Err(Fault::new(
                Code::InvalidArgument,
                format!(
                    "links at {listen} would be plain text off loopback; give a CA, certificate and key for mutual \
                     TLS, or say that it is meant to be insecure"
                ),
            )),
            Self::Insecure | Self::Mutual { .. } => Ok(()),
        }
    }

    pub(crate) fn client(&self) -> Option<ClientTlsConfig> {
        match self {
            Self::Insecure => None,
            Self::Mutual { ca_pem, cert_pem, key_pem } => Some(
                ClientTlsConfig::new()
                    .domain_name(SERVER_NAME)
                    .ca_certificate(Certificate::from_pem(ca_pem))
                    .identity(Identity::from_pem(cert_pem, key_pem)),
            ),
        }
    }

    pub(crate) fn server(&self) -> Option<ServerTlsConfig> {
        match self {
            Self::Insecure => None,
            Self::Mutual { ca_pem, cert_pem, key_pem } => Some(
                ServerTlsConfig::new()
                    .client_ca_root(Certificate::from_pem(ca_pem))
                    .identity(Identity::from_pem(cert_pem, key_pem)),
            ),
        }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insecure => "Insecure",
            Self::Mutual { .. } => "Mutual",
        })
    }
}
