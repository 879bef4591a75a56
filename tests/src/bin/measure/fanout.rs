//! What a `live.ogg` listener costs its edge: CPU time per listener-second and per page, memory in the process, time to
//! first sound.

use std::time::Duration;

use anyhow::Result;
use stentor_tests::{
    beats::percentile,
    cluster::{Cluster, Shape},
    load::Crowd,
    process::Usage,
};

/// How long a steady crowd is watched.
const WATCH: Duration = Duration::from_secs(30);

pub(crate) async fn measure(page_ms: usize, counts: &[usize]) -> Result<()> {
    let cluster = Cluster::start(Shape::default()).await?;
    cluster.live_room("fanout").await?;
    let _voices = cluster.speak_demo("fanout").await?;
    let path = format!("/v1/rooms/fanout/live.ogg?page={page_ms}");
    crowd(cluster.edge(0).usage(), cluster.edge_port(0), &path, page_ms, counts).await
}

/// The same for any server of an endless Ogg stream.
pub(crate) async fn crowd(
    server: Usage,
    port: u16,
    path: &str,
    page_ms: usize,
    counts: &[usize],
) -> Result<()> {
    // One listener keeps the room on the edge, so that what it costs to carry it is not counted.
    let _first = Crowd::gather(port, path, 1).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = cpu_over(server, WATCH / 3).await?;
    println!("pages of {page_ms} ms; the server with one listener uses {:.1} % of a core", idle * 100.0);
    println!(
        "{:>9} {:>12} {:>14} {:>11} {:>12} {:>12} {:>11} {:>11} {:>7}",
        "listeners",
        "% of a core",
        "µs/page",
        "per core",
        "kB/listener",
        "start p50",
        "start p99",
        "kbit/s each",
        "closed"
    );
    for count in counts {
        let before = server.resident()?;
        let crowd = Crowd::gather(port, path, *count).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let bytes = crowd.bytes();
        let busy = cpu_over(server, WATCH).await?;
        let each = (crowd.bytes() - bytes) as f64 * 8.0 / 1000.0 / WATCH.as_secs_f64() / *count as f64;
        let per_page = (busy - idle) / (*count as f64 * 1000.0 / page_ms as f64);
        println!(
            "{count:>9} {:>12.1} {:>14.2} {:>11.0} {:>12.1} {:>9} ms {:>8} ms {:>11.1} {:>7}",
            busy * 100.0,
            per_page * 1e6,
            *count as f64 / (busy - idle),
            server.resident()?.saturating_sub(before) as f64 / 1000.0 / *count as f64,
            percentile(&crowd.starts, 50).as_millis(),
            percentile(&crowd.starts, 99).as_millis(),
            each,
            crowd.closed(),
        );
    }
    Ok(())
}

/// Cores used over a stretch of time.
pub(crate) async fn cpu_over(process: Usage, length: Duration) -> Result<f64> {
    let (cpu, start) = (process.cpu_time()?, std::time::Instant::now());
    tokio::time::sleep(length).await;
    Ok((process.cpu_time()? - cpu).as_secs_f64() / start.elapsed().as_secs_f64())
}
