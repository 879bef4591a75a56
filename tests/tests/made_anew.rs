//! A room that ends, is deleted and made again under its name is heard where the former one was.

use std::time::Duration;

use stentor_tests::cluster::{Cluster, Shape};

/// The doors open, the room goes live, edges learn of it: a bound for a busy machine.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn who_heard_the_former_room_and_who_comes_new_hear_the_one_made_after_it() {
    let cluster = Cluster::start(Shape::default()).await.unwrap();
    let mut slots = Vec::new();
    for _ in 0..3 {
        cluster.live_room("talk").await.unwrap();
        let _voices = cluster.speak_demo("talk").await.unwrap();
        let [first, second] = [cluster.listen(0, "talk").unwrap(), cluster.listen(1, "talk").unwrap()];
        first.frames(100, SOON).await.unwrap();
        second.frames(100, SOON).await.unwrap();
        // A listener of the same edge as the first.
        let late = cluster.listen(0, "talk").unwrap();
        late.frames(50, SOON).await.unwrap();
        let report = first.stop().await.unwrap();
        assert_eq!((report.repeated, report.out_of_order, report.reconnects), (0, 0, 0), "{report:?}");
        slots.push(report.last_slot.unwrap().0);
        cluster.ctl(&["room", "end", "talk"]).await.unwrap();
        cluster.ctl(&["room", "delete", "talk"]).await.unwrap();
    }
    assert!(slots.iter().all(|slot| *slot < 3_000), "each counts from its own go-live: {slots:?}");
}
