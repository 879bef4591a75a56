//! Bad input on the link port: each has a clear answer, and none disturbs a running room.

use std::time::Duration;

use stentor_ids::{Code, Epoch, Fault, Lineage};
use stentor_link::Carry;
use stentor_proto::{
    fault_of,
    v1::{self, downlink_service_client::DownlinkServiceClient, mirror_service_client::MirrorServiceClient},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;

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
    let live_since_us = i64::try_from(stentor_clock::wall().as_micros()).unwrap();
    let source = origin.rooms.own(v1::RoomStatus { live_since_us, ..live("origin-1", 1) });
    let cases = [
        (None, "ended before its hello"),
        (Some(v1::SubscribeRequest::default()), "must be a hello"),
        (saying(v1::SubscribeHello { room: "no/room".into(), ..hello("n") }), "\"no/room\""),
        (saying(v1::SubscribeHello { room: "r".repeat(65), ..hello("n") }), "65 bytes"),
        (saying(hello("")), "node is empty"),
        (saying(v1::SubscribeHello { highest_slot: 10_000_000, ..hello("n") }), "slot 10000000"),
        (saying(v1::SubscribeHello { highest_slot: u64::MAX, ..hello("n") }), "slot 18446744073709551615"),
        (saying(v1::SubscribeHello { highest_epoch: u64::MAX, ..hello("n") }), "epoch 18446744073709551615"),
        (saying(v1::SubscribeHello { highest_epoch: 1_002, ..hello("n") }), "epoch 1002"),
        (
            saying(v1::SubscribeHello { highest_lineage: u64::MAX, ..hello("n") }),
            "lineage 18446744073709551615",
        ),
    ];
    for (first, told) in cases {
        let fault = refused(&cluster, &origin, first.clone()).await;
        assert_eq!(fault.code, Code::InvalidArgument, "{first:?}: {fault}");
        assert!(fault.detail.contains(told), "{fault}");
    }
    assert_eq!(source.reported(), None, "nothing of it is kept");
    assert_eq!(origin.metrics.reports_refused().get(), 5);
    let long = v1::SubscribeHello { room: "r".repeat(1024 * 1024), ..hello("n") };
    let fault = refused(&cluster, &origin, saying(long)).await;
    assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
    assert!(fault.detail.contains("too large"), "{fault}");
    let long = v1::FollowRequest { room: "r".repeat(1024 * 1024), ..v1::FollowRequest::default() };
    let mut client = MirrorServiceClient::new(cluster.pool.channel(&origin.link_addr()).unwrap());
    let fault = fault_of(&timeout(SOON, client.follow(long)).await.unwrap().unwrap_err());
    assert!(fault.detail.contains("too large"), "{fault}");
}

/// A child as the wire has it, which reports a count again and again; it goes when this is dropped.
struct Counting {
    _reports: AbortOnDropHandle<()>,
    _stream: Streaming<v1::SubscribeResponse>,
}

impl Counting {
    async fn at(
        cluster: &Cluster,
        parent: &Node,
        hello: v1::SubscribeHello,
        count: v1::ListenerCount,
    ) -> Self {
        Self::reporting(cluster, parent, hello, v1::CountReport { count: Some(count), ..Default::default() })
            .await
    }

    async fn reporting(
        cluster: &Cluster,
        parent: &Node,
        hello: v1::SubscribeHello,
        report: v1::CountReport,
    ) -> Self {
        let report = v1::SubscribeRequest { message: Some(v1::subscribe_request::Message::Count(report)) };
        let (sender, requests) = tokio::sync::mpsc::channel(1);
        let reports = tokio::spawn(async move {
            let mut next = saying(hello);
            while sender.send(next.take().unwrap_or_else(|| report.clone())).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut client = DownlinkServiceClient::new(cluster.pool.channel(&parent.link_addr()).unwrap());
        let stream = timeout(SOON, client.subscribe(ReceiverStream::new(requests))).await.unwrap().unwrap();
        Self { _reports: AbortOnDropHandle::new(reports), _stream: stream.into_inner() }
    }
}

#[tokio::test]
async fn a_count_that_cannot_be_is_in_no_sum_and_two_of_one_name_are_two() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let source = origin.rooms.own(live("origin-1", 1));
    let of = |listeners, edges| v1::ListenerCount {
        listeners,
        edges_reporting: edges,
        edges_known: edges,
        ..Default::default()
    };
    let honest = Counting::at(&cluster, &origin, hello("edge-1"), of(5, 1)).await;
    let _absurd = [
        Counting::at(&cluster, &origin, hello("edge-2"), of(u64::MAX, 1)).await,
        Counting::at(&cluster, &origin, hello("edge-3"), of(0, u32::MAX)).await,
    ];
    until("both are refused", || origin.metrics.reports_refused().get() > 4).await;
    let sum = || {
        let count = source.counts();
        (count.listeners, count.edges_reporting)
    };
    until("the honest one counts", || sum() == (5, 1)).await;
    let twin = Counting::at(&cluster, &origin, hello("edge-1"), of(4, 1)).await;
    until("both of one name count", || sum() == (9, 2)).await;
    drop(honest);
    until("one goes and the other stays", || sum() == (4, 1)).await;
    drop(twin);
    until("nobody is left", || sum() == (0, 0)).await;
}

#[tokio::test]
async fn what_a_child_has_seen_is_forgotten_when_it_goes() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let source = origin.rooms.own(live("origin-1", 1));
    let hello = v1::SubscribeHello { highest_epoch: 9, ..hello("n") };
    let child = Counting::at(&cluster, &origin, hello, v1::ListenerCount::default()).await;
    until("it is there", || source.reported().is_some_and(|seen| seen.epoch.0 == 9)).await;
    drop(child);
    until("it is forgotten", || source.reported().is_none()).await;
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
    let live_since_us = i64::try_from(stentor_clock::wall().as_micros()).unwrap();
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

#[tokio::test]
async fn a_child_that_is_stuck_where_nobody_can_be_is_let_go_and_hides_nobody() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let source = origin.rooms.own(live("origin-1", 1));
    source.push(super::cluster::frame(1, 1));
    let stuck = |lineage, stuck_ms| {
        let count = Some(v1::ListenerCount { edges_reporting: 1, edges_known: 1, ..Default::default() });
        v1::CountReport { count, lineage, stuck_ms }
    };
    let first = Lineage::of(Epoch(1));
    let above = first.0 + 1;
    let mut children = Vec::new();
    let lies = [u64::MAX, first.0 | 0xffff, Lineage::of(Epoch(2)).0];
    for (n, lie) in lies.into_iter().enumerate() {
        let name = format!("liar-{n}");
        children.push(Counting::reporting(&cluster, &origin, hello(&name), stuck(lie, u32::MAX)).await);
    }
    children.push(Counting::reporting(&cluster, &origin, hello("waits"), stuck(above + 2, 999)).await);
    until("they report", || source.counts().edges_reporting >= 3).await;
    until("what cannot be is refused", || origin.metrics.reports_refused().get() > 0).await;
    assert!(source.stuck().is_none_or(|stuck| stuck.lineage <= first), "{:?}", source.stuck());
    children.push(Counting::reporting(&cluster, &origin, hello("honest"), stuck(above, 1_200)).await);
    until("one that can be is known", || source.stuck().is_some_and(|stuck| stuck.lineage.0 == above)).await;
}
