//! A seam buffer that stays as it is and one that adapts, at two edges of one cluster, while something like a package manager
//! unpacks beside them: slots missed at each, and what each costs in calm.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use stentor_ids::Role;
use stentor_tests::{
    beats::{self, beep, latencies, percentile},
    cluster::{Cluster, Extras, Shape},
    listening::Listening,
    process::Process,
};
use tempfile::TempDir;
use tokio_util::task::AbortOnDropHandle;

use crate::latency::{BEEPS, listen};

/// Where people talk all along.
const TALK: &str = "talk";
/// How long the calm before the load is, and the one after it.
const CALM_S: usize = 30;
/// What is left of the load is given this long to be written and forgotten.
const SETTLE: Duration = Duration::from_secs(5);
/// One package: so many files of so many bytes, and as long decompressing them.
const FILES: usize = 60;
const FILE_BYTES: usize = 12_000;
const DECOMPRESS: Duration = Duration::from_millis(150);

/// Who listens at one edge.
struct Ear {
    what: &'static str,
    name: &'static str,
    talk: Listening,
    beeps: Arc<Mutex<beats::Ear>>,
    _beeps: AbortOnDropHandle<Result<()>>,
}

impl Ear {
    async fn at(cluster: &Cluster, index: usize, name: &'static str, what: &'static str) -> Result<Self> {
        let beeps = Arc::new(Mutex::new(beats::Ear::new()?));
        let (heard, edge) = (beeps.clone(), cluster.channel(index).await?);
        let take = move |opus| {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.take(opus, Instant::now(), Duration::ZERO)
        };
        let task = tokio::spawn(listen(edge, false, take));
        Ok(Self {
            what,
            name,
            talk: cluster.listen(index, TALK)?,
            beeps,
            _beeps: AbortOnDropHandle::new(task),
        })
    }
}

pub(crate) async fn measure(seconds: usize, unpackers: usize) -> Result<()> {
    let of_node = vec![("edge-a".to_owned(), "edge.buffer_max_ms=0".to_owned())];
    let extras = Extras { of_node, ..Extras::default() };
    let cluster = Cluster::start_with(Shape::default(), extras).await?;
    cluster.live_room(TALK).await?;
    cluster.live_room(BEEPS).await?;
    let _voices = cluster.speak_demo(TALK).await?;
    let ears =
        [Ear::at(&cluster, 0, "edge-a", "fixed").await?, Ear::at(&cluster, 1, "edge-b", "adaptive").await?];
    for ear in &ears {
        ear.talk.frames(250, Duration::from_secs(30)).await?;
    }
    println!("seam buffers of 60 ms, fixed and growing to 200 ms, at two edges of one cluster");
    phase(&cluster, &ears, "calm", CALM_S).await?;
    let folder = TempDir::new()?;
    let load = unpack(folder.path(), unpackers, seconds)?;
    phase(&cluster, &ears, &format!("{unpackers} unpack"), seconds).await?;
    drop(load);
    tokio::time::sleep(SETTLE).await;
    phase(&cluster, &ears, "calm again", CALM_S).await
}

/// Measures for a while, and prints a row for each edge.
async fn phase(cluster: &Cluster, ears: &[Ear], name: &str, seconds: usize) -> Result<()> {
    let mut before = Vec::new();
    for ear in ears {
        before.push((ear.talk.report(), depth(cluster, ear.name).await?));
    }
    let ticket = cluster.ticket(BEEPS, "beeper", Role::Speaker)?;
    let mouths = beep(cluster.channel(0).await?, BEEPS, &ticket, seconds).await?;
    // The last beep is still on its way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (ear, (report, (sum, count))) in ears.iter().zip(before) {
        let now = ear.talk.report();
        let (sum_now, count_now) = depth(cluster, ear.name).await?;
        let all = latencies(&mouths, &ear.beeps.lock().unwrap_or_else(PoisonError::into_inner).heard);
        let ms = |percent| percentile(&all, percent).as_secs_f64() * 1000.0;
        println!(
            "{name:<12} {:<9} missed {:>4} of {:>6} slots   buffer {:5.1} ms   beeps {:>4}   p50 {:6.1} ms   p99 {:6.1} ms",
            ear.what,
            now.missed - report.missed,
            now.missed + now.got - report.missed - report.got,
            (sum_now - sum) / (count_now - count).max(1.0) * 1000.0,
            all.len(),
            ms(50),
            ms(99),
        );
    }
    Ok(())
}

/// The sum and the count of what an edge's seam buffers were, each second.
async fn depth(cluster: &Cluster, edge: &str) -> Result<(f64, f64)> {
    let text = cluster.metrics(edge).await?;
    let value = |part: &str| {
        let name = format!("stentor_playout_buffer_seconds_{part}{{");
        let line = text.lines().find(|line| line.starts_with(&name));
        let value = line.and_then(|line| line.rsplit(' ').next()).with_context(|| format!("no {name}"))?;
        value.parse::<f64>().context("a number")
    };
    Ok((value("sum")?, value("count")?))
}

/// Starts processes that unpack, for a little longer than they are needed should nobody end them.
fn unpack(folder: &Path, processes: usize, seconds: usize) -> Result<Vec<Process>> {
    let most = (seconds + 60).to_string();
    let start = |n: usize| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["unpack", &most]).arg(folder.join(format!("package-{n}")));
        Process::start(&format!("unpack-{n}"), &mut command, folder)
    };
    (0..processes).map(start).collect()
}

/// What a package manager does: decompresses, writes small files and waits for the disk, renames them, and starts a script.
pub(crate) fn unpack_for(seconds: u64, folder: &Path) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut block = vec![1_u8; FILE_BYTES];
    fs::create_dir_all(folder)?;
    while Instant::now() < until {
        let decompressed = Instant::now() + DECOMPRESS;
        while Instant::now() < decompressed {
            block.iter_mut().fold(7_u8, |carry, byte| {
                *byte = byte.wrapping_mul(31).wrapping_add(carry);
                *byte
            });
        }
        for n in 0..FILES {
            let (new, name) = (folder.join(format!("{n}.new")), folder.join(n.to_string()));
            let mut file = File::create(&new)?;
            file.write_all(&block)?;
            file.sync_all()?;
            fs::rename(new, name)?;
        }
        // This program itself stands for the script, and says how it is used.
        let script = Command::new(std::env::current_exe()?).stderr(Stdio::null()).status();
        script.context("starting a script")?;
    }
    Ok(())
}
