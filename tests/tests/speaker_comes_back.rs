//! A speaker's edge dies: the speaker goes on at another edge, on the stage as it was.

use std::time::Duration;

use stentor_ids::{Role, RoomId};
use stentor_probe::{Patience, Source, SpeakConfig, Speaker, Target};
use stentor_tests::cluster::{Cluster, Shape, demo_voice};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_whose_edge_is_killed_goes_on_at_another_without_leaving_the_stage() {
    let mut cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let target = Target {
        edges: cluster.edge_urls(0),
        ticket: Some(cluster.ticket("talk", "ann", Role::Speaker).unwrap()),
        ca_pem: None,
    };
    let patience = Patience { first: Duration::from_secs(20), later: Duration::from_secs(20) };
    let config = SpeakConfig { target, room: RoomId::new("talk").unwrap(), monitor: false, patience };
    let speaker = Speaker::new(config, Source::file(demo_voice(0)).unwrap().repeated().unwrap());
    let (mut handle, stop) = (speaker.handle(), CancellationToken::new());
    let speaking = tokio::spawn(speaker.run(stop.clone()));
    cluster.connected("talk", 1, Duration::from_secs(20)).await.unwrap();
    let listener = cluster.listen(1, "talk").unwrap();
    listener.frames(50, Duration::from_secs(20)).await.unwrap();

    cluster.kill("edge-a").unwrap();
    let elsewhere = cluster.edge_urls(1).swap_remove(0);
    let back = handle.wait_for(|report| report.edge.as_ref() == Some(&elsewhere));
    let report = timeout(Duration::from_secs(10), back).await.unwrap().unwrap();
    assert_eq!((report.reconnects, report.moves), (1, 0), "{report:?}");
    let sent = report.sent;
    let goes_on = handle.wait_for(|report| report.sent >= sent + 100);
    timeout(Duration::from_secs(10), goes_on).await.unwrap().unwrap();

    let stage = cluster.ctl_json_at(1, &["participant", "list", "talk"]).await.unwrap();
    let there = stage["stage"].as_array().unwrap();
    assert_eq!((there.len(), &there[0]["id"]), (1, &"ann".into()), "{stage}");
    assert_eq!(there[0]["connected"], true, "{stage}");
    let heard = listener.stop().await.unwrap();
    assert_eq!((heard.missed, heard.repeated), (0, 0), "{heard:?}");
    stop.cancel();
    speaking.await.unwrap().unwrap();
}
