//! `measure`: the figures of the README, taken from real processes on this machine.
//!
//! Timing belongs here and not into tests: a shared machine is noisy, so costs are told as CPU time per unit of work,
//! and latencies as percentiles of many.

#![expect(clippy::print_stdout, reason = "figures go to the terminal")]

mod churn;
mod edge;
mod fanout;
mod handoff;
mod hands;
mod latency;
mod names;
mod room;
mod seam;
mod view;

use anyhow::{Result, bail};
use stentor_tests::process::Usage;

const USAGE: &str = "\
usage: measure latency [SECONDS]            mouth to ear through three tiers, by gRPC and by Ogg at 20 ms pages
       measure handoff [RUNS]               what listeners miss when the owning origin is killed
       measure fanout [PAGE_MS] [COUNT …]   CPU and memory per live.ogg listener of one edge
       measure crowd PID PORT PATH PAGE_MS [COUNT …]   the same of any other server of an endless Ogg stream
       measure hands [PEOPLE] [SECONDS]     what others notice of a crowd that raises and lowers hands
       measure room [ROOMS]                 CPU of talking rooms on their origin
       measure edge [ROOMS]                 CPU of talking rooms at an edge, by how many listen there
       measure seam [SECONDS] [PROCESSES]   a fixed and an adaptive seam buffer beside processes that unpack packages
       measure names [A_SECOND] [SECONDS]   who asks for real rooms while somebody makes names up
       measure churn [JOINS]                what stays in an edge's memory of listeners that have gone
       measure view [ROOMS] [NODES] [A_SECOND] [BYTES]   CPU of an edge, a relay and an origin that watch rooms commit";

fn number(text: Option<&String>, default: usize) -> Result<usize> {
    text.map_or(Ok(default), |text| text.parse().map_err(|_| anyhow::anyhow!("{text:?} is not a number")))
}

/// How many listeners at once, one after the other.
fn counts(args: &[String], from: usize) -> Result<Vec<usize>> {
    let counts: Vec<usize> =
        args.iter().skip(from).map(|count| number(Some(count), 0)).collect::<Result<_>>()?;
    Ok(if counts.is_empty() { vec![1000, 4000] } else { counts })
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("latency") => latency::measure(number(args.get(1), 60)?).await,
        Some("handoff") => handoff::measure(number(args.get(1), 20)?).await,
        Some("fanout") => fanout::measure(number(args.get(1), 100)?, &counts(&args, 2)?).await,
        Some("crowd") if args.len() > 4 => {
            let (server, port) = (Usage(args[1].parse()?), args[2].parse()?);
            fanout::crowd(server, port, &args[3], number(args.get(4), 100)?, &counts(&args, 5)?).await
        }
        Some("hands") => hands::measure(number(args.get(1), 2000)?, number(args.get(2), 60)?).await,
        Some("room") => room::measure(number(args.get(1), 1)?).await,
        Some("edge") => edge::measure(number(args.get(1), 4)?).await,
        Some("seam") => seam::measure(number(args.get(1), 600)?, number(args.get(2), 4)?).await,
        Some("unpack") if args.len() == 3 => seam::unpack_for(args[1].parse()?, args[2].as_ref()),
        Some("names") => names::measure(number(args.get(1), 20_000)?, number(args.get(2), 60)?).await,
        Some("churn") => churn::measure(number(args.get(1), 10_000)?).await,
        Some("view") => {
            let (rooms, nodes) = (number(args.get(1), 10_000)?, number(args.get(2), 500)?);
            view::measure(rooms, nodes, number(args.get(3), 1000)?, number(args.get(4), 20_000)?).await
        }
        _ => bail!("{USAGE}"),
    }
}
