//! Nodes whose wall clocks are wrong: rooms are heard all the same, and the node says so and claims none.

use std::time::Duration;

use stentor_tests::{
    cluster::{Cluster, Shape},
    process::eventually,
};

const ELEVEN_MINUTES_MS: i64 = 660_000;
/// What a node that counts by such a clock leaves out. A busy machine may cost some slots; that nothing costs none is for
/// `chaos` to show.
const ELEVEN_MINUTES_SLOTS: u64 = 33_000;
/// A claim, a line that nothing else speaks for, a round of asking: seconds each; this is a bound for a busy machine.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_counts_from_a_clock_eleven_minutes_ahead_is_heard() {
    // Alone, so that nobody else takes the room, and no mirror tells it where the room is.
    let shape = Shape { origins: 1, relays: 2, edges: 1, tls: false };
    let mut cluster = Cluster::start(shape).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let listener = cluster.listen(0, "talk").unwrap();
    listener.frames(100, SOON).await.unwrap();
    cluster.kill("origin-a").unwrap();
    cluster.set_clock("origin-a", ELEVEN_MINUTES_MS).unwrap();
    cluster.restart("origin-a").await.unwrap();
    listener.gone_on(SOON).await.unwrap();
    listener.frames(100, SOON).await.unwrap();
    let report = listener.stop().await.unwrap();
    assert_eq!((report.repeated, report.out_of_order), (0, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_is_told_bars_its_node_and_moves_no_slot() {
    let cluster = Cluster::start(Shape { origins: 3, ..Shape::default() }).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let listener = cluster.listen(0, "talk").unwrap();
    listener.frames(100, SOON).await.unwrap();
    let owner = cluster.owner("talk", SOON).await.unwrap();
    for (node, ms) in [(owner.as_str(), ELEVEN_MINUTES_MS), ("relay-a", -ELEVEN_MINUTES_MS)] {
        cluster.set_clock(node, ms).unwrap();
    }
    for (node, seconds) in [(owner.as_str(), 659..=661), ("relay-a", -661..=-659), ("relay-b", 0..=0)] {
        eventually(&format!("{node} to tell its clock as off"), SOON, || async {
            let text = cluster.metrics(node).await.ok()?;
            let told = text.lines().find(|line| line.starts_with("stentor_clock_offset_seconds"))?;
            let offset: f64 = told.rsplit_once(' ')?.1.parse().ok()?;
            seconds.contains(&(offset.round() as i64)).then_some(())
        })
        .await
        .unwrap();
    }
    // Nobody hands it a room, and it is not asked for one.
    let away = ["origin-a", "origin-b"].into_iter().find(|node| *node != owner).unwrap();
    cluster.ctl(&["room", "move", "talk", "--to", away]).await.unwrap();
    let back = cluster.ctl(&["room", "move", "talk", "--to", &owner]).await.unwrap_err();
    assert!(back.to_string().contains("clock"), "{back:#}");
    listener.frames(100, SOON).await.unwrap();
    let report = listener.stop().await.unwrap();
    assert!(report.missed < ELEVEN_MINUTES_SLOTS / 10, "{report:?}");
    assert_eq!((report.repeated, report.out_of_order), (0, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_whose_clock_is_wrong_goes_on_where_the_room_is() {
    for ms in [ELEVEN_MINUTES_MS, -ELEVEN_MINUTES_MS] {
        let mut cluster = Cluster::start(Shape::default()).await.unwrap();
        cluster.live_room("talk").await.unwrap();
        let owner = cluster.owner("talk", SOON).await.unwrap();
        let mirror = if owner == "origin-a" { "origin-b" } else { "origin-a" };
        eventually("the mirror to be ready", SOON, || async {
            let room = cluster.ctl_json(&["room", "get", "talk"]).await.ok()?;
            (room["mirror"] == mirror && room["mirror_ready"] == true).then_some(())
        })
        .await
        .unwrap();
        let listener = cluster.listen(0, "talk").unwrap();
        listener.frames(100, SOON).await.unwrap();
        cluster.set_clock(mirror, ms).unwrap();
        cluster.kill(&owner).unwrap();
        listener.gone_on(SOON).await.unwrap();
        listener.frames(100, SOON).await.unwrap();
        let report = listener.stop().await.unwrap();
        assert!(report.missed < ELEVEN_MINUTES_SLOTS / 10, "{ms} ms: {report:?}");
        assert_eq!((report.repeated, report.out_of_order), (0, 0), "{ms} ms: {report:?}");
    }
}
