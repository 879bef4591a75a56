//! A crowd that raises and lowers hands as fast as it may, and what others notice of it: who listens by gRPC and by Ogg, a
//! relay, and a host that mutes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use stentor_ids::Role;
use stentor_proto::{
    fault_of,
    v1::{MuteRequest, RoomRequest, participant_service_client::ParticipantServiceClient},
};
use stentor_tests::{
    beats::percentile,
    cluster::{Cluster, Shape},
    load::Crowd,
};
use tokio::{task::JoinSet, time::interval};
use tonic::{Request, metadata::AsciiMetadataValue, transport::Channel};

const ROOM: &str = "hands";
/// Calls of one person lie so far apart: four in a second, up and down in turn.
const EACH: Duration = Duration::from_millis(250);
/// How long the room is watched before anybody raises a hand.
const CALM: Duration = Duration::from_secs(10);
/// Connections of the crowd to each edge: an edge takes 128 calls at once on one.
const CONNECTIONS: usize = 12;
/// Between two of the host's mutes.
const MUTES: Duration = Duration::from_millis(500);

type People = ParticipantServiceClient<Channel>;

pub(crate) async fn measure(people: usize, seconds: usize) -> Result<()> {
    let (cluster, load) = (Cluster::start(Shape::default()).await?, Duration::from_secs(seconds as u64));
    cluster.live_room(ROOM).await?;
    let _voices = cluster.speak_demo(ROOM).await?;
    let native = cluster.listen(0, ROOM)?;
    native.frames(100, Duration::from_secs(20)).await?;
    let path = format!("/v1/rooms/{ROOM}/live.ogg?page=100");
    let ogg = Crowd::gather(cluster.edge_port(1), &path, 1).await?;
    let crowd = gather(&cluster, people).await?;

    let (calm, _) = watch(&cluster, CALM).await?;
    let (before, bytes) = (native.report().missed, ogg.bytes());
    let crowd = tokio::spawn(raise(crowd, load));
    let (busy, mutes) = watch(&cluster, load).await?;
    let tally = crowd.await?;
    // What waits behind the seam buffer is heard, and the counts come up the tree.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let told = cluster.ctl_json(&["room", "get", ROOM]).await?;
    let filled = &told["listeners"]["slots_filled"];

    println!("{people} people raise and lower a hand four times a second for {seconds} s, at two edges");
    let all: u64 = tally.values().sum();
    println!("calls answered: {all}, {:.0} a second; by answer: {tally:?}", all as f64 / load.as_secs_f64());
    println!("gRPC listener: {} slots missed", native.stop().await?.missed - before);
    let heard = (ogg.bytes() - bytes) as f64 * 8.0 / 1000.0 / load.as_secs_f64();
    println!(
        "Ogg listener: {heard:.1} kbit/s, {} closed; slots filled at both edges: {filled}",
        ogg.closed()
    );
    println!(
        "a relay's bytes a second, to its children: calm {calm:.0}, under load {busy:.0}, × {:.2}",
        busy / calm
    );
    let ms = |percent| percentile(&mutes.took, percent).as_secs_f64() * 1000.0;
    println!(
        "a host's mutes: {} done, {} refused ({:?}); p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms",
        mutes.took.len(),
        mutes.refused.len(),
        mutes.refused,
        ms(50),
        ms(99),
        ms(100)
    );
    Ok(())
}

/// One person of the crowd.
struct Person {
    client: People,
    ticket: AsciiMetadataValue,
}

async fn gather(cluster: &Cluster, people: usize) -> Result<Vec<Person>> {
    let mut channels = Vec::new();
    for connection in 0..2 * CONNECTIONS {
        channels.push(cluster.channel(connection % 2).await?);
    }
    let person = |n: usize| {
        let ticket = cluster.ticket(ROOM, &format!("hand-{n}"), Role::Listener)?;
        let client = ParticipantServiceClient::new(channels[n % channels.len()].clone());
        Ok(Person { client, ticket: format!("Bearer {ticket}").parse()? })
    };
    (0..people).map(person).collect()
}

/// Everyone raises and lowers a hand, and what was answered is counted.
async fn raise(crowd: Vec<Person>, length: Duration) -> BTreeMap<String, u64> {
    let tally = Arc::new(Mutex::new(BTreeMap::new()));
    let mut tasks = JoinSet::new();
    let count = crowd.len() as u32;
    for (n, person) in crowd.into_iter().enumerate() {
        let tally = tally.clone();
        tasks.spawn(async move {
            // Not all at the same moment.
            tokio::time::sleep(EACH * n as u32 / count).await;
            let (mut tick, until, mut up) = (interval(EACH), Instant::now() + length, false);
            while Instant::now() < until {
                tick.tick().await;
                up = !up;
                let answer = wave(&person, up).await;
                *tally.lock().unwrap_or_else(|held| held.into_inner()).entry(answer).or_default() += 1;
            }
        });
    }
    tasks.join_all().await;
    let tally = tally.lock().unwrap_or_else(|held| held.into_inner());
    tally.clone()
}

async fn wave(person: &Person, up: bool) -> String {
    let mut request = Request::new(RoomRequest { room: ROOM.to_owned() });
    request.metadata_mut().insert("authorization", person.ticket.clone());
    let mut client = person.client.clone();
    let answer = if up { client.raise_hand(request).await } else { client.lower_hand(request).await };
    answer.map_or_else(|status| fault_of(&status).code.to_string(), |_| "ok".to_owned())
}

/// A host's mutes, and why some were refused.
struct Mutes {
    took: Vec<Duration>,
    refused: Vec<String>,
}

/// A relay's bytes a second over a stretch of time, in which a host mutes and unmutes a speaker.
async fn watch(cluster: &Cluster, length: Duration) -> Result<(f64, Mutes)> {
    let ticket = format!("Bearer {}", cluster.ticket(ROOM, "host", Role::Host)?);
    let ticket: AsciiMetadataValue = ticket.parse()?;
    let mut client = ParticipantServiceClient::new(cluster.channel(0).await?);
    let (mut mutes, mut muted) = (Mutes { took: Vec::new(), refused: Vec::new() }, false);
    let (bytes, start, mut tick) = (relayed(cluster).await?, Instant::now(), interval(MUTES));
    while start.elapsed() < length {
        tick.tick().await;
        muted = !muted;
        let mute = MuteRequest { room: ROOM.to_owned(), participant: "ann".to_owned(), muted };
        let mut request = Request::new(mute);
        request.metadata_mut().insert("authorization", ticket.clone());
        let asked = Instant::now();
        match client.mute(request).await {
            Ok(_) => mutes.took.push(asked.elapsed()),
            Err(status) => mutes.refused.push(fault_of(&status).code.to_string()),
        }
    }
    mutes.took.sort();
    let bytes = relayed(cluster).await? - bytes;
    Ok((bytes / start.elapsed().as_secs_f64(), mutes))
}

/// Bytes that a relay has sent to its children so far.
async fn relayed(cluster: &Cluster) -> Result<f64> {
    let text = cluster.metrics("relay-a").await?;
    let name = "stentor_downlink_bytes_total{";
    let line = text.lines().find(|line| line.starts_with(name) && line.contains("tier=\"relay\""));
    let value = line.and_then(|line| line.rsplit(' ').next()).context("the relay counts its bytes")?;
    Ok(value.parse()?)
}
