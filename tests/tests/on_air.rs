//! The main job: two people talk, and listeners at the edges of a real cluster hear just that.

use std::time::Duration;

use stentor_programs::Program;
use stentor_tests::{
    cluster::{Cluster, Shape, demo_voices},
    http,
    speech::{Audio, similarity},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_heard_through_three_tiers_without_a_slot_missing() {
    let cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let _voices = cluster.speak_demo("talk").await.unwrap();

    let listeners = [cluster.listen(0, "talk").unwrap(), cluster.listen(1, "talk").unwrap()];
    for listener in &listeners {
        listener.frames(100, Duration::from_secs(20)).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heard.ogg");
    let body = http::stream(cluster.edge_port(1), "/v1/rooms/talk/live.ogg", Duration::from_secs(15));
    let answer = body.await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("audio/ogg; codecs=opus"));
    // The last page may be cut off by hanging up.
    let whole = answer.body.windows(4).rposition(|four| four == b"OggS").unwrap();
    std::fs::write(&file, &answer.body[..whole]).unwrap();

    for listener in listeners {
        let report = listener.stop().await.unwrap();
        assert!(report.got > 500, "{report:?}");
        assert_eq!((report.missed, report.repeated, report.out_of_order), (0, 0, 0), "{report:?}");
        assert_eq!(report.epochs.len(), 1, "{report:?}");
    }

    let ffmpeg = Program::Ffmpeg
        .command()
        .unwrap()
        .args(["-v", "error", "-i"])
        .arg(&file)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&ffmpeg.stderr).into_owned();
    assert!(ffmpeg.status.success() && complaints.is_empty(), "ffmpeg: {complaints}");

    let heard = Audio::read_ogg(&file).unwrap();
    assert!(heard.seconds() > 13.0, "{} s", heard.seconds());
    let voices = demo_voices().unwrap();
    let score = similarity(&heard, &[&voices[0], &voices[1]]).unwrap();
    assert!(score > 0.8, "what is heard correlates with what was spoken by {score:.2} only");
}
