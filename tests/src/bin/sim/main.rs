//! `sim [seeds] [from]`: lets the worlds of so many seeds go by and tells what happened in them. One seed is told with all
//! that happened. The first broken invariant is told with what went before, each further one in a line.

#![expect(clippy::print_stdout, reason = "figures go to the terminal")]

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use stentor_tests::sim::{self, Stats};

/// How often it tells how far it is, in seeds.
const TELL: u64 = 1_000;

fn main() -> Result<ExitCode> {
    let mut numbers =
        std::env::args().skip(1).map(|arg| arg.parse::<u64>().with_context(|| format!("{arg} is no number")));
    let seeds = numbers.next().transpose()?.unwrap_or(1_000);
    let from = numbers.next().transpose()?.unwrap_or(0);
    if seeds == 1 {
        return Ok(tell_all(from));
    }
    let (started, mut stats, mut slowest, mut broken) = (Instant::now(), Stats::default(), (0.0, 0), 0_u64);
    for seed in from..from.saturating_add(seeds) {
        let begun = Instant::now();
        match sim::check(seed) {
            Ok(run) => stats.add(&run.stats),
            Err(account) => {
                broken += 1;
                println!(
                    "{}",
                    if broken == 1 { &account } else { account.lines().next().unwrap_or_default() }
                );
            }
        }
        let took = begun.elapsed().as_secs_f64();
        slowest = if took > slowest.0 { (took, seed) } else { slowest };
        if (seed - from + 1) % TELL == 0 {
            eprintln!("{} seeds in {:.0} s", seed - from + 1, started.elapsed().as_secs_f64());
        }
    }
    let took = started.elapsed().as_secs_f64();
    print!("{stats}");
    println!(
        "seeds a minute    {:.0}; the slowest, {}, took {:.2} s",
        seeds as f64 * 60.0 / took,
        slowest.1,
        slowest.0
    );
    println!("seeds that broke  {broken}");
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One world with all that happened.
fn tell_all(seed: u64) -> ExitCode {
    let run = sim::run(seed, true);
    run.trace.iter().for_each(|line| println!("{line}"));
    println!("hash {:016x}", run.hash);
    match run.broken {
        None => {
            print!("{}", run.stats);
            ExitCode::SUCCESS
        }
        Some(broken) => {
            println!("seed {seed}: {broken}");
            ExitCode::FAILURE
        }
    }
}
