//! A join is one trace through every tier, and it goes on from the trace of a client that brings one.

use std::time::Duration;

use anyhow::{Result, ensure};
use stentor_ids::Role;
use stentor_tests::{
    cluster::{Cluster, Extras, Shape},
    collector::{Collector, Ways},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Nodes export every five seconds what they have; a busy machine may be late with it.
const PATIENCE: Duration = Duration::from_secs(30);
/// A client's trace, and its span in it: the example of W3C Trace Context, section 3.2.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[tokio::test(flavor = "multi_thread")]
async fn a_join_is_one_trace_from_the_edge_to_the_owner() {
    let mut collector = Collector::start().await.unwrap();
    let extras = Extras { otlp: Some(collector.endpoint()), ..Extras::default() };
    let cluster = Cluster::start_with(Shape::default(), extras).await.unwrap();
    // Only the first join of a room has to go all the way, so each listener has a room of its own.
    let mut owners = Vec::new();
    for room in ["talk", "song"] {
        cluster.live_room(room).await.unwrap();
        owners.push(cluster.owner(room, Duration::from_secs(10)).await.unwrap());
    }

    let listener = cluster.listen(0, "talk").unwrap();
    listener.frames(50, Duration::from_secs(20)).await.unwrap();
    collector.trace(&through_both_relays("edge-a listen", &owners[0]), PATIENCE).await.unwrap();

    // After the listener: the edge of who speaks takes the room as well, and then the relays have it.
    let _voice = cluster.speak("talk", "ann", Role::Speaker, 1).unwrap();
    cluster.connected("talk", 1, Duration::from_secs(20)).await.unwrap();
    let spoken = Ways::from(["edge-b speak".to_owned(), format!("edge-b speak > {} uplink", owners[0])]);
    collector.trace(&spoken, PATIENCE).await.unwrap();

    let _stream = listen_within_a_trace(cluster.edge_port(1), "song").await.unwrap();
    let heard = through_both_relays(&format!("{CALLER} > edge-b listen"), &owners[1]);
    assert_eq!(collector.trace(&heard, PATIENCE).await.unwrap(), TRACE);
}

/// From the edge to both relays, and from each of them to the owner.
fn through_both_relays(join: &str, owner: &str) -> Ways {
    let relays = ["relay-a", "relay-b"].map(|relay| format!("{join} > {relay} subscribe"));
    let owners = relays.clone().map(|way| format!("{way} > {owner} subscribe"));
    [join.to_owned()].into_iter().chain(relays).chain(owners).collect()
}

/// Listens to `live.ogg` as part of [`TRACE`] until audio comes; hangs up when the stream is dropped.
async fn listen_within_a_trace(port: u16, room: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "GET /v1/rooms/{room}/live.ogg HTTP/1.1\r\nHost: localhost\r\ntraceparent: 00-{TRACE}-{CALLER}-01\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // OpusHead and OpusTags are two pages; audio begins with the third.
    while answer.windows(4).filter(|four| four == b"OggS").count() < 3 {
        let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await??;
        ensure!(read > 0, "hung up after {}", String::from_utf8_lossy(&answer));
    }
    Ok(stream)
}
