//! The owning origin dies: another one goes on with the room, and nobody has to connect again.

use std::time::Duration;

use stentor_tests::cluster::{Cluster, Shape};

/// Asking who else hears the owner, the claim and its telling take about a second; this is a bound for a busy machine.
const GONE_ON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_room_goes_on_at_another_origin_when_its_owner_is_killed() {
    let mut cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let _voices = cluster.speak_demo("talk").await.unwrap();
    let listener = cluster.listen(0, "talk").unwrap();
    listener.frames(100, Duration::from_secs(20)).await.unwrap();
    let first = cluster.owner("talk", Duration::from_secs(5)).await.unwrap();

    cluster.kill(&first).unwrap();
    listener.gone_on(GONE_ON).await.unwrap();
    let second = cluster.owner("talk", Duration::from_secs(5)).await.unwrap();
    assert_ne!(first, second);

    // Speech, and not only the new owner's silence, is there again: both voices are on the stage and connected.
    cluster.connected("talk", 2, GONE_ON).await.unwrap();
    listener.frames(50, Duration::from_secs(10)).await.unwrap();
    let report = listener.stop().await.unwrap();
    assert_eq!((report.repeated, report.out_of_order, report.reconnects), (0, 0, 0), "{report:?}");
    assert_eq!(report.missed, 0, "{report:?}");
    assert_eq!(report.epochs.len(), 2, "{report:?}");
    assert!(report.longest_interval < GONE_ON, "{report:?}");

    // The one that was killed may come back, under its old name, and take rooms again.
    cluster.restart(&first).await.unwrap();
    cluster.ctl(&["room", "move", "talk", "--to", &first]).await.unwrap();
    let listener = cluster.listen(1, "talk").unwrap();
    listener.frames(50, Duration::from_secs(20)).await.unwrap();
    assert_eq!(cluster.owner("talk", Duration::from_secs(5)).await.unwrap(), first);
}
