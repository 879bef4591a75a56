//! A little cluster: a view that the test writes, origins that own what it says, relays and edges. Clusters of nodes are
//! `tests/kit`'s; here the view is what a test is about, and what it says a directory would not.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use stentor_ids::{Code, Epoch, Fault, Lineage, NodeId, RoomId, Slot};
use stentor_link::{
    Carrier, Carry, Closed, Config, Cursor, Feed, FeedWriter, Item, Journal, Labels, LinkServer, Locator,
    Mirror, Owner, Peer, Pool, Security, Services, Topology, control, uplink,
};
use stentor_pace::WallTime;
use stentor_proto::v1;
use stentor_relay::Frame;
use stentor_telemetry::{Metrics, NodeMetrics, Tier};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::proxy::Proxy;

/// How long anything may take that a test waits for.
pub const SOON: Duration = Duration::from_secs(15);

pub fn room() -> RoomId {
    RoomId::new("demo").unwrap()
}

pub fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub fn frame(epoch: u64, slot: u64) -> Frame {
    Frame {
        epoch: Epoch(epoch),
        lineage: Lineage(epoch),
        slot: Slot(slot),
        opus: Bytes::from_static(&[0xfc; 80]),
        captured: WallTime::default(),
    }
}

/// The room on the air under an owner.
pub fn live(owner: &str, epoch: u64) -> v1::RoomStatus {
    v1::RoomStatus {
        room: room().to_string(),
        lifecycle: v1::Lifecycle::Live.into(),
        owner: owner.into(),
        epoch,
        ..Default::default()
    }
}

pub fn scheduled() -> v1::RoomStatus {
    let lifecycle = v1::Lifecycle::Scheduled.into();
    v1::RoomStatus { room: room().to_string(), lifecycle, ..Default::default() }
}

/// Who is there and who owns the room, as the test says.
pub struct View {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    peers: Arc<Vec<Peer>>,
    owner: Option<Owner>,
    mirror: Option<Mirror>,
    status: Option<v1::RoomStatus>,
}

impl View {
    pub fn set_status(&self, status: Option<v1::RoomStatus>) {
        self.change(|state| state.status = status);
    }

    pub fn set_owner(&self, owner: Option<(&Node, u64, u64)>) {
        self.change(|state| {
            state.owner = owner.map(|(node, epoch, from_slot)| Owner {
                node: node.id.clone(),
                link_addr: node.link_addr(),
                epoch: Epoch(epoch),
                from_slot: Slot(from_slot),
            });
        });
    }

    pub fn set_mirror(&self, mirror: Option<&Node>) {
        self.change(|state| {
            state.mirror = mirror.map(|node| Mirror { node: node.id.clone(), link_addr: node.link_addr() });
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.send_modify(|version| *version += 1);
    }
}

impl Topology for View {
    fn peers(&self) -> Arc<Vec<Peer>> {
        self.state.lock().unwrap().peers.clone()
    }
    fn owner(&self, _: &RoomId) -> Option<Owner> {
        self.state.lock().unwrap().owner.clone()
    }
    fn mirror(&self, _: &RoomId) -> Option<Mirror> {
        self.state.lock().unwrap().mirror.clone()
    }
    fn status(&self, asked: &RoomId) -> Option<v1::RoomStatus> {
        self.state.lock().unwrap().status.clone().filter(|_| *asked == room())
    }
    fn changed(&self, _: &RoomId) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// The same view as an edge has it: of nodes, not of rooms.
struct EdgeView(Arc<View>);

impl Topology for EdgeView {
    fn peers(&self) -> Arc<Vec<Peer>> {
        self.0.peers()
    }
    fn owner(&self, _: &RoomId) -> Option<Owner> {
        None
    }
    fn status(&self, _: &RoomId) -> Option<v1::RoomStatus> {
        None
    }
    fn changed(&self, room: &RoomId) -> watch::Receiver<u64> {
        self.0.changed(room)
    }
}

/// The rooms of one origin.
#[derive(Default)]
pub struct Rooms(Mutex<HashMap<RoomId, Arc<FeedWriter>>>);

impl Rooms {
    /// Begins to own the room from its first slot on.
    pub fn own(&self, status: v1::RoomStatus) -> Arc<FeedWriter> {
        self.own_from(0, status)
    }

    pub fn own_from(&self, slot: u64, status: v1::RoomStatus) -> Arc<FeedWriter> {
        let feed = Arc::new(FeedWriter::new(room()));
        feed.fence(Epoch(status.epoch), Slot(slot));
        feed.set_status(Arc::new(status));
        self.0.lock().unwrap().insert(room(), feed.clone());
        feed
    }

    /// Owns it no more.
    pub fn disown(&self) {
        if let Some(feed) = self.0.lock().unwrap().remove(&room()) {
            feed.close(Closed::Moved);
        }
    }
}

#[async_trait]
impl Carry for Rooms {
    async fn feed(&self, room: &RoomId) -> Result<Feed, Fault> {
        let feed = self.0.lock().unwrap().get(room).map(|feed| feed.reader());
        feed.ok_or_else(|| Fault::new(Code::NotOwner, format!("{room} is owned elsewhere")))
    }
}

/// One node, reached through a proxy.
pub struct Node {
    pub id: NodeId,
    pub proxy: Proxy,
    /// The port itself.
    pub addr: SocketAddr,
    pub rooms: Arc<Rooms>,
    pub carrier: Carrier,
    pub metrics: NodeMetrics,
    pub stop: CancellationToken,
}

impl Node {
    pub fn link_addr(&self) -> String {
        self.proxy.addr().to_string()
    }
}

/// What else a node serves.
#[derive(Default, Clone)]
pub struct Extra {
    pub ingest: Option<Arc<dyn uplink::Ingest>>,
    pub control: Option<Arc<dyn control::Handler>>,
    /// In place of the node's rooms.
    pub own: Option<Arc<dyn Carry>>,
}

pub struct Cluster {
    pub view: Arc<View>,
    pub metrics: Metrics,
    pub pool: Pool,
    /// What happens anywhere in the cluster.
    pub journal: Journal,
}

impl Cluster {
    pub fn new() -> Self {
        let metrics = Metrics::new();
        let pool = Pool::new(Security::Insecure, None, &metrics.for_node(&id("pool"))).unwrap();
        let view = View { state: Mutex::default(), changed: watch::Sender::new(0) };
        Self { view: Arc::new(view), metrics, pool, journal: Journal::new(id("cluster")) }
    }

    pub async fn origin(&self, name: &str) -> Node {
        self.node(name, Tier::Origin, Extra::default()).await
    }

    /// The room is on the air at this origin, under epoch 1; gives what it emits into.
    pub fn on_air(&self, origin: &Node) -> Arc<FeedWriter> {
        let source = origin.rooms.own(live(origin.id.as_str(), 1));
        self.view.set_status(Some(live("", 1)));
        self.view.set_owner(Some((origin, 1, 0)));
        source
    }

    pub async fn relay(&self, name: &str) -> Node {
        self.node(name, Tier::Relay, Extra::default()).await
    }

    pub async fn node(&self, name: &str, tier: Tier, extra: Extra) -> Node {
        let id = id(name);
        let metrics = self.metrics.for_node(&id);
        let rooms = Arc::new(Rooms::default());
        let carrier = self.carrier(name);
        let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), &Security::Insecure).unwrap();
        let addr = server.local_addr();
        let own = extra.own.or_else(|| (tier == Tier::Origin).then(|| rooms.clone() as _));
        let services = Services {
            own,
            carrier: Some(carrier.clone()),
            ingest: extra.ingest,
            control: extra.control,
            journal: Some(self.journal.clone()),
        };
        let stop = CancellationToken::new();
        tokio::spawn(server.run(id.clone(), services, metrics.clone(), stop.clone()));
        tokio::spawn(carrier.clone().run(stop.clone()));
        let node = Node { id, proxy: Proxy::to(addr).await, addr, rooms, carrier, metrics, stop };
        self.add(&node, tier);
        node
    }

    /// What carries rooms on a relay, without its port.
    pub fn carrier(&self, name: &str) -> Carrier {
        let config = Config { me: id(name), tier: Tier::Relay };
        let metrics = self.metrics.for_node(&config.me);
        // Each node has connections of its own, so that a proxy stands for one node's links.
        let pool = Pool::new(Security::Insecure, None, &metrics).unwrap();
        Carrier::new(config, pool, self.view.clone(), metrics, self.journal.clone())
    }

    fn add(&self, node: &Node, tier: Tier) {
        let peer = Peer {
            id: node.id.clone(),
            origin: tier == Tier::Origin,
            relay: tier == Tier::Relay,
            edge: false,
            admin: false,
            link_addr: node.link_addr(),
            public_addr: String::new(),
            labels: Labels::default(),
            rooms: 0,
        };
        self.view.change(|state| {
            let peers = state.peers.iter().cloned().chain([peer]).collect();
            state.peers = Arc::new(peers);
        });
    }

    /// Takes a node out of the view, as the directory does when its lease is over.
    pub fn forget(&self, node: &Node) {
        self.view.change(|state| {
            state.peers = Arc::new(state.peers.iter().filter(|peer| peer.id != node.id).cloned().collect());
        });
    }

    pub fn edge(&self, name: &str) -> Carrier {
        let id = id(name);
        let metrics = self.metrics.for_node(&id);
        let pool = Pool::new(Security::Insecure, None, &metrics).unwrap();
        let topology = Arc::new(EdgeView(self.view.clone()));
        Carrier::new(Config { me: id, tier: Tier::Edge }, pool, topology, metrics, self.journal.clone())
    }

    pub fn locator(&self, edge: &str) -> Locator {
        Locator::new(id(edge), self.pool.clone(), self.edge_view())
    }

    pub fn edge_view(&self) -> Arc<dyn Topology> {
        Arc::new(EdgeView(self.view.clone()))
    }
}

/// Puts slots into a feed at a steady pace.
pub async fn emit(feed: &FeedWriter, epoch: u64, slots: std::ops::Range<u64>, pace: Duration) {
    let mut tick = tokio::time::interval(pace);
    for slot in slots {
        tick.tick().await;
        feed.push(frame(epoch, slot));
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(SOON, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {SOON:?}: {what}");
}

/// The next item within a bound.
pub async fn next(cursor: &mut Cursor) -> Item {
    timeout(SOON, cursor.next()).await.expect("an item comes soon")
}

/// The slots that come until this one has, in the order in which they came.
pub async fn slots_until(cursor: &mut Cursor, last: u64) -> Vec<u64> {
    let mut slots = Vec::new();
    loop {
        match next(cursor).await {
            Item::Frame(frame) => slots.push(frame.slot.0),
            Item::Closed(closed) => panic!("the feed is over after {slots:?}: {closed:?}"),
            Item::Status(_)
            | Item::Levels(_)
            | Item::Bans { .. }
            | Item::Stage(_)
            | Item::Event(_)
            | Item::Gap { .. }
            | Item::Fence { .. } => {}
        }
        if slots.last() == Some(&last) {
            return slots;
        }
    }
}

/// Each of the slots once, whatever their order.
pub fn assert_each_once(mut slots: Vec<u64>, expected: std::ops::Range<u64>) {
    slots.sort_unstable();
    assert_eq!(slots, expected.collect::<Vec<_>>());
}
