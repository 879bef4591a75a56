//! One family for each metric, in a registry. What is told of each stands in the table of `metrics`.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// A gauge that is not whole.
pub(super) type Offset = Gauge<f64, AtomicU64>;

pub(super) type Labels = Vec<(&'static str, String)>;
pub(super) type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// One family a metric, under the name it has in the table above.
pub(super) struct Families {
    pub(super) frames: Family<Labels, Counter>,
    pub(super) uplink_packets: Family<Labels, Counter>,
    pub(super) rooms: Family<Labels, Gauge>,
    pub(super) listeners: Family<Labels, Gauge>,
    pub(super) speakers: Family<Labels, Gauge>,
    pub(super) joins: Family<Labels, Counter>,
    pub(super) leaves: Family<Labels, Counter>,
    pub(super) egress: Family<Labels, Counter>,
    pub(super) downlink_bytes: Family<Labels, Counter>,
    pub(super) links: Family<Labels, Gauge>,
    pub(super) link_failures: Family<Labels, Counter>,
    pub(super) reports_refused: Family<Labels, Counter>,
    pub(super) epoch_changes: Family<Labels, Counter>,
    pub(super) claims: Family<Labels, Counter>,
    pub(super) hand_offs: Family<Labels, Counter>,
    pub(super) room_restarts: Family<Labels, Counter>,
    pub(super) rooms_put_back: Family<Labels, Counter>,
    pub(super) lease_held: Family<Labels, Gauge>,
    pub(super) lease_events: Family<Labels, Counter>,
    pub(super) directory_calls: Family<Labels, Counter>,
    pub(super) directory_read_bytes: Family<Labels, Counter>,
    pub(super) clock_offset: Family<Labels, Offset>,
    pub(super) draining: Family<Labels, Gauge>,
    pub(super) http_requests: Family<Labels, Counter>,
    pub(super) refusals: Family<Labels, Counter>,
    pub(super) connections_refused: Family<Labels, Counter>,
    pub(super) violations: Family<Labels, Counter>,
    pub(super) mouth_to_ear: Histograms,
    pub(super) playout_margin: Histograms,
    pub(super) playout_buffer: Histograms,
    pub(super) mix: Histograms,
    pub(super) tick_late: Histograms,
    pub(super) fan_out: Histograms,
    pub(super) commit: Histograms,
    pub(super) join: Histograms,
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let mut to = Registrar(registry);
        Self {
            frames: to.counter("frames", "Room audio in slots, by what became of it"),
            uplink_packets: to.counter("uplink_packets", "Packets of speakers, by what became of them"),
            rooms: to.gauge("rooms", "Rooms owned or carried"),
            listeners: to.gauge("listeners", "Listeners connected to this edge"),
            speakers: to.gauge("speakers", "Speakers connected"),
            joins: to.counter("joins", "Listeners that began to hear"),
            leaves: to.counter("leaves", "Sessions of listeners that ended"),
            egress: to.counter("egress_bytes", "Bytes written to listeners"),
            downlink_bytes: to.counter("downlink_bytes", "Bytes of room audio and state sent to children"),
            links: to.gauge("links", "Streams and connections to other nodes"),
            link_failures: to.counter("link_failures", "Streams and connections that broke or stalled"),
            reports_refused: to.counter("reports_refused", "Reports of rooms that cannot be"),
            epoch_changes: to.counter("epoch_changes", "Higher epochs seen"),
            claims: to.counter("claims", "Claims of rooms by this node"),
            hand_offs: to.counter("hand_offs", "Rooms handed to another node"),
            room_restarts: to.counter("room_restarts", "Rooms restarted after a panic"),
            rooms_put_back: to.counter("rooms_put_back", "Rooms written anew after the directory lost them"),
            lease_held: to.gauge("lease_held", "1 while the lease of the node is known to be good"),
            lease_events: to.counter("lease_events", "Renewals of the lease of the node"),
            directory_calls: to.counter("directory_calls", "Requests to the directory"),
            directory_read_bytes: to
                .counter("directory_read_bytes", "Keys and values read for the view of the directory"),
            clock_offset: to.offset("clock_offset", "The clock of the node less the median of the cluster"),
            draining: to.gauge("draining", "1 while the node is leaving"),
            http_requests: to.counter("http_requests", "Answers over HTTP, by status"),
            refusals: to.counter("refusals", "Refusals to clients, by error code"),
            connections_refused: to
                .counter("connections_refused", "Connections closed as they came: the port was full"),
            violations: to.counter("invariant_violations", "Invariants found broken"),
            mouth_to_ear: to
                .histogram("mouth_to_ear", "From the stamp at ingest to playout", || spread(&LONG)),
            playout_margin: to.histogram("playout_margin", "Time left when a slot came", || spread(&SHORT)),
            playout_buffer: to.histogram("playout_buffer", "How long a seam buffer is", || spread(&SHORT)),
            mix: to.histogram("mix", "Work of mixing and encoding one slot", || spread(&WORK)),
            tick_late: to.histogram("tick_late", "How late a tick of a room began", || spread(&WORK)),
            fan_out: to
                .histogram("fan_out", "Work of giving one frame to a shard's listeners", || spread(&WORK)),
            commit: to.histogram("commit", "Commit of a room record in the directory", || spread(&LONG)),
            join: to.histogram("join", "From a request to the first audio", || spread(&LONG)),
        }
    }
}

/// Bucket bounds in seconds, for what people wait for.
const LONG: [f64; 13] = [0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 3.0];
/// For what happens within a seam buffer; 60 ms by default.
const SHORT: [f64; 9] = [0.001, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2];
/// For work that must fit in a slot of 20 ms.
const WORK: [f64; 11] = [0.000_05, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2];

fn spread(bounds: &[f64]) -> Histogram {
    Histogram::new(bounds.iter().copied())
}

struct Registrar<'a>(&'a mut Registry);

impl Registrar<'_> {
    fn counter(&mut self, name: &str, help: &str) -> Family<Labels, Counter> {
        let family = Family::default();
        self.0.register(name, help, family.clone());
        family
    }

    fn gauge(&mut self, name: &str, help: &str) -> Family<Labels, Gauge> {
        let family = Family::default();
        self.0.register(name, help, family.clone());
        family
    }

    fn offset(&mut self, name: &str, help: &str) -> Family<Labels, Offset> {
        let family = Family::default();
        self.0.register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    }

    fn histogram(&mut self, name: &str, help: &str, make: fn() -> Histogram) -> Histograms {
        let family = Histograms::new_with_constructor(make);
        self.0.register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    }
}
