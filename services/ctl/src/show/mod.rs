//! The form of everything printed: each answer as a JSON value with fields that stay, and as a table for people.

#[cfg(test)]
mod golden;
mod happening;
mod node;
mod table;
mod view;

use std::io::{self, Write};

use serde::Serialize;

pub(crate) use happening::{Happening, What};
pub(crate) use node::Node;
pub(crate) use table::{fields, plain, table};
pub(crate) use view::{Hand, Participant, Room, gain};

use crate::{failure::Failure, options::Output};

/// Prints an answer.
pub(crate) fn print(
    output: Output,
    value: &impl Serialize,
    table: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match output {
        Output::Table => say(&table()),
        Output::Json => {
            say(&serde_json::to_string(value).map_err(|error| Failure::Other(error.to_string()))?);
        }
    }
    Ok(())
}

/// One line, or several, to standard output. Who has closed it wants no more.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
}

/// A name, or that there is none.
fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}
