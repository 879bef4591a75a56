//! `stentorctl`, the operator's command line: parses, connects, asks, prints. It decides nothing about rooms.
//!
//! | module        | knows                                                       |
//! |---------------|-------------------------------------------------------------|
//! | `cli`         | the commands                                                |
//! | `options`     | the options they share                                      |
//! | `settings`    | flags over environment over env file over defaults          |
//! | `admin`       | the connection to an admin node                             |
//! | `failure`     | what went wrong, what to do about it, the exit code         |
//! | `show`        | JSON and tables: the form of every answer                   |
//! | `aside`       | what is said beside it                                      |
//! | `room` …      | one module a group of commands                              |

mod admin;
mod aside;
mod changes;
mod cli;
mod drain;
mod failure;
mod listen;
mod node;
mod options;
mod participant;
mod room;
mod settings;
mod show;
mod speak;
mod ticket;
mod time;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{cli::Cli, failure::Failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Other(format!("no runtime: {error}")).tell(),
    };
    let outcome = runtime.block_on(cli.run());
    // A read of standard input that still blocks must not hold the process back.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}
