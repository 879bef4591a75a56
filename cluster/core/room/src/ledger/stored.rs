//! What of a room the directory has for certain, and so what a commit has to write.

use stentor_ids::Epoch;

use crate::{BanPart, Bans, Record};

/// Which commit: the epoch it was asked for under, and the how manieth of that epoch's ledger it is. An answer names the
/// commit it is to, so that one that comes twice, late, or to an owner of before settles nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId {
    epoch: Epoch,
    number: u64,
}

impl CommitId {
    /// Before the first commit of an owner.
    pub(super) const fn none(epoch: Epoch) -> Self {
        Self { epoch, number: 0 }
    }

    /// The one after it.
    pub(super) const fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

/// What a commit writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Which commit this is.
    pub id: CommitId,
    /// The record, as [`Record::encode`] gives it.
    pub record: Vec<u8>,
    /// Parts of the bans that the directory may not have as they are, by number: none to all of
    /// [`Bans::PARTS`].
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
    pub(super) fn write(&mut self, id: CommitId, record: &Record) -> Written {
        // What the last commit wrote and was not answered for stays in doubt: its part is `None`, hence written again.
        self.written.clear();
        for (number, part) in record.bans().parts().iter().enumerate() {
            if self.parts[number].as_ref() != Some(part) {
                self.parts[number] = None;
                self.written.push((number, part.clone()));
            }
        }
        let bans = self.written.iter().map(|(number, part)| (*number, part.encode())).collect();
        Written { id, record: record.encode(), bans }
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
