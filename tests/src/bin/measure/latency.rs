//! Mouth to ear, on the sound itself: see [`stentor_tests::beats`].

use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use stentor_ids::Role;
use stentor_proto::v1::{
    ListenRequest, listen_response::Message, listen_service_client::ListenServiceClient,
};
use stentor_tests::{
    beats::{Ear, beep, latencies, percentile},
    cluster::{Cluster, Shape},
};
use tonic::transport::Channel;

/// The room that is beeped into.
pub(crate) const BEEPS: &str = "latency";

pub(crate) async fn measure(seconds: usize) -> Result<()> {
    let cluster = Cluster::start(Shape::default()).await?;
    cluster.live_room("latency").await?;
    let ticket = cluster.ticket("latency", "beeper", Role::Speaker)?;
    let ear = tokio::spawn(hear_grpc(cluster.channel(1).await?, false));
    let fast = tokio::spawn(hear_grpc(cluster.channel(1).await?, true));
    let port = cluster.edge_port(1);
    let ogg = tokio::task::spawn_blocking(move || hear_ogg(port));
    let mouths = beep(cluster.channel(0).await?, "latency", &ticket, seconds).await?;
    cluster.ctl(&["room", "end", "latency"]).await?;
    println!("mouth to ear, {} beeps, speaker at one edge, listener at the other", mouths.len());
    row("gRPC", &mouths, &ear.await??);
    row("gRPC unbuffered", &mouths, &fast.await??);
    row("Ogg, 20 ms pages", &mouths, &ogg.await??);
    Ok(())
}

fn row(way: &str, mouths: &[Instant], heard: &[Instant]) {
    let all = latencies(mouths, heard);
    let ms = |percent| percentile(&all, percent).as_secs_f64() * 1000.0;
    println!(
        "{way:<18} heard {:>4}   p50 {:6.1} ms   p90 {:6.1} ms   p99 {:6.1} ms   worst {:6.1} ms",
        all.len(),
        ms(50),
        ms(90),
        ms(99),
        ms(100)
    );
}

async fn hear_grpc(edge: Channel, unbuffered: bool) -> Result<Vec<Instant>> {
    let mut ear = Ear::new()?;
    listen(edge, unbuffered, |opus| ear.take(opus, Instant::now(), Duration::ZERO)).await?;
    Ok(ear.heard)
}

/// Takes each packet of the room of beeps until that ends.
pub(crate) async fn listen(
    edge: Channel,
    unbuffered: bool,
    mut take: impl FnMut(Bytes) -> Result<()>,
) -> Result<()> {
    let request = ListenRequest { room: BEEPS.to_owned(), unbuffered };
    let mut messages = ListenServiceClient::new(edge).listen(request).await?.into_inner();
    while let Some(response) = messages.message().await? {
        match response.message {
            Some(Message::Frame(frame)) => take(frame.opus)?,
            Some(Message::Ended(_)) => break,
            _ => {}
        }
    }
    Ok(())
}

/// Reads the stream as a player does: pages as they come, over a blocking socket.
fn hear_ogg(port: u16) -> Result<Vec<Instant>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    // HTTP/1.0 gets the body without chunked framing.
    stream.write_all(b"GET /v1/rooms/latency/live.ogg?page=20 HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        reader.read_exact(&mut byte).context("the head breaks off")?;
        head.push(byte[0]);
    }
    let mut packets = ogg::PacketReader::new(Unseekable(reader));
    let mut ear = Ear::new()?;
    for header in ["OpusHead", "OpusTags"] {
        packets.read_packet()?.context(header)?;
    }
    while let Some(packet) = packets.read_packet()? {
        ear.take(packet.data.into(), Instant::now(), Duration::ZERO)?;
    }
    Ok(ear.heard)
}

/// The reader asks for `Seek` and never seeks while reading packets.
struct Unseekable<R>(R);

impl<R: Read> Read for Unseekable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R> std::io::Seek for Unseekable<R> {
    fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
