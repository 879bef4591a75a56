//! What the nodes of a cluster are linked by.

use std::net::{Ipv4Addr, SocketAddr};

#[cfg(feature = "memory")]
use stentor_link::memory::Network;
use stentor_link::{LinkServer, Pool, Security};
use stentor_node as node;
use stentor_telemetry::NodeMetrics;

/// Sockets on loopback, or memory.
#[derive(Clone)]
pub(crate) enum Links {
    Sockets,
    #[cfg(feature = "memory")]
    Memory(Network),
}

impl Links {
    /// A port for other nodes, on any address.
    pub(crate) fn server(&self) -> LinkServer {
        match self {
            Self::Sockets => {
                let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                LinkServer::bind(any, &Security::Insecure).unwrap()
            }
            #[cfg(feature = "memory")]
            Self::Memory(network) => LinkServer::in_memory(network),
        }
    }

    /// The ways from one node to others.
    pub(crate) fn pool(&self, metrics: &NodeMetrics) -> Pool {
        match self {
            Self::Sockets => Pool::new(Security::Insecure, None, metrics).unwrap(),
            #[cfg(feature = "memory")]
            Self::Memory(network) => Pool::in_memory(network.clone(), metrics),
        }
    }

    /// What a node is given in place of the sockets that it binds; `None` if it binds them.
    pub(crate) fn given(&self, metrics: &NodeMetrics) -> Option<node::Links> {
        let sockets = matches!(self, Self::Sockets);
        (!sockets).then(|| node::Links { server: self.server(), pool: self.pool(metrics) })
    }
}
