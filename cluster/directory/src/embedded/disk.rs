//! The data folder of an embedded directory: one file per durable key, at the key's own path.
//!
//! A file is one line with its revision, `stentor-directory 1 {revision}`, then the value. It is written beside its place,
//! flushed, renamed, and its folder flushed, so that after a power cut there is the old file or the new one. A file that
//! cannot be read is left as it is, with a warning.
//!
//! Invariant: all paths lie within the folder, as keys are made of checked names.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    Error, Revision, keys,
    store::{Change, Entry, Event},
};

/// First words of each file, with the version of the format.
const MAGIC: &str = "stentor-directory 1 ";
/// What a file is called while it is being written. No key ends so.
const UNFINISHED: &str = "new";

pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Opens the folder, makes it if it is not there, and reads what it holds.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Entry>), Error> {
        let rooms = folder.join(keys::ROOMS);
        fs::create_dir_all(&rooms).map_err(|error| failed(&rooms, &error))?;
        let mut entries = Vec::new();
        for room in fs::read_dir(&rooms).map_err(|error| failed(&rooms, &error))? {
            let room = room.map_err(|error| failed(&rooms, &error))?.path();
            for file in fs::read_dir(&room).into_iter().flatten().flatten() {
                let path = file.path();
                match read(folder, &path) {
                    Ok(entry) => entries.push(entry),
                    Err(_) if path.extension().is_some_and(|ending| ending == UNFINISHED) => {
                        drop(fs::remove_file(&path))
                    }
                    Err(reason) => {
                        tracing::warn!(path = %path.display(), reason, "a file in the data folder is left out")
                    }
                }
            }
        }
        Ok((Self { folder: folder.to_owned() }, entries))
    }

    /// Makes the durable ones of these changes last.
    pub(super) fn write(&self, events: &[Event]) -> Result<(), Error> {
        for event in events {
            match &event.change {
                Change::Put(entry) if entry.lease.is_none() => self.put(entry)?,
                Change::Put(_) => {}
                Change::Delete(key) => self.delete(key)?,
            }
        }
        Ok(())
    }

    fn put(&self, entry: &Entry) -> Result<(), Error> {
        let path = self.folder.join(&entry.key);
        let folder = path.parent().unwrap_or(&self.folder);
        let write = || -> io::Result<()> {
            let first = !folder.exists();
            fs::create_dir_all(folder)?;
            let unfinished = path.with_extension(UNFINISHED);
            let mut file = File::create(&unfinished)?;
            file.write_all(format!("{MAGIC}{}\n", entry.revision).as_bytes())?;
            file.write_all(&entry.value)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            sync_folder(folder)?;
            if first { folder.parent().map_or(Ok(()), sync_folder) } else { Ok(()) }
        };
        write().map_err(|error| failed(&path, &error))
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.folder.join(key);
        let folder = path.parent().unwrap_or(&self.folder);
        match fs::remove_file(&path).and_then(|()| sync_folder(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&path, &error)),
            Ok(()) => {
                // Keeps the folder free of leftovers; one that holds something else stays.
                let _ = fs::remove_dir(folder);
                Ok(())
            }
        }
    }
}

/// A directory's own entries are on disk only once the directory is flushed.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn read(folder: &Path, path: &Path) -> Result<Entry, String> {
    let key = path.strip_prefix(folder).ok().and_then(Path::to_str).ok_or("its name is not text")?;
    if keys::parse(key).is_none() {
        return Err("its name is none of a key".to_owned());
    }
    let file = Bytes::from(fs::read(path).map_err(|error| error.to_string())?);
    let end = file.iter().position(|byte| *byte == b'\n').ok_or("it has no first line")?;
    let head = std::str::from_utf8(&file[..end]).ok().and_then(|line| line.strip_prefix(MAGIC));
    let revision =
        head.and_then(|revision| revision.parse().ok()).ok_or("its first line is not a directory file's")?;
    Ok(Entry { key: key.to_owned(), value: file.slice(end + 1..), revision: Revision(revision), lease: None })
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::Disk { path: path.to_owned(), reason: error.to_string() }
}
