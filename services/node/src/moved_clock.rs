//! A wall clock that a harness moves, to see what a wrong one does: the variable `STENTOR_CLOCK_FILE` names a file that holds
//! by how many milliseconds, and may change at any time. Without the variable the clock is the system's.

use std::{path::PathBuf, thread, time::Duration};

use anyhow::{Context, Result};

const VARIABLE: &str = "STENTOR_CLOCK_FILE";
/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Moves this process's clock as the file says from now on, if the variable is set.
///
/// # Errors
/// The file cannot be read, or holds no number.
pub(crate) fn follow() -> Result<()> {
    let Some(file) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return Ok(()) };
    let read = move || -> Result<i64> {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("{VARIABLE} {}", file.display()))?;
        let ms: i64 =
            text.trim().parse().with_context(|| format!("{VARIABLE} {text:?}; give milliseconds"))?;
        Ok(ms.saturating_mul(1000))
    };
    stentor_clock::shift(read()?);
    thread::spawn(move || {
        loop {
            thread::sleep(LOOK);
            // Half a file, while it is written, is read again.
            if let Ok(micros) = read() {
                stentor_clock::shift(micros);
            }
        }
    });
    Ok(())
}
