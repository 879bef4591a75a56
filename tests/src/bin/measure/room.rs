//! CPU of talking rooms on their owner and on their mirror, less what the two use without a room.

use std::time::Duration;

use anyhow::Result;
use stentor_tests::{
    cluster::{Cluster, Shape},
    process::{Usage, eventually},
};

use crate::fanout::cpu_over;

/// How long each state is watched.
const WATCH: Duration = Duration::from_secs(20);
/// How long mirrors may take until they are ready.
const READY: Duration = Duration::from_secs(20);

pub(crate) async fn measure(rooms: usize) -> Result<()> {
    let mut cluster = Cluster::start(Shape::default()).await?;
    let usages = |cluster: &Cluster| -> Result<_> {
        Ok([cluster.node("origin-a")?.usage(), cluster.node("origin-b")?.usage()])
    };
    let idle = both(usages(&cluster)?).await?;
    // While it is away the other one comes to own every room.
    cluster.kill("origin-b")?;
    let names: Vec<_> = (0..rooms).map(|number| format!("talk-{number}")).collect();
    for room in &names {
        cluster.live_room(room).await?;
    }
    cluster.restart("origin-b").await?;
    let (mut voices, mut listeners) = (Vec::new(), Vec::new());
    for room in &names {
        voices.push(cluster.speak_demo(room).await?);
        listeners.push(cluster.listen(0, room)?);
        eventually(&format!("{room} to be mirrored by origin-b"), READY, || async {
            let told = cluster.ctl_json(&["room", "get", room]).await.ok()?;
            (told["mirror"] == "origin-b" && told["mirror_ready"] == true).then_some(())
        })
        .await?;
    }
    let talking = both(usages(&cluster)?).await?;
    drop(voices);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let silent = both(usages(&cluster)?).await?;
    println!(
        "{rooms} rooms of two voices in conversation, taken by two relays; one origin owns them, one mirrors them"
    );
    println!("{:<34} {:>12} {:>12} {:>14}", "", "% of a core", "a room", "rooms per core");
    for (place, origin) in ["owner", "mirror"].into_iter().enumerate() {
        println!("{:<34} {:>12.2}", format!("{origin}, no room"), idle[place] * 100.0);
        for (what, cpu) in [("talking", talking), ("live, nobody speaking", silent)] {
            let room = (cpu[place] - idle[place]) / rooms as f64;
            let what = format!("{origin}, {what}");
            println!("{what:<34} {:>12.2} {:>12.2} {:>14.0}", cpu[place] * 100.0, room * 100.0, 1.0 / room);
        }
    }
    let each = (talking.iter().sum::<f64>() - idle.iter().sum::<f64>()) / rooms as f64;
    println!("{:<34} {:>12} {:>12.2} {:>14.0}", "owner and mirror, talking", "", each * 100.0, 1.0 / each);
    Ok(())
}

async fn both([owner, mirror]: [Usage; 2]) -> Result<[f64; 2]> {
    let (owner, mirror) = tokio::join!(cpu_over(owner, WATCH), cpu_over(mirror, WATCH));
    Ok([owner?, mirror?])
}
