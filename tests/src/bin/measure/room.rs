//! CPU of one talking room on its origin: the owner with the room, less the other origin without one.

use std::time::Duration;

use anyhow::Result;
use stentor_tests::cluster::{Cluster, Shape};

use crate::fanout::cpu_over;

pub(crate) async fn measure(seconds: usize) -> Result<()> {
    let length = Duration::from_secs(seconds as u64);
    let cluster = Cluster::start(Shape::default()).await?;
    cluster.live_room("talk").await?;
    let voices = cluster.speak_demo("talk").await?;
    let listener = cluster.listen(0, "talk")?;
    listener.frames(100, Duration::from_secs(20)).await?;
    let owner = cluster.owner("talk", Duration::from_secs(20)).await?;
    let talking = cpu_over(cluster.node(&owner)?, length).await?;
    drop(voices);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let silent = cpu_over(cluster.node(&owner)?, length / 2).await?;
    cluster.ctl(&["room", "end", "talk"]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = cpu_over(cluster.node(&owner)?, length / 2).await?;
    println!("origin with one room of two voices in conversation: {:.2} % of a core", talking * 100.0);
    println!("the same room live with nobody speaking:            {:.2} %", silent * 100.0);
    println!("the origin without a room:                          {:.2} %", idle * 100.0);
    println!("talking rooms per core, from the difference:        {:.0}", 1.0 / (talking - idle));
    Ok(())
}
