//! One node's handles. Each is resolved once, here; what happens for every frame is then an addition to an atomic.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use stentor_ids::{Code, NodeId};
use stentor_pace::{Invariant, Violation};

use super::{
    families::{Families, Histograms, Labels, Offset},
    labels::{Call, Claim, Frames, Keys, Label, Lease, Leave, LinkKind, Packet, PortKind, Protocol, Tier},
};

/// A histogram of durations, in seconds.
#[derive(Debug, Clone)]
pub struct Latency(Histogram);

impl Latency {
    /// Counts one duration. Takes a lock for an instant: once a slot is fine, once a listener and slot is not.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

/// The metrics of one node. Clones share the values. Keep a clone of a returned handle where even the index matters.
#[derive(Clone)]
pub struct NodeMetrics(Arc<Handles>);

struct Handles {
    node: String,
    frames: Vec<Vec<Counter>>,
    uplink_packets: Vec<Vec<Counter>>,
    rooms: Vec<Gauge>,
    listeners: Vec<Gauge>,
    speakers: Vec<Gauge>,
    joins: Vec<Counter>,
    leaves: Vec<Counter>,
    egress: Vec<Counter>,
    downlink_bytes: Vec<Counter>,
    links: Vec<Gauge>,
    link_failures: Vec<Counter>,
    reports_refused: Counter,
    epoch_changes: Counter,
    claims: Vec<Counter>,
    hand_offs: Vec<Counter>,
    room_restarts: Counter,
    rooms_put_back: Counter,
    lease_held: Gauge,
    lease_events: Vec<Counter>,
    directory_calls: Vec<Counter>,
    directory_read_bytes: Vec<Counter>,
    clock_offset: Offset,
    draining: Gauge,
    http_requests: Family<Labels, Counter>,
    refusals: Family<Labels, Counter>,
    connections_refused: Vec<Counter>,
    violations: Vec<Counter>,
    mouth_to_ear: Latency,
    playout_margin: Latency,
    playout_buffer: Latency,
    mix: Latency,
    tick_late: Latency,
    fan_out: Latency,
    commit: Latency,
    join: Latency,
}

/// Resolves the handles of one node.
struct Resolver<'a>(&'a NodeId);

impl Resolver<'_> {
    fn labels(&self, more: &[(&'static str, &str)]) -> Labels {
        let node = [("node", self.0.as_str())];
        node.iter().chain(more).map(|(key, value)| (*key, (*value).to_owned())).collect()
    }

    fn one<M: Clone + Default>(&self, family: &Family<Labels, M>) -> M {
        family.get_or_create_owned(&self.labels(&[]))
    }

    fn row<L: Label, M: Clone + Default>(&self, family: &Family<Labels, M>, key: &'static str) -> Vec<M> {
        L::ALL.iter().map(|value| family.get_or_create_owned(&self.labels(&[(key, value.text())]))).collect()
    }

    fn grid<L: Label>(&self, family: &Family<Labels, Counter>) -> Vec<Vec<Counter>> {
        let cell = |tier: &Tier, outcome: &L| {
            family.get_or_create_owned(&self.labels(&[("tier", tier.text()), ("outcome", outcome.text())]))
        };
        Tier::ALL.iter().map(|tier| L::ALL.iter().map(|outcome| cell(tier, outcome)).collect()).collect()
    }

    fn latency(&self, family: &Histograms) -> Latency {
        Latency(family.get_or_create_owned(&self.labels(&[])))
    }
}

impl NodeMetrics {
    pub(super) fn new(families: &Families, node: &NodeId) -> Self {
        let of = Resolver(node);
        let invariant = |invariant: &Invariant| {
            families.violations.get_or_create_owned(&of.labels(&[("invariant", invariant.as_str())]))
        };
        Self(Arc::new(Handles {
            node: node.to_string(),
            frames: of.grid::<Frames>(&families.frames),
            uplink_packets: of.grid::<Packet>(&families.uplink_packets),
            rooms: of.row::<Tier, _>(&families.rooms, "tier"),
            listeners: of.row::<Protocol, _>(&families.listeners, "protocol"),
            speakers: of.row::<Tier, _>(&families.speakers, "tier"),
            joins: of.row::<Protocol, _>(&families.joins, "protocol"),
            leaves: of.row::<Leave, _>(&families.leaves, "reason"),
            egress: of.row::<Protocol, _>(&families.egress, "protocol"),
            downlink_bytes: of.row::<Tier, _>(&families.downlink_bytes, "tier"),
            links: of.row::<LinkKind, _>(&families.links, "kind"),
            link_failures: of.row::<LinkKind, _>(&families.link_failures, "kind"),
            reports_refused: of.one(&families.reports_refused),
            epoch_changes: of.one(&families.epoch_changes),
            claims: of.row::<Claim, _>(&families.claims, "outcome"),
            hand_offs: of.row::<Call, _>(&families.hand_offs, "outcome"),
            room_restarts: of.one(&families.room_restarts),
            rooms_put_back: of.one(&families.rooms_put_back),
            lease_held: of.one(&families.lease_held),
            lease_events: of.row::<Lease, _>(&families.lease_events, "outcome"),
            directory_calls: of.row::<Call, _>(&families.directory_calls, "outcome"),
            directory_read_bytes: of.row::<Keys, _>(&families.directory_read_bytes, "keys"),
            clock_offset: of.one(&families.clock_offset),
            draining: of.one(&families.draining),
            http_requests: families.http_requests.clone(),
            refusals: families.refusals.clone(),
            connections_refused: of.row::<PortKind, _>(&families.connections_refused, "port"),
            violations: Invariant::ALL.iter().map(invariant).collect(),
            mouth_to_ear: of.latency(&families.mouth_to_ear),
            playout_margin: of.latency(&families.playout_margin),
            playout_buffer: of.latency(&families.playout_buffer),
            mix: of.latency(&families.mix),
            tick_late: of.latency(&families.tick_late),
            fan_out: of.latency(&families.fan_out),
            commit: of.latency(&families.commit),
            join: of.latency(&families.join),
        }))
    }

    /// Slots of room audio at a tier, by what became of them.
    #[must_use]
    pub fn frames(&self, tier: Tier, outcome: Frames) -> &Counter {
        &self.0.frames[tier.index()][outcome.index()]
    }

    /// Packets of speakers at a tier, by what became of them.
    #[must_use]
    pub fn uplink_packets(&self, tier: Tier, outcome: Packet) -> &Counter {
        &self.0.uplink_packets[tier.index()][outcome.index()]
    }

    /// Rooms owned (origin) or carried (relay, edge).
    #[must_use]
    pub fn rooms(&self, tier: Tier) -> &Gauge {
        &self.0.rooms[tier.index()]
    }

    /// Listeners connected to this edge.
    #[must_use]
    pub fn listeners(&self, protocol: Protocol) -> &Gauge {
        &self.0.listeners[protocol.index()]
    }

    /// Speakers connected to this edge, or to rooms of this origin.
    #[must_use]
    pub fn speakers(&self, tier: Tier) -> &Gauge {
        &self.0.speakers[tier.index()]
    }

    /// Listeners that began to hear.
    #[must_use]
    pub fn joins(&self, protocol: Protocol) -> &Counter {
        &self.0.joins[protocol.index()]
    }

    /// Listeners' sessions that ended.
    #[must_use]
    pub fn leaves(&self, reason: Leave) -> &Counter {
        &self.0.leaves[reason.index()]
    }

    /// Bytes written to listeners.
    #[must_use]
    pub fn egress_bytes(&self, protocol: Protocol) -> &Counter {
        &self.0.egress[protocol.index()]
    }

    /// Bytes sent to children, before gRPC's own framing.
    #[must_use]
    pub fn downlink_bytes(&self, tier: Tier) -> &Counter {
        &self.0.downlink_bytes[tier.index()]
    }

    /// Streams and connections to other nodes.
    #[must_use]
    pub fn links(&self, kind: LinkKind) -> &Gauge {
        &self.0.links[kind.index()]
    }

    /// Streams and connections to other nodes that broke or stalled.
    #[must_use]
    pub fn link_failures(&self, kind: LinkKind) -> &Counter {
        &self.0.link_failures[kind.index()]
    }

    /// What other nodes reported of rooms and that cannot be.
    #[must_use]
    pub fn reports_refused(&self) -> &Counter {
        &self.0.reports_refused
    }

    /// Higher epochs seen in frames, fences or claims.
    #[must_use]
    pub fn epoch_changes(&self) -> &Counter {
        &self.0.epoch_changes
    }

    /// This node's claims of rooms.
    #[must_use]
    pub fn claims(&self, outcome: Claim) -> &Counter {
        &self.0.claims[outcome.index()]
    }

    /// Rooms that this node handed, or tried to hand, to another.
    #[must_use]
    pub fn hand_offs(&self, outcome: Call) -> &Counter {
        &self.0.hand_offs[outcome.index()]
    }

    /// Rooms restarted from their record after a panic.
    #[must_use]
    pub fn room_restarts(&self) -> &Counter {
        &self.0.room_restarts
    }

    /// Rooms that this node wrote anew after the directory had lost them.
    #[must_use]
    pub fn rooms_put_back(&self) -> &Counter {
        &self.0.rooms_put_back
    }

    /// 1 while the node's lease is known to be good.
    #[must_use]
    pub fn lease_held(&self) -> &Gauge {
        &self.0.lease_held
    }

    /// Renewals of the node's lease.
    #[must_use]
    pub fn lease_events(&self, outcome: Lease) -> &Counter {
        &self.0.lease_events[outcome.index()]
    }

    /// Requests to the directory.
    #[must_use]
    pub fn directory_calls(&self, outcome: Call) -> &Counter {
        &self.0.directory_calls[outcome.index()]
    }

    /// Bytes of keys and values that were read for the view of the directory, by whose they are.
    #[must_use]
    pub fn directory_read_bytes(&self, keys: Keys) -> &Counter {
        &self.0.directory_read_bytes[keys.index()]
    }

    /// This node's clock less the median of the cluster's, in seconds.
    #[must_use]
    pub fn clock_offset(&self) -> &Offset {
        &self.0.clock_offset
    }

    /// 1 while the node is leaving.
    #[must_use]
    pub fn draining(&self) -> &Gauge {
        &self.0.draining
    }

    /// Counts an answer over HTTP. Looks the status up: once a request, not once a frame.
    pub fn http_request(&self, status: u16) {
        self.coded(&self.0.http_requests, status.to_string()).inc();
    }

    /// Counts a refusal to a client. Looks the code up, as [`NodeMetrics::http_request`] does.
    pub fn refusal(&self, code: Code) {
        self.coded(&self.0.refusals, code.to_string()).inc();
    }

    /// Connections closed as they came, since the port had all it may have.
    #[must_use]
    pub fn connections_refused(&self, port: PortKind) -> &Counter {
        &self.0.connections_refused[port.index()]
    }

    fn coded(&self, family: &Family<Labels, Counter>, code: String) -> Counter {
        family.get_or_create_owned(&vec![("node", self.0.node.clone()), ("code", code)])
    }

    /// Counts an invariant found broken. It is logged the first time, and then each time that the count has doubled, so
    /// that one bug in a hot path does not fill the log.
    pub fn violated(&self, violation: &Violation) {
        let Some(place) = Invariant::ALL.iter().position(|one| *one == violation.invariant) else { return };
        let count = self.0.violations[place].inc() + 1;
        if count.is_power_of_two() {
            tracing::error!(node = self.0.node, count, "{violation}");
        }
    }

    /// From a packet's stamp at the ingest edge to its slot's playout at this edge.
    #[must_use]
    pub fn mouth_to_ear(&self) -> &Latency {
        &self.0.mouth_to_ear
    }

    /// Time left until its playout deadline when a slot came.
    #[must_use]
    pub fn playout_margin(&self) -> &Latency {
        &self.0.playout_margin
    }

    /// How long the seam buffer of a room is, looked at once a second.
    #[must_use]
    pub fn playout_buffer(&self) -> &Latency {
        &self.0.playout_buffer
    }

    /// Work of mixing and encoding one slot of one room.
    #[must_use]
    pub fn mix(&self) -> &Latency {
        &self.0.mix
    }

    /// How late a room's 20 ms tick began.
    #[must_use]
    pub fn tick_late(&self) -> &Latency {
        &self.0.tick_late
    }

    /// A shard's work of giving one frame to all its listeners.
    #[must_use]
    pub fn fan_out(&self) -> &Latency {
        &self.0.fan_out
    }

    /// A room record's commit in the directory.
    #[must_use]
    pub fn commit(&self) -> &Latency {
        &self.0.commit
    }

    /// From a listener's request to its first audio.
    #[must_use]
    pub fn join(&self) -> &Latency {
        &self.0.join
    }
}

impl fmt::Debug for NodeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeMetrics({})", self.0.node)
    }
}
