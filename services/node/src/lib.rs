//! `stentor`, the server: configuration, assembly in order, run, drain. The program is [`main`]; a [`Node`] can also be
//! started within another process, as `stentor dev` and tests of several nodes do.

mod cli;
mod config;
mod dev;
mod moved_clock;
mod node;
mod ops;
mod run;
mod signals;

use std::{io::Write as _, process::ExitCode};

use anyhow::{Error, Result};
use clap::Parser as _;

use crate::cli::{Cli, Command, NodeArgs};
pub use crate::{
    config::Config,
    node::{Given, Links, Node, Shared},
};

/// The program: reads the command line and runs until a signal or a failure.
pub async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Node(args) => node(&args).await,
        Command::Dev(args) => dev::run(args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stentor: {}", told(&error));
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
    moved_clock::follow()?;
    run::node(config).await
}

/// An error and its causes on one line, without a cause that what stands before it has told already.
fn told(error: &Error) -> String {
    let join = |told: String, cause: String| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    };
    error.chain().map(ToString::to_string).fold(String::new(), join)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("in use").context("port 80: in use; free it").context("give another");
        assert_eq!(told(&error), "give another: port 80: in use; free it");
    }
}
