//! What a relay costs: one talking room, carried from an owner to many children, each over a connection of its own.
//!
//! `cargo run --release -p stentor-link --example relay_load -- [children] [seconds]` starts the relay as a process of its
//! own and prints its CPU time as a share of one core, and what the children got.

#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use stentor_ids::{Epoch, Fault, Lineage, NodeId, RoomId, SLOT_DURATION, Slot};
use stentor_link::{
    Carrier, Carry, Config, Feed, FeedWriter, Journal, LinkServer, Owner, Peer, Pool, Security, Services,
    Topology,
};
use stentor_pace::WallTime;
use stentor_proto::v1::{
    self, downlink_service_client::DownlinkServiceClient, subscribe_request, subscribe_response::Message,
};
use stentor_relay::Frame;
use stentor_telemetry::{Metrics, Tier};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of a packet: 20 ms at 32 kbit/s.
const PACKET: usize = 80;

/// A cluster of one owner.
struct View {
    owner: Owner,
    changed: watch::Sender<u64>,
}

impl Topology for View {
    fn peers(&self) -> Arc<Vec<Peer>> {
        Arc::default()
    }
    fn owner(&self, _: &RoomId) -> Option<Owner> {
        Some(self.owner.clone())
    }
    fn status(&self, _: &RoomId) -> Option<v1::RoomStatus> {
        None
    }
    fn changed(&self, _: &RoomId) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

struct Own(Feed);

#[async_trait]
impl Carry for Own {
    async fn feed(&self, _: &RoomId) -> Result<Feed, Fault> {
        Ok(self.0.clone())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("relay") => relay(args.next().ok_or("relay needs the owner's address")?).await,
        first => {
            let children = first.map_or(Ok(64), str::parse)?;
            let seconds = args.next().map_or(Ok(20), |seconds| seconds.parse())?;
            measure(children, Duration::from_secs(seconds)).await
        }
    }
}

/// The measured process: carries rooms until its standard input ends.
async fn relay(owner: String) -> Outcome<()> {
    let me = NodeId::new("relay-1")?;
    let metrics = Metrics::new().for_node(&me);
    let owner =
        Owner { node: NodeId::new("origin-1")?, link_addr: owner, epoch: Epoch(1), from_slot: Slot(0) };
    let view = Arc::new(View { owner, changed: watch::Sender::new(0) });
    let pool = Pool::new(Security::Insecure, None, &metrics)?;
    let config = Config { me: me.clone(), tier: Tier::Relay };
    let carrier = Some(Carrier::new(config, pool, view, metrics.clone(), Journal::new(me.clone())));
    let server = LinkServer::bind("127.0.0.1:0".parse()?, &Security::Insecure)?;
    println!("{}", server.local_addr());
    std::io::stdout().flush()?;
    let stop = CancellationToken::new();
    std::thread::spawn({
        let stop = stop.clone();
        move || {
            let _ = std::io::stdin().read_line(&mut String::new());
            stop.cancel();
        }
    });
    Ok(server.run(me, Services { carrier, ..Default::default() }, metrics, stop).await?)
}

async fn measure(children: usize, during: Duration) -> Outcome<()> {
    let me = NodeId::new("origin-1")?;
    let room = RoomId::new("demo")?;
    let metrics = Metrics::new().for_node(&me);
    let feed = FeedWriter::new(room.clone());
    let lifecycle = v1::Lifecycle::Live.into();
    let status =
        v1::RoomStatus { room: room.to_string(), lifecycle, owner: me.to_string(), ..Default::default() };
    feed.set_status(Arc::new(status));
    let server = LinkServer::bind("127.0.0.1:0".parse()?, &Security::Insecure)?;
    let owner = server.local_addr();
    let services = Services { own: Some(Arc::new(Own(feed.reader()))), ..Default::default() };
    tokio::spawn(server.run(me, services, metrics, CancellationToken::new()));
    let (mut relay, addr) = start_relay(&owner.to_string())?;
    let got = Arc::new(AtomicU64::new(0));
    for n in 0..children {
        tokio::spawn(listen(format!("edge-{n}"), addr.clone(), room.clone(), got.clone()));
    }
    tokio::spawn(emit(feed));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, slots) = (cpu_ticks(&relay)?, got.load(Ordering::Relaxed));
    tokio::time::sleep(during).await;
    let (after, got) = (cpu_ticks(&relay)?, got.load(Ordering::Relaxed) - slots);
    relay.kill()?;
    relay.wait()?;
    // USER_HZ is 100 on every Linux that Rust runs on.
    let busy = Duration::from_millis(10 * (after - before));
    let share = 100.0 * busy.as_secs_f64() / during.as_secs_f64();
    let each = busy.as_micros() as f64 / got.max(1) as f64;
    println!(
        "{children} children, {} s: {got} frames, {share:.2} % of a core, {each:.2} µs a frame",
        during.as_secs()
    );
    Ok(())
}

fn start_relay(owner: &str) -> Outcome<(Child, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    let piped = command.args(["relay", owner]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut relay = piped.spawn()?;
    let stdout: ChildStdout = relay.stdout.take().ok_or("the relay has no output")?;
    let mut addr = String::new();
    BufReader::new(stdout).read_line(&mut addr)?;
    Ok((relay, addr.trim().to_owned()))
}

async fn emit(feed: FeedWriter) {
    let mut tick = tokio::time::interval(SLOT_DURATION);
    for slot in 0.. {
        tick.tick().await;
        feed.push(Frame {
            epoch: Epoch(1),
            lineage: Lineage(1),
            slot: Slot(slot),
            opus: Bytes::from_static(&[0xfc; PACKET]),
            captured: WallTime::from_micros(1_700_000_000_000_000 + slot),
        });
    }
}

/// One child, as another node would be.
async fn listen(node: String, addr: String, room: RoomId, got: Arc<AtomicU64>) -> Outcome<()> {
    let metrics = Metrics::new().for_node(&NodeId::new(&node)?);
    let pool = Pool::new(Security::Insecure, None, &metrics)?;
    let hello = v1::SubscribeHello { room: room.to_string(), node, edge: true, ..Default::default() };
    let hello = v1::SubscribeRequest { message: Some(subscribe_request::Message::Hello(hello)) };
    let requests = tokio_stream::iter([hello]).chain(tokio_stream::pending());
    let mut client = DownlinkServiceClient::new(pool.channel(&addr)?);
    let mut stream = client.subscribe(requests).await?.into_inner();
    while let Some(response) = stream.message().await? {
        if matches!(response.message, Some(Message::Frame(_))) {
            got.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// User and system time of a process, in ticks (proc(5), fields 14 and 15 of `stat`).
fn cpu_ticks(process: &Child) -> Outcome<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    let fields = stat.rsplit_once(')').ok_or("stat without a name")?.1.split_whitespace().skip(11).take(2);
    fields.map(|ticks| Ok(ticks.parse::<u64>()?)).sum()
}
