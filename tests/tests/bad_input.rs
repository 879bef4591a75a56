//! Everything a hostile or broken peer may do to a running cluster, while a listener watches that it disturbs nothing.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use rand::RngExt;
use stentor_ids::Role;
use stentor_proto::v1::{
    SpeakHello, SpeakPacket, SpeakRequest, speak_request::Message, speak_service_client::SpeakServiceClient,
};
use stentor_tests::{
    cluster::{Cluster, Shape},
    http,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic::{Request, Status};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_peer_sends_disturbs_a_running_room() {
    let cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let _voices = cluster.speak_demo("talk").await.unwrap();
    let listener = cluster.listen(1, "talk").unwrap();
    listener.frames(50, Duration::from_secs(20)).await.unwrap();

    garbage_on_every_port(&cluster).await;
    wrong_requests_are_refused_with_a_reason(&cluster).await;
    wrong_speakers_are_refused_with_a_reason(&cluster).await;
    let sleeper = a_listener_that_never_reads(&cluster).await;

    listener.frames(150, Duration::from_secs(20)).await.unwrap();
    drop(sleeper);
    let report = listener.stop().await.unwrap();
    assert_eq!((report.missed, report.repeated, report.out_of_order), (0, 0, 0), "{report:?}");
    for name in cluster.names() {
        assert!(!cluster.node(&name).unwrap().log().contains("panicked"), "{name} panicked");
    }
}

async fn garbage_on_every_port(cluster: &Cluster) {
    let ports = cluster.ports();
    let mut bytes = vec![0; 64 * 1024];
    for port in ports {
        for _ in 0..4 {
            rand::rng().fill(&mut bytes[..]);
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
                panic!("port {port} is closed");
            };
            // The server may hang up in the middle; that is an answer.
            let _ = stream.write_all(&bytes).await;
        }
    }
}

async fn wrong_requests_are_refused_with_a_reason(cluster: &Cluster) {
    let port = cluster.edge_port(0);
    for (path, status, code) in [
        ("/v1/rooms/nowhere/live.ogg", 404, "unknown_room"),
        ("/v1/rooms/nowhere", 404, "unknown_room"),
        ("/v1/rooms/a%2Fb/live.ogg", 400, "invalid_argument"),
        ("/v1/rooms/talk/live.ogg?page=7", 400, "invalid_argument"),
        ("/v1/rooms/talk/live.ogg?page=2000", 400, "invalid_argument"),
        ("/v1/rooms/talk/live.ogg?ticket=nonsense", 401, "invalid_ticket"),
        ("/favicon.ico", 404, "unknown_path"),
    ] {
        let answer = http::get(port, path).await.unwrap();
        assert_eq!(answer.status, status, "{path}: {}", answer.body_text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.json().unwrap()["code"], code, "{path}");
        assert!(!answer.json().unwrap()["detail"].as_str().unwrap().is_empty(), "{path}");
    }
    let post =
        "POST /v1/rooms/talk/live.ogg HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(http::request(port, post).await.unwrap().status, 405);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000));
    let refused = http::request(port, &long).await;
    assert!(refused.as_ref().map_or(true, |answer| (400..=431).contains(&answer.status)), "{refused:?}");
}

async fn wrong_speakers_are_refused_with_a_reason(cluster: &Cluster) {
    let speaker = cluster.ticket("talk", "eve", Role::Speaker).unwrap();
    let cases = [
        ("no ticket", None, vec![hello("talk")], "unauthenticated"),
        ("garbage ticket", Some("a.b.c".to_owned()), vec![hello("talk")], "invalid_ticket"),
        (
            "a listener's",
            Some(cluster.ticket("talk", "leo", Role::Listener).unwrap()),
            vec![hello("talk")],
            "role_forbids",
        ),
        (
            "another room's",
            Some(cluster.ticket("else", "eve", Role::Speaker).unwrap()),
            vec![hello("talk")],
            "wrong_room",
        ),
        (
            "expired",
            Some(cluster.expired_ticket("talk", "eve").unwrap()),
            vec![hello("talk")],
            "ticket_expired",
        ),
        ("no hello", Some(speaker.clone()), vec![packet(1, vec![0; 20])], "invalid_argument"),
        ("empty packet", Some(speaker.clone()), vec![hello("talk"), packet(1, vec![])], "invalid_packet"),
        (
            "oversize",
            Some(speaker.clone()),
            vec![hello("talk"), packet(1, vec![0x78; 5000])],
            "invalid_packet",
        ),
        ("malformed", Some(speaker.clone()), vec![hello("talk"), packet(1, vec![0xff; 9])], "invalid_packet"),
        ("flood", Some(speaker), flood(), "too_fast"),
    ];
    for (name, ticket, messages, code) in cases {
        let status = speak(cluster, ticket, messages).await;
        let told = stentor_proto::fault_of(&status);
        assert_eq!(told.code.as_str(), code, "{name}: {status:?}");
        assert!(!told.detail.is_empty(), "{name}");
    }
}

/// Speaks until the edge ends the stream, and gives its reason.
async fn speak(cluster: &Cluster, ticket: Option<String>, messages: Vec<SpeakRequest>) -> Status {
    // The stream stays open behind the messages: it is the edge that must end it.
    let outgoing = tokio_stream::StreamExt::chain(tokio_stream::iter(messages), tokio_stream::pending());
    let mut request = Request::new(outgoing);
    if let Some(ticket) = ticket {
        request.metadata_mut().insert("authorization", format!("Bearer {ticket}").parse().unwrap());
    }
    let answer = async {
        let mut answers =
            SpeakServiceClient::new(cluster.channel(0).await.unwrap()).speak(request).await?.into_inner();
        while answers.message().await?.is_some() {}
        Err::<(), Status>(Status::ok("the stream ended without a reason"))
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), answer).await;
    ended.expect("the edge ends the stream").unwrap_err()
}

fn hello(room: &str) -> SpeakRequest {
    let hello = SpeakHello { room: room.to_owned(), ..SpeakHello::default() };
    SpeakRequest { message: Some(Message::Hello(hello)) }
}

fn packet(seq: u64, opus: Vec<u8>) -> SpeakRequest {
    SpeakRequest { message: Some(Message::Packet(SpeakPacket { seq, opus: opus.into() })) }
}

/// A minute of speech in one breath: 20 ms packets of silence (configuration 15, mono, one frame).
fn flood() -> Vec<SpeakRequest> {
    std::iter::once(hello("talk")).chain((1..=3000).map(|seq| packet(seq, vec![0x78, 0xff, 0xfe]))).collect()
}

async fn a_listener_that_never_reads(cluster: &Cluster) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", cluster.edge_port(1))).await.unwrap();
    stream.write_all(b"GET /v1/rooms/talk/live.ogg?page=20 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream
}
