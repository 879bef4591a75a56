//! What a commit has to write, and what of a room the directory has for certain.

use crate::{BanPart, Bans, Record};

/// What a commit writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The record.
    pub record: Vec<u8>,
    /// Parts of the bans that the directory may not have as they are, by number.
    pub bans: Vec<(usize, Vec<u8>)>,
}

/// What of a room's bans the directory has for certain. A part whose write was never answered is in doubt, and is written again
/// with the next commit, whatever it says by then.
#[derive(Debug)]
pub(super) struct Stored {
    parts: Vec<Option<BanPart>>,
    /// What the commit under way writes.
    written: Vec<(usize, BanPart)>,
}

impl Stored {
    pub(super) fn new(bans: &Bans) -> Self {
        Self { parts: bans.parts().iter().cloned().map(Some).collect(), written: Vec::new() }
    }

    /// What to write so that the directory has the record and its bans.
    pub(super) fn write(&mut self, record: &Record) -> Written {
        self.written.clear();
        for (number, part) in record.bans().parts().iter().enumerate() {
            if self.parts[number].as_ref() != Some(part) {
                self.parts[number] = None;
                self.written.push((number, part.clone()));
            }
        }
        let bans = self.written.iter().map(|(number, part)| (*number, part.encode())).collect();
        Written { record: record.encode(), bans }
    }

    /// The directory has what was written.
    pub(super) fn committed(&mut self) {
        for (number, part) in self.written.drain(..) {
            self.parts[number] = Some(part);
        }
    }

    /// The directory may have nothing, or what was written long ago.
    pub(super) fn doubt(&mut self) {
        self.written.clear();
        self.parts.fill(None);
    }
}
