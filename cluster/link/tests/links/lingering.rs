//! How long a room is carried that nobody follows.

use std::time::Duration;

use stentor_link::{Carry, Closed};
use tokio::time::sleep;

use super::cluster::{Cluster, room, scheduled};

#[tokio::test(start_paused = true)]
async fn a_room_is_let_go_half_a_minute_after_its_last_follower_went() {
    let cluster = Cluster::new();
    cluster.view.set_status(Some(scheduled()));
    let carrier = cluster.carrier("relay-1");
    let feed = carrier.feed(&room()).await.unwrap();
    let cursor = feed.subscribe(None);
    sleep(Duration::from_secs(120)).await;
    assert_eq!((carrier.rooms(), feed.closed()), (1, None));
    drop(cursor);
    sleep(Duration::from_secs(28)).await;
    assert_eq!(carrier.rooms(), 1);
    drop(carrier.feed(&room()).await.unwrap().subscribe(None));
    sleep(Duration::from_secs(28)).await;
    assert_eq!(carrier.rooms(), 1);
    sleep(Duration::from_secs(4)).await;
    assert_eq!((carrier.rooms(), feed.closed()), (0, Some(Closed::Moved)));
}
