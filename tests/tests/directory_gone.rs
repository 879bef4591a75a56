//! The directory is needed to change who owns what, and not to stay on the air.

use std::time::Duration;

use stentor_tests::cluster::{Cluster, Shape};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_stays_on_the_air_while_etcd_is_dead_for_longer_than_a_lease() {
    let mut cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let _voices = cluster.speak_demo("talk").await.unwrap();
    let listeners = [cluster.listen(0, "talk").unwrap(), cluster.listen(1, "talk").unwrap()];
    for listener in &listeners {
        listener.frames(50, Duration::from_secs(20)).await.unwrap();
    }
    let owner = cluster.owner("talk", Duration::from_secs(5)).await.unwrap();

    cluster.etcd().kill().unwrap();
    // Two leases long.
    listeners[0].frames(300, Duration::from_secs(20)).await.unwrap();
    let late = cluster.listen(1, "talk").unwrap();
    late.frames(50, Duration::from_secs(10)).await.unwrap();
    cluster.start_etcd().await.unwrap();
    listeners[0].frames(300, Duration::from_secs(20)).await.unwrap();

    for listener in listeners.into_iter().chain([late]) {
        let report = listener.stop().await.unwrap();
        assert_eq!((report.missed, report.repeated, report.reconnects), (0, 0, 0), "{report:?}");
        assert_eq!(report.epochs.len(), 1, "{report:?}");
    }
    assert_eq!(cluster.owner("talk", Duration::from_secs(20)).await.unwrap(), owner);
    cluster.connected("talk", 2, Duration::from_secs(20)).await.unwrap();
    cluster.ctl(&["participant", "mute", "talk", "ann"]).await.unwrap();
}
