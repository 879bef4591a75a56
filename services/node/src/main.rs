//! `stentor`, the server: configuration, assembly in order, run, drain.

mod cli;
mod config;
mod ops;

use anyhow::Result;
use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Node(args) => {
            let config = args.config(std::env::vars())?;
            if args.print_config {
                print(&toml::to_string_pretty(&config)?)?;
            }
            config.validate()
        }
        Command::Dev(_) => Ok(()),
    }
}
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
