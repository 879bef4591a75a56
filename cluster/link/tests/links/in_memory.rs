//! Links without sockets, on paused time: nothing that goes over them takes any.

use std::{sync::Arc, time::Duration};

use stentor_ids::Code;
use stentor_link::{LinkServer, Pool, Services, control::Client, memory::Network};
use stentor_telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use super::{
    cluster::{id, room},
    control::Answers,
};

#[tokio::test(start_paused = true)]
async fn a_call_takes_no_time_and_who_is_gone_refuses() {
    let (network, metrics) = (Network::default(), Metrics::new().for_node(&id("origin-1")));
    let server = LinkServer::in_memory(&network);
    let (addr, stop) = (server.local_addr().to_string(), CancellationToken::new());
    let services = Services { control: Some(Arc::<Answers>::default()), ..Services::default() };
    let serving = tokio::spawn(server.run(id("origin-1"), services, metrics.clone(), stop.clone()));
    let client = Client::new(Pool::in_memory(network, &metrics));

    let began = stentor_clock::now();
    assert!(client.probe(&addr, Some(&room())).await.unwrap().owns);
    assert_eq!(client.locate(&addr, &room()).await.unwrap_err().code, Code::UnknownRoom);
    assert_eq!(stentor_clock::now().since(began), Duration::ZERO);

    stop.cancel();
    serving.await.unwrap().unwrap();
    let refused = client.probe(&addr, None).await.unwrap_err();
    assert_eq!(refused.code, Code::NodeUnavailable, "{refused}");
}
