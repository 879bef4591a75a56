//! A port of links that has all the connections that it may have.

use std::{net::SocketAddr, sync::Arc};

use stentor_link::{LinkServer, Pool, Security, Services, control::Client};
use stentor_telemetry::Metrics;
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    cluster::{SOON, id},
    control::Answers,
};

async fn probe(addr: SocketAddr) -> bool {
    let pool = Pool::new(Security::Insecure, None, &Metrics::new().for_node(&id("n"))).unwrap();
    Client::new(pool).probe(&addr.to_string(), None).await.is_ok()
}

#[tokio::test]
async fn one_connection_more_is_closed_and_counted_until_there_is_a_place_again() {
    let metrics = Metrics::new();
    let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), &Security::Insecure).unwrap();
    let server = server.with_max_connections(2);
    let addr = server.local_addr();
    let services = Services { control: Some(Arc::<Answers>::default()), ..Services::default() };
    let stop = CancellationToken::new();
    tokio::spawn(server.run(id("n"), services, metrics.for_node(&id("n")), stop.clone()));
    let silent = [TcpStream::connect(addr).await.unwrap(), TcpStream::connect(addr).await.unwrap()];
    let mut more = TcpStream::connect(addr).await.unwrap();
    let closed = timeout(SOON, more.read(&mut [0; 64])).await.expect("it is closed in time");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    let counted = r#"stentor_connections_refused_total{node="n",port="link"} 1"#;
    assert!(metrics.encode().contains(counted), "{}", metrics.encode());
    drop(silent);
    let again = async {
        while !probe(addr).await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, again).await.expect("there is a place again");
    stop.cancel();
}
