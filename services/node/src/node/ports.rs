//! What a node binds and reads at start, with errors that name the setting to change.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::{Context, Result, bail};
use stentor_link::{LinkServer, Security};

use crate::config;

/// How the links are secured; off loopback that must be TLS unless the operator says otherwise.
pub(super) fn security(link: &config::Link) -> Result<Security> {
    let security = match (&link.ca, &link.cert, &link.key) {
        (Some(ca), Some(cert), Some(key)) => Security::Mutual {
            ca_pem: read("link.ca", ca)?,
            cert_pem: read("link.cert", cert)?,
            key_pem: read("link.key", key)?,
        },
        _ => Security::Insecure,
    };
    security.check(link.listen, link.insecure).map_err(|fault| {
        anyhow::anyhow!("{} (link.ca, link.cert and link.key, or --insecure)", fault.detail)
    })?;
    Ok(security)
}

/// The certificate and key of the edge, if it serves HTTPS.
pub(super) fn edge_tls(edge: &stentor_edge::Config) -> Result<Option<stentor_edge::Tls>> {
    let (Some(cert), Some(key)) = (&edge.cert, &edge.key) else { return Ok(None) };
    Ok(Some(stentor_edge::Tls { cert_pem: read("edge.cert", cert)?, key_pem: read("edge.key", key)? }))
}

/// The certificate and key of the admin's port, if operators speak TLS to it.
pub(super) fn admin_tls(admin: &stentor_admin::Config) -> Result<Option<stentor_admin::Tls>> {
    let (Some(cert), Some(key)) = (&admin.cert, &admin.key) else { return Ok(None) };
    Ok(Some(stentor_admin::Tls { cert_pem: read("admin.cert", cert)?, key_pem: read("admin.key", key)? }))
}

/// Reads a PEM file that a setting names.
fn read(setting: &str, path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{setting} {}", path.display()))
}

/// Binds the port for other nodes.
pub(super) fn bind_link(link: &config::Link, security: &Security) -> Result<LinkServer> {
    let server =
        LinkServer::bind(link.listen, security).context("give another address with --link-listen")?;
    Ok(server.with_max_connections(link.max_connections))
}

/// The address that links to other nodes leave from: the one they listen at, so that who sees them can tell the nodes of one
/// machine apart. None, to leave it to the system, where that is every address, or the one that reaches only this machine: behind
/// a proxy of its own a node listens there and calls others elsewhere.
pub(super) fn leave_from(link: &config::Link) -> Option<IpAddr> {
    let own = link.listen.ip();
    let anywhere = own.is_unspecified() || own == Ipv4Addr::LOCALHOST || own == std::net::Ipv6Addr::LOCALHOST;
    (!anywhere).then_some(own)
}

/// What others are told of a bound address: what is set, or the address if it means something elsewhere.
pub(super) fn advertised(setting: &str, set: &str, bound: SocketAddr) -> Result<String> {
    if !set.is_empty() {
        return Ok(set.to_owned());
    }
    if bound.ip().is_unspecified() {
        bail!("{setting}.listen is {bound}, which no other node can connect to; set {setting}.advertise");
    }
    Ok(bound.to_string())
}
