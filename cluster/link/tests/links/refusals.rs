//! Bad input on the link port: each has a clear answer, and none disturbs a running room.

use std::time::Duration;

use stentor_ids::Code;
use stentor_ids::Fault;
use stentor_link::Carry;
use stentor_proto::{
    fault_of,
    v1::{self, downlink_service_client::DownlinkServiceClient},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    cluster::{Cluster, Node, SOON, assert_each_once, emit, live, room, slots_until, until},
    lagging_child::hello,
};

async fn refused(cluster: &Cluster, node: &Node, first: Option<v1::SubscribeRequest>) -> Fault {
    let requests = tokio_stream::iter(first);
    let mut client = DownlinkServiceClient::new(cluster.pool.channel(&node.link_addr()).unwrap());
    let answer = timeout(SOON, client.subscribe(requests)).await.unwrap();
    fault_of(&answer.unwrap_err())
}

fn saying(hello: v1::SubscribeHello) -> Option<v1::SubscribeRequest> {
    Some(v1::SubscribeRequest { message: Some(v1::subscribe_request::Message::Hello(hello)) })
}

#[tokio::test]
async fn a_hello_that_cannot_be_is_refused_by_what_is_wrong_with_it() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let live_since_us = i64::try_from(since.as_micros()).unwrap();
    let _source = origin.rooms.own(v1::RoomStatus { live_since_us, ..live("origin-1", 1) });
    let cases = [
        (None, "ended before its hello"),
        (Some(v1::SubscribeRequest::default()), "must be a hello"),
        (saying(v1::SubscribeHello { room: "no/room".into(), ..hello("n") }), "\"no/room\""),
        (saying(v1::SubscribeHello { room: "r".repeat(65), ..hello("n") }), "65 bytes"),
        (saying(hello("")), "node is empty"),
        (saying(v1::SubscribeHello { highest_slot: 10_000_000, ..hello("n") }), "10000000"),
    ];
    for (first, told) in cases {
        let fault = refused(&cluster, &origin, first.clone()).await;
        assert_eq!(fault.code, Code::InvalidArgument, "{first:?}: {fault}");
        assert!(fault.detail.contains(told), "{fault}");
    }
    let long = v1::SubscribeHello { room: "r".repeat(1024 * 1024), ..hello("n") };
    let fault = refused(&cluster, &origin, saying(long)).await;
    assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
    assert!(fault.detail.contains("too large"), "{fault}");
}

#[tokio::test]
async fn garbage_on_the_link_port_disturbs_no_running_room() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let source = origin.rooms.own(live("origin-1", 1));
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the edge follows", || source.cursors() == 1).await;
    let emitted = emit(&source, 1, 0..60, Duration::from_millis(10));
    let noise = async {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let frames = [&preface[..], &[0xff; 64]].concat();
        let noises: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff], &[0; 4096], &frames];
        for noise in noises {
            let mut stream = TcpStream::connect(origin.addr).await.unwrap();
            stream.write_all(noise).await.unwrap();
            let mut answer = Vec::new();
            // The server says what it has to say and closes, or waits for more; neither takes anything from others.
            let _ = timeout(Duration::from_millis(50), stream.read_to_end(&mut answer)).await;
        }
        // One that says nothing at all stays open meanwhile.
        TcpStream::connect(origin.addr).await.unwrap()
    };
    let ((), _silent) = tokio::join!(emitted, noise);
    assert_each_once(slots_until(&mut cursor, 59).await, 0..60);
}

#[tokio::test]
async fn a_slot_far_ahead_of_the_clock_does_not_put_the_true_ones_out() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let live_since_us = i64::try_from(since.as_micros()).unwrap();
    let source = origin.rooms.own(v1::RoomStatus { live_since_us, ..live("origin-1", 1) });
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the edge follows", || source.cursors() == 1).await;
    source.push(super::cluster::frame(1, 7));
    slots_until(&mut cursor, 7).await;
    source.push(super::cluster::frame(1, u64::MAX));
    let again = origin.rooms.own(v1::RoomStatus { live_since_us, ..live("origin-1", 1) });
    origin.proxy.cut();
    until("the edge is cut off", || source.cursors() == 0).await;
    origin.proxy.restore();
    until("the edge is back", || again.cursors() == 1).await;
    again.push(super::cluster::frame(1, 8));
    assert_eq!(slots_until(&mut cursor, 8).await, [8]);
}
