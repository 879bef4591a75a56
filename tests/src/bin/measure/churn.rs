//! What stays in an edge's memory of listeners that have come and gone, by how they came and went. What the allocator keeps for the
//! next ones grows with each new way and then no more, so the first way is gone through once again at the end: what
//! grows then stays of each join.

use std::time::Duration;

use anyhow::{Result, ensure};
use stentor_tests::cluster::{Cluster, Shape};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// How many come at the same time.
const AT_ONCE: usize = 50;
/// How often memory is told for each way.
const STEPS: usize = 4;
/// How long the last ones have to be gone.
const SETTLE: Duration = Duration::from_secs(3);

/// How somebody comes and goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Hears something and hangs up.
    Leaves,
    /// Hears something and is gone without a goodbye.
    Vanishes,
    /// Asks for a room that is not there, always the same.
    Nowhere,
    /// Asks for a room that is not there, and for another one each time.
    MadeUp,
}

pub(crate) async fn measure(joins: usize) -> Result<()> {
    let cluster = Cluster::start(Shape::default()).await?;
    cluster.live_room("churn").await?;
    let _voices = cluster.speak_demo("churn").await?;
    let (edge, port) = (cluster.edge(0).usage(), cluster.edge_port(0));
    // One stays, so that the room does.
    let _stays = come(port, "/v1/rooms/churn/live.ogg").await?;
    println!("{:<12} {:>10} {:>14} {:>14}", "way", "joins", "resident kB", "bytes a join");
    for way in [Way::Leaves, Way::Vanishes, Way::Nowhere, Way::MadeUp, Way::Leaves] {
        let mut before = edge.resident()?;
        for step in 0..STEPS {
            churn(port, way, step * joins, joins).await?;
            tokio::time::sleep(SETTLE).await;
            let now = edge.resident()?;
            let grown = now as f64 - before as f64;
            let all = (step + 1) * joins;
            println!(
                "{:<12} {all:>10} {:>14} {:>14.1}",
                format!("{way:?}"),
                now / 1024,
                grown / joins as f64
            );
            before = now;
        }
    }
    Ok(())
}

async fn churn(port: u16, way: Way, first: usize, joins: usize) -> Result<()> {
    let mut people = JoinSet::new();
    for number in first..first + joins {
        if people.len() >= AT_ONCE
            && let Some(done) = people.join_next().await
        {
            done??;
        }
        people.spawn(one(port, way, number));
    }
    people.join_all().await.into_iter().collect()
}

async fn one(port: u16, way: Way, number: usize) -> Result<()> {
    let path = match way {
        Way::Leaves | Way::Vanishes => "/v1/rooms/churn/live.ogg".to_owned(),
        Way::Nowhere => "/v1/rooms/nowhere/live.ogg".to_owned(),
        Way::MadeUp => format!("/v1/rooms/nowhere-{number}/live.ogg"),
    };
    let mut socket = come(port, &path).await?;
    match way {
        Way::Vanishes => socket.set_zero_linger()?,
        _ => socket.shutdown().await?,
    }
    Ok(())
}

/// Asks, and reads the beginning of the answer.
async fn come(port: u16, path: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = [0; 512];
    ensure!(socket.read(&mut answer).await? > 0, "there was no answer for {path}");
    Ok(socket)
}
