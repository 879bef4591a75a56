//! `stentor`, the server.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    stentor_node::main().await
}
