//! The parts of a node, each made out of the ways to other nodes and its own section of the configuration.

use std::sync::Arc;

use anyhow::{Context, Result};
use stentor_admin::{Admin, Cluster, Protection};
use stentor_directory::{Directory, Labels, NodeRecord, NodeRole, Session};
use stentor_edge::{self as edge, Edge};
use stentor_host::{self as host, EngineFactory, Host, Topology};
use stentor_ids::NodeId;
use stentor_link::{Carrier, Journal, Locator, Pool, Skew, control, uplink::Uplinks};
use stentor_telemetry::{NodeMetrics, Tier};

use super::{Parts, ports};
use crate::config::Config;

/// The ways from a node to others.
pub(super) struct Ways {
    pub(super) id: NodeId,
    pub(super) pool: Pool,
    pub(super) topology: Arc<Topology>,
    pub(super) locator: Locator,
    pub(super) control: control::Client,
    pub(super) metrics: NodeMetrics,
    pub(super) journal: Journal,
}

impl Ways {
    /// The rooms of an origin.
    pub(super) fn host(
        &self,
        config: &Config,
        directory: &Directory,
        session: &Arc<Session>,
        engines: Option<EngineFactory>,
    ) -> Result<Option<Host>> {
        if !config.has(NodeRole::Origin) {
            return Ok(None);
        }
        let (pool, topology, metrics) = (self.pool.clone(), self.topology.clone(), self.metrics.clone());
        let (rooms, directory, journal) = (config.rooms.clone(), directory.clone(), self.journal.clone());
        let host = Host::new(rooms, directory, session, pool, topology, journal, metrics)?;
        Ok(Some(match engines {
            Some(engines) => host.with_engine(engines),
            None => host,
        }))
    }

    /// The watch over this node's clock.
    pub(super) fn skew(&self) -> Skew {
        let (me, control, metrics) = (self.id.clone(), self.control.clone(), self.metrics.clone());
        Skew::new(me, self.topology.clone(), control, metrics, self.journal.clone())
    }

    /// What carries rooms for other nodes: a relay does, and an origin where there are no two relays.
    pub(super) fn relay(&self, config: &Config, links: &Parts) -> Option<Carrier> {
        let carries = config.has(NodeRole::Relay) || config.has(NodeRole::Origin);
        carries.then(|| self.carrier(Tier::Relay, links))
    }

    fn carrier(&self, tier: Tier, links: &Parts) -> Carrier {
        let config = stentor_link::Config { me: self.id.clone(), tier };
        let carrier = Carrier::new(
            config,
            self.pool.clone(),
            self.topology.clone(),
            self.metrics.clone(),
            self.journal.clone(),
        );
        links.run_quiet(carrier.clone().run(links.stop()));
        carrier
    }

    /// Where people connect, bound.
    pub(super) fn edge(&self, config: &Config, links: &Parts) -> Result<Option<Edge>> {
        if !config.has(NodeRole::Edge) {
            return Ok(None);
        }
        let tls = ports::edge_tls(&config.edge)?;
        let (me, pool, locator) = (self.id.clone(), self.pool.clone(), self.locator.clone());
        let uplinks =
            Uplinks::new(me.clone(), pool, locator.clone(), self.topology.clone(), self.metrics.clone());
        let ways = edge::Ways {
            me,
            topology: self.topology.clone(),
            carrier: self.carrier(Tier::Edge, links),
            locator,
            uplinks,
            owners: self.control.clone(),
        };
        let edge =
            Edge::new(&config.edge, tls.as_ref(), config.auth.edge_keys()?, ways, self.metrics.clone());
        edge.map(Some).context("give another address with --edge-listen")
    }

    /// Where operators connect, bound.
    pub(super) fn admin(&self, config: &Config, directory: &Directory) -> Result<Option<Admin>> {
        if !config.has(NodeRole::Admin) {
            return Ok(None);
        }
        let cluster = Cluster {
            directory: directory.clone(),
            topology: self.topology.clone(),
            control: self.control.clone(),
            journal: self.journal.clone(),
        };
        let protection = Protection {
            tokens: config.auth.tokens()?,
            tls: ports::admin_tls(&config.admin)?,
            insecure: config.link.insecure,
        };
        let admin = Admin::new(&config.admin, protection, cluster, self.metrics.clone());
        admin.map(Some).context("admin.listen (--admin-listen), admin.cert and admin.key")
    }
}

/// What the node tells the cluster of itself.
pub(super) fn record(
    config: &Config,
    id: &NodeId,
    link: std::net::SocketAddr,
    edge: Option<&Edge>,
) -> Result<NodeRecord> {
    let public_addr = edge.map(|edge| {
        let set = &config.edge.advertise;
        let scheme = if config.edge.cert.is_some() { "https" } else { "http" };
        let told = ports::advertised("edge", set, edge.local_addr())?;
        Ok::<_, anyhow::Error>(if set.is_empty() { format!("{scheme}://{told}") } else { told })
    });
    Ok(NodeRecord {
        link_addr: ports::advertised("link", &config.link.advertise, link)?,
        public_addr: public_addr.transpose()?,
        build: env!("CARGO_PKG_VERSION").into(),
        labels: Labels {
            zone: config.node.zone.clone(),
            capacity: config.node.capacity,
            draining: false,
            schema: host::SCHEMA,
        },
        ..NodeRecord::new(id.clone(), config.node.roles)
    })
}
