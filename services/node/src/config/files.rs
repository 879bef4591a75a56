//! Files of which a section needs all or none.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// Checks that all files of a section are named, or none is.
pub(super) fn all_or_none(section: &str, files: &[(&str, &Option<PathBuf>)]) -> Result<()> {
    let missing: Vec<_> = files.iter().filter(|(_, file)| file.is_none()).map(|(name, _)| *name).collect();
    if missing.is_empty() || missing.len() == files.len() {
        return Ok(());
    }
    bail!("{section}.{} is missing; TLS needs all of {section}.{{{}}}", missing[0], names(files));
}

fn names(files: &[(&str, &Option<PathBuf>)]) -> String {
    files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}
