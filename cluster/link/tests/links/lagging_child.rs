//! A child that does not read holds up nobody: it skips, is told so, and is counted.

use bytes::Bytes;
use stentor_link::{Carry, Feed, FeedWriter};
use stentor_proto::v1::{self, downlink_service_client::DownlinkServiceClient, subscribe_response::Message};
use stentor_relay::Frame;
use stentor_telemetry::{Frames, Tier};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::Streaming;

use super::cluster::{Cluster, Node, SOON, assert_each_once, frame, live, room, slots_until};

/// A child as the wire has it, which reads when the test says so.
pub async fn child(
    cluster: &Cluster,
    parent: &Node,
    hello: v1::SubscribeHello,
) -> Streaming<v1::SubscribeResponse> {
    let message = Some(v1::subscribe_request::Message::Hello(hello));
    let requests = tokio_stream::iter([v1::SubscribeRequest { message }]).chain(tokio_stream::pending());
    let mut client = DownlinkServiceClient::new(cluster.pool.channel(&parent.link_addr()).unwrap());
    timeout(SOON, client.subscribe(requests)).await.unwrap().unwrap().into_inner()
}

pub fn hello(node: &str) -> v1::SubscribeHello {
    v1::SubscribeHello { room: room().to_string(), node: node.into(), ..Default::default() }
}

fn big(slot: u64) -> Frame {
    Frame { opus: Bytes::from_static(&[0xfc; 1400]), ..frame(1, slot) }
}

/// Puts slots in at the pace of whoever reads `feed`.
async fn emit_read(source: &FeedWriter, feed: &Feed, slots: std::ops::Range<u64>) {
    let mut reader = feed.subscribe(None);
    for slot in slots {
        source.push(big(slot));
        slots_until(&mut reader, slot).await;
    }
}

#[tokio::test]
async fn a_child_that_does_not_read_skips_and_is_counted_and_another_misses_nothing() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let source = origin.rooms.own(live("origin-1", 1));
    let mut slow = child(&cluster, &origin, hello("slow")).await;
    let edge = cluster.edge("edge-1");
    let feed = edge.feed(&room()).await.unwrap();
    let mut reader = feed.subscribe(None);
    emit_read(&source, &feed, 0..400).await;
    // A reader within the process that lags out of the feed goes on near its end.
    assert_each_once(slots_until(&mut reader, 399).await, 395..400);

    let (mut slots, mut gaps) = (0_u64, Vec::new());
    let mut next = 0;
    while next < 400 {
        let response = timeout(SOON, slow.message()).await.unwrap().unwrap().unwrap();
        match response.message.unwrap() {
            Message::Frame(frame) => {
                assert_eq!(frame.slot, next, "in order, after {gaps:?}");
                next += 1;
                slots += 1;
            }
            Message::Gap(gap) => {
                assert_eq!((gap.slot, gap.skipped), (next, true));
                next += gap.count;
                gaps.push(gap);
            }
            _ => {}
        }
    }
    let skipped: u64 = gaps.iter().map(|gap| gap.count).sum();
    assert_eq!(slots + skipped, 400);
    assert!(slots < 150, "what was under way is bounded: {slots} slots");
    assert_eq!(origin.metrics.frames(Tier::Origin, Frames::Skipped).get(), skipped);
}
