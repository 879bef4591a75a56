//! TLS of the public port.

use std::{io, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// What is spoken inside TLS, best first. HTTP/1.1 comes first since browsers offer both and streams are HTTP/1.1; gRPC
/// clients offer only `h2`.
const ALPN: [&[u8]; 2] = [b"http/1.1", b"h2"];

/// Takes TLS connections with a certificate chain and its key, both PEM.
pub(crate) fn acceptor(cert_pem: &str, key_pem: &str) -> io::Result<TlsAcceptor> {
    let bad = |what: &str, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("the {what} cannot be used: {error}"))
    };
    let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| bad("key", &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("TLS provider", &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad("certificate with this key", &error))?;
    config.alpn_protocols = ALPN.map(Vec::from).into();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
