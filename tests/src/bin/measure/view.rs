//! What it costs an edge, a relay and an origin to know what the directory says, while rooms commit that are none of theirs: CPU
//! of real nodes with nothing else to do, and bytes that etcd sends each of them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use stentor_admission::key_line;
use stentor_directory::{Directory, EtcdConfig, NodeRecord, NodeRole, Ownership, Session};
use stentor_ids::{Epoch, NodeId, RoomId, Slot};
use stentor_pace::WallTime;
use stentor_programs::{Etcd, free_port};
use stentor_room::{Actor, Command as Act, Record, Room, Spec};
use stentor_tests::{
    http,
    process::{Process, Usage, binary, eventually},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::fanout::cpu_over;

/// How long it is watched.
const WATCH: Duration = Duration::from_secs(20);
/// How long nodes have to take in what there is.
const SETTLE: Duration = Duration::from_secs(5);
/// Writes under way at the same time: etcd puts many into one write to its disk.
const WRITERS: usize = 128;
/// Longer than it takes: members that are only entries need no renewal.
const TTL: Duration = Duration::from_secs(3600);

pub(crate) async fn measure(rooms: usize, nodes: usize, rate: usize, bytes: usize) -> Result<()> {
    let etcd = Etcd::start()?;
    let member = *etcd.members().first().context("it has a member")?;
    let config = EtcdConfig { endpoints: vec![format!("http://{member}")], ..EtcdConfig::default() };
    let directory = Directory::etcd(config).await?;
    let record = record(bytes)?;
    let members = members(&directory, nodes).await?;
    let owned = fill(&directory, &members, rooms, &record).await?;
    let folder = TempDir::new()?;
    let mut watchers = Vec::new();
    for roles in ["edge", "relay", "origin"] {
        watchers.push(Watcher::start(roles, member, &folder).await?);
    }
    tokio::time::sleep(SETTLE).await;
    println!("{rooms} rooms with records of {} bytes, {nodes} nodes, nothing changes", record.len());
    table(&watchers, WATCH / 2).await?;
    let committing = commit(directory, owned, record, rate);
    tokio::time::sleep(SETTLE).await;
    let (before, start) = (committing.done.load(Relaxed), Instant::now());
    let table = table(&watchers, WATCH);
    let (table, etcd) = tokio::join!(table, cpu_over(Usage(etcd.pid(0).context("it runs")?), WATCH));
    table?;
    let reached = (committing.done.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
    println!("while {reached:.0} commits a second came; etcd used {:.0} % of a core", etcd? * 100.0);
    let failed = committing.failed.load(Relaxed);
    if failed > 0 {
        bail!("{failed} commits failed");
    }
    Ok(())
}

/// One row for each node.
async fn table(watchers: &[Watcher], length: Duration) -> Result<()> {
    println!(
        "{:<8} {:>12} {:>20} {:>22} {:>22}",
        "node", "% of a core", "bytes/s from etcd", "bytes/s of nodes' keys", "bytes/s of rooms' keys"
    );
    let mut rows = JoinSet::new();
    for (place, watcher) in watchers.iter().enumerate() {
        let (usage, ops, sent, roles) =
            (watcher.process.usage(), watcher.ops, watcher.sent.clone(), watcher.roles);
        rows.spawn(
            async move { Ok::<_, anyhow::Error>((place, row(roles, usage, ops, &sent, length).await?)) },
        );
    }
    let mut told = rows.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    told.sort();
    told.iter().for_each(|(_, row)| println!("{row}"));
    Ok(())
}

async fn row(roles: &str, usage: Usage, ops: u16, sent: &AtomicU64, length: Duration) -> Result<String> {
    let (bytes, read, start) = (sent.load(Relaxed), read(ops).await?, Instant::now());
    let busy = cpu_over(usage, length).await?;
    let (bytes, now) = (sent.load(Relaxed) - bytes, self::read(ops).await?);
    let second = |bytes: f64| bytes / start.elapsed().as_secs_f64();
    Ok(format!(
        "{roles:<8} {:>12.2} {:>20.0} {:>22.0} {:>22.0}",
        busy * 100.0,
        second(bytes as f64),
        second(now[0] - read[0]),
        second(now[1] - read[1])
    ))
}

/// Bytes of nodes' and of rooms' keys that a node has read.
async fn read(ops: u16) -> Result<[f64; 2]> {
    let text = http::get(ops, "/metrics").await?.body_text().to_owned();
    let of = |keys: &str| {
        let label = format!("keys=\"{keys}\"");
        let is_it =
            |line: &&str| line.starts_with("stentor_directory_read_bytes_total{") && line.contains(&label);
        let value = text.lines().find(is_it).and_then(|line| line.rsplit(' ').next());
        Ok::<f64, anyhow::Error>(value.context("the node counts what it reads")?.parse()?)
    };
    Ok([of("nodes")?, of("rooms")?])
}

/// A node that only watches, over a proxy that counts.
struct Watcher {
    roles: &'static str,
    process: Process,
    ops: u16,
    /// Bytes that etcd sent it.
    sent: Arc<AtomicU64>,
}

impl Watcher {
    async fn start(roles: &'static str, member: SocketAddr, folder: &TempDir) -> Result<Self> {
        let sent = Arc::new(AtomicU64::new(0));
        let etcd = counted(member, sent.clone()).await?;
        let ops = free_port()?;
        let mut args = vec!["node".to_owned(), "--id".to_owned(), format!("watching-{roles}")];
        args.extend([
            "--roles".to_owned(),
            roles.to_owned(),
            "--directory".to_owned(),
            format!("etcd://{etcd}"),
        ]);
        for (flag, port) in
            [("--link-listen", free_port()?), ("--edge-listen", free_port()?), ("--ops-listen", ops)]
        {
            args.extend([flag.to_owned(), format!("127.0.0.1:{port}")]);
        }
        let env = [
            ("STENTOR_AUTH__TICKET_KEYS", key_line("test", &rand::random::<[u8; 32]>())?),
            ("STENTOR_AUTH__CLUSTER_KEYS", key_line("test", &rand::random::<[u8; 32]>())?),
        ];
        let mut stentor = Command::new(binary("stentor")?);
        let process = Process::start(roles, stentor.args(args).envs(env), folder.path())?;
        eventually("/readyz", Duration::from_secs(60), || async move {
            (http::get(ops, "/readyz").await.ok()?.status == 200).then_some(())
        })
        .await?;
        Ok(Self { roles, process, ops, sent })
    }
}

/// Where what a server sends is counted.
async fn counted(server: SocketAddr, sent: Arc<AtomicU64>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, server, sent.clone()));
        }
    });
    Ok(address)
}

async fn carry(client: TcpStream, server: SocketAddr, sent: Arc<AtomicU64>) -> Result<()> {
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let down = async {
        let mut piece = vec![0; 64 * 1024];
        loop {
            let count = from_server.read(&mut piece).await?;
            if count == 0 {
                return Ok(());
            }
            sent.fetch_add(count as u64, Relaxed);
            to_client.write_all(&piece[..count]).await?;
        }
    };
    tokio::select! {
        done = up => Ok(done?),
        done = down => done,
    }
}

/// The record of a live room, as long as it is wanted: what is added is what another build would have written.
fn record(bytes: usize) -> Result<Vec<u8>> {
    let mut room = Room::new(Record::new(Spec::default())?);
    for act in [Act::Open, Act::GoLive] {
        room.handle(WallTime::default(), &Actor::Operator, act)
            .map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
    }
    let mut record = room.record().encode();
    let padding = bytes.saturating_sub(record.len());
    record.pop();
    record.extend(format!(",\"padding\":\"{}\"}}", "x".repeat(padding)).into_bytes());
    Record::decode(&record)?;
    Ok(record)
}

/// Members that are entries in the directory and nothing else: a fifth are origins, one in 25 is a relay.
async fn members(directory: &Directory, count: usize) -> Result<Vec<Arc<Session>>> {
    let mut sessions = Vec::new();
    for number in 0..count {
        let role = match number {
            number if number < (count / 5).max(2) => NodeRole::Origin,
            number if number < (count / 5).max(2) + count / 25 => NodeRole::Relay,
            _ => NodeRole::Edge,
        };
        // Nobody listens there.
        let link_addr = "127.0.0.1:9".to_owned();
        let record =
            NodeRecord { link_addr, ..NodeRecord::new(NodeId::new(format!("node-{number}"))?, role) };
        sessions.push(Arc::new(directory.register(record, TTL).await?));
    }
    Ok(sessions)
}

/// Rooms that all have an owner and a mirror.
async fn fill(
    directory: &Directory,
    members: &[Arc<Session>],
    rooms: usize,
    record: &[u8],
) -> Result<Vec<Ownership>> {
    let origins = &members[..(members.len() / 5).max(2)];
    let (mut tasks, mut owned) = (JoinSet::new(), Vec::new());
    for number in 0..rooms {
        if tasks.len() >= WRITERS {
            owned.extend(tasks.join_next().await.transpose()?.transpose()?);
        }
        let id = RoomId::new(format!("room-{number}"))?;
        let [owner, mirror] = [number, number + 1].map(|place| origins[place % origins.len()].clone());
        let (directory, record) = (directory.clone(), record.to_vec());
        tasks.spawn(async move {
            directory.create(&id, record).await?;
            let ownership = directory.claim(&owner, &id, Epoch(0), None, Slot(0)).await?;
            directory.mirror(&mirror, &id, None).await?;
            Ok::<_, anyhow::Error>(ownership)
        });
    }
    for ownership in tasks.join_all().await {
        owned.push(ownership?);
    }
    Ok(owned)
}

/// Commits under way.
#[derive(Default)]
struct Commits {
    done: AtomicUsize,
    failed: AtomicUsize,
}

/// Commits in turn, so many a second as far as etcd takes them, until the program ends.
fn commit(directory: Directory, owned: Vec<Ownership>, record: Vec<u8>, rate: usize) -> Arc<Commits> {
    let (commits, owned, turn) =
        (Arc::new(Commits::default()), Arc::new(owned), Arc::new(AtomicUsize::new(0)));
    let each = Duration::from_secs_f64(WRITERS as f64 / rate.max(1) as f64);
    for writer in 0..WRITERS {
        let (commits, owned, turn) = (commits.clone(), owned.clone(), turn.clone());
        let (directory, record) = (directory.clone(), record.clone());
        tokio::spawn(async move {
            tokio::time::sleep(each * writer as u32 / WRITERS as u32).await;
            let mut tick = interval(each);
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            loop {
                tick.tick().await;
                let ownership = &owned[turn.fetch_add(1, Relaxed) % owned.len()];
                let outcome = directory.commit(ownership, record.clone()).await;
                let count = if outcome.is_ok() { &commits.done } else { &commits.failed };
                count.fetch_add(1, Relaxed);
            }
        });
    }
    commits
}
