//! Links between nodes under mutual TLS: the whole way works, and who has no certificate of the cluster is kept out.

use std::time::Duration;

use stentor_proto::v1::{ProbeRequest, control_service_client::ControlServiceClient};
use stentor_tests::cluster::{Cluster, Shape};

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_heard_over_links_that_strangers_cannot_use() {
    let cluster = Cluster::start(Shape { tls: true, ..Shape::default() }).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let _voices = cluster.speak_demo("talk").await.unwrap();
    let listener = cluster.listen(1, "talk").unwrap();
    listener.frames(200, Duration::from_secs(30)).await.unwrap();
    let report = listener.stop().await.unwrap();
    assert_eq!((report.missed, report.repeated), (0, 0), "{report:?}");

    for port in cluster.link_ports() {
        let plain = ControlServiceClient::connect(format!("http://127.0.0.1:{port}"));
        if let Ok(mut client) = plain.await {
            let answer = client.probe(ProbeRequest::default()).await;
            assert!(answer.is_err(), "a stranger got {answer:?} from port {port}");
        }
    }
}
