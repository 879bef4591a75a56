//! Kill -9 of the owning origin, again and again: what a listener misses until another origin goes on.

use std::time::Duration;

use anyhow::Result;
use stentor_tests::{
    beats::percentile,
    cluster::{Cluster, Shape},
};

pub(crate) async fn measure(runs: usize) -> Result<()> {
    let mut cluster = Cluster::start(Shape::default()).await?;
    cluster.live_room("handoff").await?;
    let _voices = cluster.speak_demo("handoff").await?;
    let mut gaps = Vec::new();
    println!("{:<5} {:<12} {:>14} {:>14}", "run", "killed", "longest gap", "slots missing");
    for run in 1..=runs {
        let listener = cluster.listen(run % 2, "handoff")?;
        listener.frames(100, Duration::from_secs(20)).await?;
        let owner = cluster.owner("handoff", Duration::from_secs(20)).await?;
        cluster.kill(&owner)?;
        listener.gone_on(Duration::from_secs(30)).await?;
        let report = listener.stop().await?;
        println!("{run:<5} {owner:<12} {:>11} ms {:>14}", report.longest_interval.as_millis(), report.missed);
        anyhow::ensure!(report.repeated == 0, "run {run}: {} slots came twice", report.repeated);
        gaps.push(report.longest_interval);
        cluster.restart(&owner).await?;
    }
    gaps.sort();
    println!("median {:?}, worst {:?}", percentile(&gaps, 50), percentile(&gaps, 100));
    Ok(())
}
