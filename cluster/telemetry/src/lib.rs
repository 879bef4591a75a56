//! How a process tells what it does: log lines, traces over OTLP, and metrics for Prometheus.
//!
//! Every driver and service uses this crate, and it alone knows OpenTelemetry and the Prometheus client. It knows no
//! other driver. Nothing here names a listener, a participant or an address; the values of every label come from closed
//! sets, so that the number of time series depends on the number of nodes alone.

mod init;
mod metrics;
pub mod propagation;

pub use init::{Config, Error, Format, Guard, init};
pub use metrics::{
    Call, Claim, Counter, Frames, Gauge, Keys, Latency, Lease, Leave, LinkKind, Metrics, NodeMetrics, Packet,
    PortKind, Protocol, Tier,
};
