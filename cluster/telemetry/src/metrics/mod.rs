//! Every metric there is: names, units and labels. All carry the label `node`.
//!
//! | name | type | other labels | what it is |
//! |---|---|---|---|
//! | `stentor_frames_total` | counter | `tier`, `outcome` | room audio, in slots, by what became of it |
//! | `stentor_uplink_packets_total` | counter | `tier`, `outcome` | packets of speakers, by what became of them |
//! | `stentor_rooms` | gauge | `tier` | rooms owned (origin) or carried (relay, edge) |
//! | `stentor_listeners` | gauge | `protocol` | listeners connected to this edge |
//! | `stentor_speakers` | gauge | `tier` | speakers connected to this edge, or to rooms of this origin |
//! | `stentor_joins_total` | counter | `protocol` | listeners that began to hear |
//! | `stentor_leaves_total` | counter | `reason` | listeners' sessions that ended |
//! | `stentor_egress_bytes_total` | counter | `protocol` | bytes written to listeners |
//! | `stentor_downlink_bytes_total` | counter | `tier` | bytes of room audio and state sent to children |
//! | `stentor_links` | gauge | `kind` | streams and connections to other nodes |
//! | `stentor_link_failures_total` | counter | `kind` | of them, those that broke or stalled |
//! | `stentor_reports_refused_total` | counter | | what other nodes reported of rooms and that cannot be |
//! | `stentor_epoch_changes_total` | counter | | higher epochs seen in frames, fences or claims |
//! | `stentor_claims_total` | counter | `outcome` | this node's claims of rooms |
//! | `stentor_hand_offs_total` | counter | `outcome` | rooms this node handed to another |
//! | `stentor_room_restarts_total` | counter | | rooms restarted from their record after a panic |
//! | `stentor_rooms_put_back_total` | counter | | rooms that this admin node wrote anew after the directory had lost them |
//! | `stentor_lease_held` | gauge | | 1 while the node's lease is known to be good |
//! | `stentor_lease_events_total` | counter | `outcome` | renewals of the node's lease |
//! | `stentor_directory_calls_total` | counter | `outcome` | requests to the directory |
//! | `stentor_directory_read_bytes_total` | counter | `keys` | keys and values read for the view of the directory |
//! | `stentor_clock_offset_seconds` | gauge | | this node's clock less the median of the cluster's |
//! | `stentor_draining` | gauge | | 1 while the node is leaving |
//! | `stentor_http_requests_total` | counter | `code` | answers of the edge over HTTP, by status |
//! | `stentor_refusals_total` | counter | `code` | refusals to clients, by error code |
//! | `stentor_connections_refused_total` | counter | `port` | connections closed as they came, since the port had all it may have |
//! | `stentor_invariant_violations_total` | counter | `invariant` | invariants found broken; any is a bug |
//! | `stentor_mouth_to_ear_seconds` | histogram | | from a packet's stamp at the ingest edge to playout at this edge |
//! | `stentor_playout_margin_seconds` | histogram | | time left until its deadline when a slot came |
//! | `stentor_playout_buffer_seconds` | histogram | | how long a room's seam buffer is, each second |
//! | `stentor_mix_seconds` | histogram | | work of mixing and encoding one slot of one room |
//! | `stentor_tick_late_seconds` | histogram | | how late a room's 20 ms tick began |
//! | `stentor_fan_out_seconds` | histogram | | a shard's work of giving one frame to all its listeners |
//! | `stentor_commit_seconds` | histogram | | a room record's commit in the directory |
//! | `stentor_join_seconds` | histogram | | from a listener's request to its first audio |

mod families;
mod labels;
mod node;

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::text, registry::Registry};
use stentor_ids::NodeId;

use families::Families;
pub use labels::{Call, Claim, Frames, Keys, Lease, Leave, LinkKind, Packet, PortKind, Protocol, Tier};
pub use node::{Latency, NodeMetrics};
pub use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// All metrics of the process. Make one, and hand each node of the process its [`NodeMetrics`].
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: Families,
}

impl Metrics {
    /// The metrics of a process, all at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("stentor");
        let families = Families::register(&mut registry);
        Self(Arc::new(Inner { registry, families }))
    }

    /// The handles of one node, resolved once. Two calls with one id give handles to the same values.
    #[must_use]
    pub fn for_node(&self, node: &NodeId) -> NodeMetrics {
        NodeMetrics::new(&self.0.families, node)
    }

    /// All metrics as text (OpenMetrics 1.0; Prometheus reads it). Serve it as [`Metrics::CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.0.registry).expect("writing to a string does not fail");
        out
    }

    /// Media type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stentor_ids::Code;
    use stentor_pace::Invariant;

    use super::*;

    fn node(id: &str) -> NodeId {
        NodeId::new(id).unwrap()
    }

    #[test]
    fn what_a_node_counted_is_told_under_its_name() {
        let metrics = Metrics::new();
        let edge = metrics.for_node(&node("edge-1"));
        edge.frames(Tier::Edge, Frames::Lost).inc_by(3);
        edge.listeners(Protocol::Ogg).set(7);
        edge.mouth_to_ear().observe(Duration::from_millis(95));
        edge.http_request(425);
        edge.refusal(Code::NotLiveYet);
        edge.violated(&Invariant::SlotOnce.broken("slot 3 was given after 3".into()));
        metrics.for_node(&node("edge-1")).frames(Tier::Edge, Frames::Lost).inc();
        let text = metrics.encode();
        for line in [
            r#"stentor_frames_total{node="edge-1",tier="edge",outcome="lost"} 4"#,
            r#"stentor_listeners{node="edge-1",protocol="ogg"} 7"#,
            r#"stentor_mouth_to_ear_seconds_bucket{le="0.08",node="edge-1"} 0"#,
            r#"stentor_mouth_to_ear_seconds_bucket{le="0.1",node="edge-1"} 1"#,
            r#"stentor_http_requests_total{node="edge-1",code="425"} 1"#,
            r#"stentor_refusals_total{node="edge-1",code="not_live_yet"} 1"#,
            r#"stentor_invariant_violations_total{node="edge-1",invariant="slot_once"} 1"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_table_names_every_metric_and_no_other() {
        let metrics = Metrics::new();
        let node = metrics.for_node(&node("n"));
        node.http_request(200);
        node.refusal(Code::Overloaded);
        let text = metrics.encode();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut told: Vec<String> = types
            .map(|line| match line.split_once(' ') {
                Some((name, "counter")) => format!("{name}_total counter"),
                _ => line.to_owned(),
            })
            .collect();
        let rows = include_str!("mod.rs").lines().filter_map(|line| line.strip_prefix("//! | `stentor_"));
        let mut written: Vec<String> = rows
            .map(|row| {
                let mut cells = row.split(" | ");
                let name = cells.next().unwrap_or_default().trim_end_matches('`');
                format!("stentor_{name} {}", cells.next().unwrap_or_default())
            })
            .collect();
        told.sort();
        written.sort();
        assert_eq!(told, written);
    }
}
