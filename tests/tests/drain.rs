//! Leaving on purpose: a node that is told to go hands its rooms over, ends with 0, and is not missed.

use std::time::Duration;

use rustix::process::Signal;
use stentor_tests::cluster::{Cluster, Shape};

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_gets_sigterm_hands_its_room_over_and_exits_with_0() {
    let mut cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let _voices = cluster.speak_demo("talk").await.unwrap();
    let listener = cluster.listen(0, "talk").unwrap();
    listener.frames(100, Duration::from_secs(20)).await.unwrap();
    let first = cluster.owner("talk", Duration::from_secs(5)).await.unwrap();

    cluster.node(&first).unwrap().signal(Signal::TERM).unwrap();
    let status = cluster.wait(&first, Duration::from_secs(30)).unwrap();
    assert!(status.success(), "{first} ended with {status}");
    assert_ne!(cluster.owner("talk", Duration::from_secs(5)).await.unwrap(), first);
    listener.frames(100, Duration::from_secs(20)).await.unwrap();
    let report = listener.stop().await.unwrap();
    assert_eq!((report.missed, report.repeated, report.reconnects), (0, 0, 0), "{report:?}");
    assert!(report.longest_interval < Duration::from_secs(3), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_origin_gives_up_its_room_and_gets_none_until_undrained() {
    let cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let first = cluster.owner("talk", Duration::from_secs(10)).await.unwrap();
    cluster.ctl(&["node", "drain", &first]).await.unwrap();
    let second = cluster.owner_other_than("talk", &first, Duration::from_secs(15)).await.unwrap();

    cluster.live_room("more").await.unwrap();
    assert_eq!(cluster.owner("more", Duration::from_secs(10)).await.unwrap(), second);
    let nodes = cluster.ctl_json(&["node", "list"]).await.unwrap();
    assert!(nodes.to_string().contains("\"draining\":true"), "{nodes}");
    cluster.ctl(&["node", "undrain", &first]).await.unwrap();
    cluster.ctl(&["room", "move", "more", "--to", &first]).await.unwrap();
    assert_eq!(cluster.owner_other_than("more", &second, Duration::from_secs(15)).await.unwrap(), first);
}
