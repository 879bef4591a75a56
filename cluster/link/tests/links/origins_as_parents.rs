//! With fewer than two relays edges take origins, and an origin that does not own a room carries it.

use std::time::Duration;

use stentor_ids::Code;
use stentor_link::Carry;
use stentor_proto::v1::downlink_service_client::DownlinkServiceClient;
use stentor_proto::{fault_of, v1};

use super::{
    cluster::{Cluster, assert_each_once, emit, live, room, slots_until, until},
    lagging_child::hello,
};

#[tokio::test]
async fn an_origin_that_does_not_own_a_room_carries_it_for_edges() {
    let cluster = Cluster::new();
    let [owner, other] = [cluster.origin("origin-1").await, cluster.origin("origin-2").await];
    let source = cluster.on_air(&owner);
    let edge = cluster.edge("edge-1");
    let mut cursor = edge.feed(&room()).await.unwrap().subscribe(None);
    until("the edge and the other origin follow", || source.cursors() == 2).await;
    until("the other origin carries the room", || other.carrier.rooms() == 1).await;
    emit(&source, 1, 0..20, Duration::from_millis(10)).await;
    assert_each_once(slots_until(&mut cursor, 19).await, 0..20);
}

#[tokio::test]
async fn a_relay_is_served_by_the_owner_alone_so_that_no_circle_forms() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    cluster.view.set_status(Some(live("", 1)));
    let message = Some(v1::subscribe_request::Message::Hello(hello("relay-1")));
    let requests = tokio_stream::iter([v1::SubscribeRequest { message }]);
    let mut client = DownlinkServiceClient::new(cluster.pool.channel(&origin.link_addr()).unwrap());
    let status = client.subscribe(requests).await.unwrap_err();
    assert_eq!(fault_of(&status).code, Code::NotOwner, "{status}");
}
