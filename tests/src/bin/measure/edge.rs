//! CPU of talking rooms at an edge, by how many listen there: what a room costs before anyone does, and what the first
//! listener adds.

use std::time::Duration;

use anyhow::{Context, Result};
use stentor_tests::{
    cluster::{Cluster, Shape},
    load::Crowd,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::fanout::cpu_over;

/// How long each state is watched.
const WATCH: Duration = Duration::from_secs(20);
/// How long a change may take to settle.
const SETTLE: Duration = Duration::from_secs(3);
/// The crowd.
const CROWD: usize = 1000;
/// The edge that is watched: nobody speaks through it.
const EDGE: usize = 2;

pub(crate) async fn measure(rooms: usize) -> Result<()> {
    let cluster = Cluster::start(Shape { edges: EDGE + 1, ..Shape::default() }).await?;
    let (edge, port) = (cluster.edge(EDGE).usage(), cluster.edge_port(EDGE));
    let names: Vec<_> = (0..rooms).map(|number| format!("talk-{number}")).collect();
    let mut voices = Vec::new();
    for room in &names {
        cluster.live_room(room).await?;
        voices.push(cluster.speak_demo(room).await?);
    }
    let idle = cpu_over(edge, WATCH).await?;
    println!("{rooms} talking rooms at an edge that uses {:.2} % of a core without them", idle * 100.0);
    println!("{:<46} {:>12} {:>12}", "in each room", "% of a core", "a room");
    // Who follows a room's events has it played and hears nothing.
    let mut followers = JoinSet::new();
    for room in &names {
        followers.spawn(follow(port, room.clone()));
    }
    row("nobody listens", edge, idle, rooms).await?;
    let mut crowds = Vec::new();
    for room in &names {
        crowds.push(Crowd::gather(port, &path(room), 1).await?);
    }
    row("one HTTP listener", edge, idle, rooms).await?;
    drop(crowds);
    tokio::time::sleep(SETTLE).await;
    row("the same has left", edge, idle, rooms).await?;
    let first = names.first().context("there is a room")?;
    let _crowd = Crowd::gather(port, &path(first), CROWD).await?;
    row("one room has 1,000 HTTP listeners, others none", edge, idle, rooms).await?;
    Ok(())
}

fn path(room: &str) -> String {
    format!("/v1/rooms/{room}/live.ogg")
}

async fn row(what: &str, edge: stentor_tests::process::Usage, idle: f64, rooms: usize) -> Result<()> {
    tokio::time::sleep(SETTLE).await;
    let busy = cpu_over(edge, WATCH).await?;
    println!("{what:<46} {:>12.2} {:>12.2}", busy * 100.0, (busy - idle) / rooms as f64 * 100.0);
    Ok(())
}

/// Follows a room's events for as long as it lives.
async fn follow(port: u16, room: String) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET /v1/rooms/{room}/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut part = [0; 4096];
    while stream.read(&mut part).await? > 0 {}
    Ok(())
}
