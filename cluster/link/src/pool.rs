//! One gRPC connection for each other node, made when first used and again when it broke.

use std::sync::Arc;

use stentor_ids::Fault;
use stentor_telemetry::NodeMetrics;
use tonic::transport::Channel;

use crate::Security;

/// The connections to other nodes. Clones share them.
#[derive(Clone)]
pub struct Pool(#[allow(dead_code)] Arc<()>);

impl Pool {
    /// An empty pool.
    ///
    /// # Errors
    /// A certificate or key cannot be read.
    pub fn new(_security: Security, _metrics: NodeMetrics) -> Result<Self, Fault> {
        todo!()
    }

    /// The connection to the node whose links listen at `link_addr` (`host:port`). It is made in the background; calls on
    /// it wait for that, up to a second.
    ///
    /// # Errors
    /// The address is no address.
    pub fn channel(&self, _link_addr: &str) -> Result<Channel, Fault> {
        todo!()
    }
}
