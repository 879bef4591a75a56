//! The options that all commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Each of these may be given before or after the command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Global {
    /// An admin node [env: STENTOR_ADMIN] [default: http://127.0.0.1:7070]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// The admin token [env: STENTOR_ADMIN_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", conflicts_with = "token_file")]
    pub(crate) token: Option<String>,
    /// A file with the admin token on its first line
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// An edge to speak and listen through; may be given again [env: STENTOR_EDGE] [default: http://127.0.0.1:8080]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) edge: Vec<String>,
    /// Certificates to trust for https, in PEM [env: STENTOR_CA] [default: those of the system]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// NAME=VALUE lines that stand in for the environment, as `stentor dev` writes them [env: STENTOR_ENV_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Use the cluster that `stentor dev` runs here, by the env file that it has written
    #[arg(long, global = true, conflicts_with = "env_file")]
    pub(crate) dev: bool,
    /// table, or json: one value (for `watch` one a line) whose fields are added and never renamed
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORM",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) output: Output,
}

/// How to print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: one value, or for `watch` one a line. Fields are added and never renamed.
    Json,
}
