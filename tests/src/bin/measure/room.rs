//! CPU of talking rooms on their origin, less what the origin uses without a room.

use std::time::Duration;

use anyhow::Result;
use stentor_tests::cluster::{Cluster, Shape};

use crate::fanout::cpu_over;

/// How long each state is watched.
const WATCH: Duration = Duration::from_secs(20);

pub(crate) async fn measure(rooms: usize) -> Result<()> {
    let cluster = Cluster::start(Shape { origins: 1, ..Shape::default() }).await?;
    let origin = cluster.node("origin-a")?.usage();
    let idle = cpu_over(origin, WATCH).await?;
    let (mut voices, mut listeners) = (Vec::new(), Vec::new());
    for room in (0..rooms).map(|number| format!("talk-{number}")) {
        cluster.live_room(&room).await?;
        voices.push(cluster.speak_demo(&room).await?);
        listeners.push(cluster.listen(0, &room)?);
    }
    let talking = cpu_over(origin, WATCH).await?;
    drop(voices);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let silent = cpu_over(origin, WATCH).await?;
    println!("{rooms} rooms of two voices in conversation, taken by two relays, on one origin");
    println!("{:<34} {:>12} {:>12} {:>14}", "", "% of a core", "a room", "rooms per core");
    println!("{:<34} {:>12.2}", "no room", idle * 100.0);
    for (what, cpu) in [("talking", talking), ("live, nobody speaking", silent)] {
        let room = (cpu - idle) / rooms as f64;
        println!("{what:<34} {:>12.2} {:>12.2} {:>14.0}", cpu * 100.0, room * 100.0, 1.0 / room);
    }
    Ok(())
}
