//! What is said beside the answer.

use std::io::{self, Write};

/// To standard error: what is not the answer.
pub(crate) fn say_aside(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}
