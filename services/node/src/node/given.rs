//! What a node can be given in place of what it makes itself.

use anyhow::{Result, anyhow};
use stentor_host::EngineFactory;
use stentor_link::{LinkServer, Pool};

use super::{ports, shared::Shared};
use crate::config::Config;

/// What a test puts in place of what a node makes itself.
#[derive(Default)]
pub struct Given {
    /// Links that are there already, in place of sockets as the configuration says.
    pub links: Option<Links>,
    /// What mixes its rooms, in place of mixers.
    pub engines: Option<EngineFactory>,
}

/// The links of one node.
pub struct Links {
    /// Where other nodes connect.
    pub server: LinkServer,
    /// The ways to other nodes.
    pub pool: Pool,
}

impl Links {
    /// Over sockets, as the configuration says.
    pub(super) fn bind(config: &Config, shared: &Shared) -> Result<Self> {
        let security = ports::security(&config.link)?;
        let server = ports::bind_link(&config.link, &security)?;
        let metrics = shared.metrics.for_node(&config.id()?);
        let pool = Pool::new(security, ports::leave_from(&config.link), &metrics);
        Ok(Self { server, pool: pool.map_err(|fault| anyhow!("links: {fault}"))? })
    }
}
