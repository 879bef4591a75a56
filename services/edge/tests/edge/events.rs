//! A room's events over HTTP.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use stentor_edge::Config;
use stentor_kit::{SOON, until};
use stentor_proto::v1::{Lifecycle, Visibility, participant_event::What};
use stentor_telemetry::Protocol;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{
    client::{get, request},
    stage::{Stage, status},
};

/// Someone who follows events.
struct Follower {
    socket: TcpStream,
    read: String,
}

async fn follow(addr: SocketAddr, path: &str) -> Follower {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: edge.example\r\n\r\n").as_bytes()).await.unwrap();
    let mut follower = Follower { socket, read: String::new() };
    let head = follower.up_to("\r\n\r\n").await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("\r\naccess-control-allow-origin: *\r\n") && !head.contains("content-length"));
    follower
}

impl Follower {
    /// What came up to an ending; none if the connection ended before.
    async fn up_to(&mut self, ending: &str) -> Option<String> {
        let mut buffer = vec![0; 4096];
        loop {
            if let Some(at) = self.read.find(ending) {
                let rest = self.read.split_off(at + ending.len());
                return Some(std::mem::replace(&mut self.read, rest));
            }
            let read =
                timeout(SOON, self.socket.read(&mut buffer)).await.expect("something comes").unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.read.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }

    async fn next(&mut self) -> Option<(String, serde_json::Value)> {
        let event = self.up_to("\n\n").await?;
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        Some((name.to_owned(), serde_json::from_str(data).unwrap()))
    }
}

#[tokio::test]
async fn the_room_is_told_at_once_at_each_change_and_at_its_end() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let mut follower = follow(stage.addr, "/v1/rooms/demo/events").await;
    let (name, room) = follower.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &room["lifecycle"], &room["title"]),
        ("status", &"live".into(), &"A talk".into())
    );
    assert_eq!(room["join"]["ogg"], "http://edge.example/v1/rooms/demo/live.ogg");
    assert!(!room.to_string().contains("banned"));

    let mut renamed = status("demo", Lifecycle::Live, Visibility::Public);
    renamed.stage_version = 7;
    air.feed.set_status(Arc::new(renamed.clone()));
    renamed.spec.as_mut().unwrap().title = "Another talk".into();
    air.feed.set_status(Arc::new(renamed));
    let (name, room) = follower.next().await.unwrap();
    assert_eq!((name.as_str(), &room["title"]), ("status", &"Another talk".into()));

    assert_eq!(stage.edge.connections(), 1);
    assert_eq!(stage.metrics.listeners(Protocol::Ogg).get(), 0, "it is no listener");
    air.end().await;
    let (name, room) = follower.next().await.unwrap();
    assert_eq!((name.as_str(), &room["lifecycle"]), ("status", &"ended".into()));
    assert_eq!(follower.next().await.unwrap(), ("ended".into(), serde_json::json!({})));
    assert_eq!(follower.next().await, None);
    until("the connection is counted no more", || stage.edge.connections() == 0).await;
}

#[tokio::test]
async fn who_follows_a_leaving_edge_is_told_where_to_go_and_by_when() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Public);
    let other = stage.other("edge-2").await;
    let mut follower = follow(stage.addr, "/v1/rooms/demo/events").await;
    follower.next().await.unwrap();
    let edge = stage.edge.clone();
    let draining = tokio::spawn(async move { edge.drain(Duration::from_secs(20)).await });
    let (name, to) = follower.next().await.unwrap();
    assert_eq!((name.as_str(), &to["url"]), ("moved", &format!("http://{}", other.addr).into()));
    assert!((1..=16_000).contains(&to["deadline_ms"].as_u64().unwrap()), "{to}");
    let mut there = follow(other.addr, "/v1/rooms/demo/events").await;
    assert_eq!(there.next().await.unwrap().0, "status");
    drop(follower);
    assert!(timeout(SOON, draining).await.expect("the drain ends").unwrap(), "everyone went");
}

#[tokio::test]
async fn events_are_for_those_who_may_hear_the_room() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Private);
    let path = "/v1/rooms/demo/events";
    assert_eq!(get(stage.addr, path).await.code(), "unauthenticated");
    assert_eq!(get(stage.addr, "/v1/rooms/nowhere/events").await.code(), "unknown_room");
    let (ann, bob) =
        (stage.listener("ann"), stage.ticket("bob", stentor_ids::Role::Listener, Duration::ZERO));
    let head = request(stage.addr, "HEAD", &format!("{path}?ticket={ann}"), "").await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!((head.header("content-length"), head.body.len()), (None, 0));

    let mut short = follow(stage.addr, &format!("{path}?ticket={bob}")).await;
    let mut banned = follow(stage.addr, &format!("{path}?ticket={ann}")).await;
    assert_eq!(
        (short.next().await.unwrap().0, banned.next().await.unwrap().0),
        ("status".into(), "status".into())
    );
    assert_eq!(short.next().await, None, "the ticket has ended");
    air.event("ann", What::Banned("spam".into()));
    assert_eq!(banned.next().await, None, "a ban ends it");
    assert_eq!(get(stage.addr, &format!("{path}?ticket={ann}")).await.code(), "banned");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_holds_up_nobody() {
    let stage = Stage::with(&Config { patience_ms: 1000, ..Config::default() }).await;
    let air = stage.on_air(Visibility::Public);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut deaf = socket.connect(stage.addr).await.unwrap();
    deaf.write_all(b"GET /v1/rooms/demo/events HTTP/1.1\r\n\r\n").await.unwrap();
    let mut steady = follow(stage.addr, "/v1/rooms/demo/events").await;
    until("both are there", || stage.edge.connections() == 2).await;
    let mut changing = status("demo", Lifecycle::Live, Visibility::Public);
    for number in 0..100_000 {
        changing.spec.as_mut().unwrap().title = format!("{number:08192}");
        air.feed.set_status(Arc::new(changing.clone()));
        steady.next().await.unwrap();
        if stage.edge.connections() == 1 {
            break;
        }
    }
    assert_eq!(stage.edge.connections(), 1);
}

#[tokio::test]
async fn a_room_that_is_only_followed_stays_on_the_edge_and_counts_no_listener() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let mut follower = follow(stage.addr, "/v1/rooms/demo/events").await;
    follower.next().await.unwrap();
    until("the origin has counted", || air.feed.counts().edges_reporting == 1).await;
    assert_eq!(air.feed.counts().listeners, 0);
}
