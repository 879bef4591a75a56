//! `stentor`, the server: configuration, assembly in order, run, drain.

mod cli;
mod config;
mod dev;
mod node;
mod ops;
mod run;
mod signals;

use std::{io::Write as _, process::ExitCode};

use anyhow::Result;
use clap::Parser as _;

use crate::cli::{Cli, Command, NodeArgs};

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Node(args) => node(&args).await,
        Command::Dev(args) => dev::run(args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stentor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn node(args: &NodeArgs) -> Result<()> {
    let config = args.config(std::env::vars())?;
    if args.print_config {
        std::io::stdout().write_all(toml::to_string_pretty(&config)?.as_bytes())?;
        return Ok(());
    }
    config.validate()?;
    run::node(config).await
}
