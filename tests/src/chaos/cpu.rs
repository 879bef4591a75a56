//! How busy the machine is, and how much of that is ours.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{cluster::Cluster, process::Usage};

/// Shares of all cores of the machine, over a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// What the cluster's nodes and the harness used.
    pub own: f64,
    /// What everything on the machine used, etcd and strangers counted in.
    pub all: f64,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.0}/{:.0}", self.own * 100.0, self.all * 100.0))
    }
}

/// The beginning of such a stretch.
#[derive(Debug)]
pub(super) struct Stretch {
    start: Instant,
    nodes: Vec<(Usage, Duration)>,
    /// Busy and in all, as the system counts its ticks.
    machine: (u64, u64),
}

impl Stretch {
    pub(super) fn begin(cluster: &Cluster) -> Result<Self> {
        let running = cluster.names().into_iter().filter_map(|name| Some(cluster.node(&name).ok()?.usage()));
        let ours = running.chain([Usage(std::process::id())]);
        let nodes = ours.map(|usage| Ok((usage, usage.cpu_time()?))).collect::<Result<_>>()?;
        Ok(Self { start: Instant::now(), nodes, machine: ticks()? })
    }

    /// What was used since. Nodes must not have ended meanwhile.
    pub(super) fn load(&self) -> Result<Load> {
        let mut used = Duration::ZERO;
        for (usage, before) in &self.nodes {
            used += usage.cpu_time()?.saturating_sub(*before);
        }
        let cores = std::thread::available_parallelism()?.get();
        let own = used.as_secs_f64() / self.start.elapsed().as_secs_f64() / cores as f64;
        let (busy, in_all) = ticks()?;
        let all = (busy - self.machine.0) as f64 / (in_all - self.machine.1).max(1) as f64;
        Ok(Load { own, all })
    }
}

/// Ticks of all cores since the machine started: those that something ran in, and all.
fn ticks() -> Result<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    // user nice system idle iowait irq softirq steal (proc(5)); guests are counted in user and nice.
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
    let (in_all, idle): (u64, u64) = (ticks.iter().sum(), ticks.iter().skip(3).take(2).sum());
    Ok((in_all - idle, in_all))
}
