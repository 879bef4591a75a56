//! `chaos`: faults by name and seed against a real cluster with people in it, and a table of what they noticed.
//!
//! A round's seed is the run's plus the round's number, so that a round is run again by itself with `--seed` and
//! `--rounds 1`.

#![expect(clippy::print_stdout, reason = "figures go to the terminal")]

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use stentor_tests::{
    chaos::{Fault, Setting, Table, World},
    process::Usage,
};

/// How long a recording may take to be finished.
const FINISH: Duration = Duration::from_secs(5);

const USAGE: &str = "\
usage: chaos [--seed N] [--rounds N] [--fault NAME,…] [--hold SECONDS] [--etcd MEMBERS] [--edges N] [--listeners N]
             [--buffer MS] [--talking N] [--scheduled ROOMS] [--logs FOLDER] [--record FILE.ogg] [--from STENTOR]
  --fault      which faults, each for all rounds; without it all that the cluster's etcd allows, each once
  --hold       how long etcd stays dead when it is killed
  --buffer     the seam buffer of the edges, 60 by default; it does not grow here
  --talking    so many other rooms that talk at the same time, each with a listener of its own
  --scheduled  rooms that nobody owns and that must not be lost, 20 by default
  --record     what is heard at the first edge, over all rounds
  --from       the program of another build that all nodes begin with: a rolling restart goes over to this one, the next
               one back";

struct Args {
    rounds: Option<u64>,
    faults: Vec<Fault>,
    logs: Option<PathBuf>,
    record: Option<PathBuf>,
    from: Option<PathBuf>,
    setting: Setting,
}

fn args() -> Result<Args> {
    let setting = Setting::default();
    let mut parsed = Args { rounds: None, faults: Vec::new(), logs: None, record: None, from: None, setting };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().with_context(|| format!("{flag} is not a flag with a value\n{USAGE}"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{flag} {value:?} is not a number"));
        match flag.as_str() {
            "--seed" => parsed.setting.seed = number()?,
            "--rounds" => parsed.rounds = Some(number()?),
            "--hold" => parsed.setting.hold = Duration::from_secs(number()?),
            "--etcd" => parsed.setting.members = number()?.try_into()?,
            "--buffer" => parsed.setting.buffer = Duration::from_millis(number()?),
            "--scheduled" => parsed.setting.scheduled = number()?.try_into()?,
            "--edges" => parsed.setting.shape.edges = number()?.try_into()?,
            "--listeners" => parsed.setting.listeners = number()?.try_into()?,
            "--talking" => parsed.setting.talking = number()?.try_into()?,
            "--logs" => parsed.logs = Some(value.into()),
            "--record" => parsed.record = Some(value.into()),
            "--from" => parsed.from = Some(value.into()),
            "--fault" => parsed.faults = value.split(',').map(str::parse).collect::<Result<_>>()?,
            _ => bail!("{flag:?} is not known\n{USAGE}"),
        }
    }
    if parsed.faults.is_empty() {
        let fits = |fault: &&Fault| parsed.setting.members > 1 || **fault != Fault::KillMember;
        parsed.faults = Fault::ALL.iter().filter(fits).copied().collect();
    }
    Ok(parsed)
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<()> {
    let Args { rounds, faults, logs, record, from, setting } = args()?;
    let mut world = World::start_from(setting, from).await?;
    if !world.mirrored() {
        println!("rooms have no mirror here: a gap of about the lease is to be expected");
    }
    let mut recorded = record.map(|file| world.record(&file)).transpose()?;
    let (start, cpu) = (Instant::now(), Usage(std::process::id()).cpu_time()?);
    let mut table = Table::default();
    let ended = run(&mut world, &faults, rounds.unwrap_or(1), setting.seed, &mut table).await;
    let used = Usage(std::process::id()).cpu_time()?.saturating_sub(cpu);
    let share = used.as_secs_f64() / start.elapsed().as_secs_f64();
    println!("\n{table}\nthe harness itself used {:.0} % of a core", share * 100.0);
    if let Some(process) = &mut recorded {
        process.signal(Signal::INT)?;
        process.wait(FINISH)?;
    }
    if let Some(folder) = logs {
        keep_logs(&world, &folder)?;
    }
    ended?;
    let wrong = table.wrong();
    if !wrong.is_empty() {
        bail!("against the aims:\n{}", wrong.join("\n"));
    }
    Ok(())
}

async fn run(world: &mut World, faults: &[Fault], rounds: u64, seed: u64, table: &mut Table) -> Result<()> {
    for fault in faults {
        for round in 0..rounds {
            let outcome = world.round(*fault, seed + round).await?;
            println!("{outcome}");
            table.add(outcome);
        }
    }
    Ok(())
}

fn keep_logs(world: &World, folder: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(world.cluster().folder())? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|kind| kind == "log") {
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    Ok(())
}
