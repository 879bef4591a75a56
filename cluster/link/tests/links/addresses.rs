//! Where links come from.

use std::net::{IpAddr, Ipv4Addr};

use stentor_link::{Pool, Security, control::Client};
use stentor_telemetry::Metrics;
use tokio::{net::TcpListener, time::timeout};

use super::cluster::{SOON, id};

#[tokio::test]
async fn links_leave_from_the_address_that_is_given() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let metrics = Metrics::new().for_node(&id("n"));
    let client = Client::new(Pool::new(Security::Insecure, Some(from), &metrics).unwrap());
    let calling = tokio::spawn(async move { client.probe(&to, None).await });
    let (_stream, peer) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    assert_eq!(peer.ip(), from);
    calling.abort();
}
