//! Programs, and where they are found.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Command,
};

/// A program that is not of this workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// A browser.
    Chromium,
    /// The directory of a cluster.
    Etcd,
    /// The client of it.
    Etcdctl,
    /// Decodes what listeners get.
    Ffmpeg,
    /// Finds fault with Ogg/Opus streams.
    Opusinfo,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Chromium, Self::Etcd, Self::Etcdctl, Self::Ffmpeg, Self::Opusinfo];

    /// What it is called in the `PATH`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Etcd => "etcd",
            Self::Etcdctl => "etcdctl",
            Self::Ffmpeg => "ffmpeg",
            Self::Opusinfo => "opusinfo",
        }
    }

    /// Ready to be given arguments and started.
    ///
    /// # Errors
    /// When it is not installed; the error says how it will be.
    pub fn command(self) -> io::Result<Command> {
        let folders = env::var_os("PATH").unwrap_or_default();
        let found = find(self.name(), env::split_paths(&folders)).ok_or_else(|| {
            let said = format!("{} is not in the PATH; `make setup` installs it", self.name());
            io::Error::new(io::ErrorKind::NotFound, said)
        })?;
        Ok(Command::new(found))
    }
}

fn find(name: &str, folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.map(|folder: PathBuf| Path::join(&folder, name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_installed_is_not_found() {
        let nowhere = [PathBuf::from("/nonexistent"), env::temp_dir().join("nonexistent")];
        assert_eq!(find("etcd", nowhere.into_iter()), None);
    }
}
