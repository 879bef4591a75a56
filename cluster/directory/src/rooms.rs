//! What one does with rooms in the directory while nobody owns them: create, read, update, delete. And how each write
//! to a room, an owner's too, comes to its end.
//!
//! Every write is a transaction that names the revisions it relies on, so a write that was late finds itself refused. After
//! a time-out, when a write may or may not have happened, the room is read before anything is tried again.

use std::time::Duration;

use bytes::Bytes;
use stentor_ids::{Epoch, RoomId};
use stentor_pace::Backoff;
use tokio::time::{Instant, sleep};

use crate::{
    BanPart, Directory, Error, Mirror, Owner, Revision, Room, View, keys,
    keys::Range,
    room::MAX_RECORD_BYTES,
    store::{Check, Entry, Op, Outcome},
    stored::{decode_mirror, decode_owner, decode_record, decode_room, encode_record},
};

/// How often a write is tried against somebody else's writes in between. Each try that fails means that another's
/// succeeded, and few write one room; beyond it the caller is told that the directory is not available.
const MAX_TRIES: usize = 8;

/// How long a room is read for again after a write whose answer was lost: a new connection takes far less, and whoever
/// waits for the write has waited a request's time-out already.
const DOUBT: Duration = Duration::from_secs(1);
/// Around how long the first pause between those readings is.
const DOUBT_RETRY: Duration = Duration::from_millis(50);

/// A room's keys as they stood together.
pub(crate) struct Stored {
    pub(crate) revision: Revision,
    pub(crate) record: Option<Entry>,
    pub(crate) owner: Option<(Owner, Entry)>,
    pub(crate) mirror: Option<Entry>,
}

impl Stored {
    pub(crate) fn owner(&self) -> Option<Owner> {
        self.owner.as_ref().map(|(owner, _)| owner.clone())
    }

    /// Who mirrors the room. A key that cannot be read counts as absent: a mirror's office may be claimed over it.
    pub(crate) fn mirror(&self) -> Option<Mirror> {
        self.mirror.as_ref().and_then(|entry| decode_mirror(entry).ok())
    }

    /// The check that the mirror key stays as it was read.
    pub(crate) fn mirror_stays(&self, room: &RoomId) -> Check {
        stays(keys::mirror(room), self.mirror.as_ref())
    }

    /// The check that the owner key stays as it was read.
    pub(crate) fn owner_stays(&self, room: &RoomId) -> Check {
        stays(keys::owner(room), self.owner.as_ref().map(|(_, entry)| entry))
    }

    /// The check that the record stays as it was read.
    pub(crate) fn record_stays(&self, room: &RoomId) -> Check {
        stays(keys::record(room), self.record.as_ref())
    }
}

fn stays(key: String, entry: Option<&Entry>) -> Check {
    match entry {
        Some(entry) => Check::Unchanged(key, entry.revision),
        None => Check::Absent(key),
    }
}

/// Does all of `then` if all of `checks` hold.
pub(crate) struct Transaction {
    pub(crate) checks: Vec<Check>,
    pub(crate) then: Vec<Op>,
}

/// What to do about a room as it was found.
pub(crate) enum Step<T> {
    /// An earlier try, whose answer was lost, has done it at this revision.
    Done(Revision, T),
    Try(Transaction, T),
}

impl Directory {
    /// Writes a new room's record, at epoch 0.
    ///
    /// # Errors
    /// [`Error::RoomExists`], [`Error::TooLarge`], or what the directory answers.
    pub async fn create(&self, room: &RoomId, record: impl Into<Bytes>) -> Result<Revision, Error> {
        let value = checked_value(room, Epoch(0), &record.into())?;
        let decide = |found: &Stored, doubt: bool| match &found.record {
            None => {
                let then = vec![Op::put(keys::record(room), value.clone())];
                Ok(Step::Try(Transaction { checks: vec![found.record_stays(room)], then }, ()))
            }
            Some(record) if doubt && record.value == value => Ok(Step::Done(record.revision, ())),
            Some(_) => Err(Error::RoomExists { room: room.clone() }),
        };
        Ok(self.settle(room, None, decide).await?.0)
    }

    /// Writes the record of a room that the directory has lost, at the highest epoch that was seen of it. Says whether it
    /// did: a room that is there again is left as it is, whoever put it there and whatever it says.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or what the directory answers.
    pub async fn put_back(&self, lost: &Room) -> Result<bool, Error> {
        let room = &lost.id;
        let value = checked_value(room, lost.epoch.max(self.highest_seen(room)), &lost.record)?;
        let decide = |found: &Stored, doubt: bool| match &found.record {
            None => {
                let then = vec![Op::put(keys::record(room), value.clone())];
                Ok(Step::Try(Transaction { checks: vec![found.record_stays(room)], then }, true))
            }
            Some(record) => Ok(Step::Done(record.revision, doubt && record.value == value)),
        };
        Ok(self.settle(room, None, decide).await?.1)
    }

    /// One room as it is now, without what is bid for it.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if its record or its owner key is not what Stentor writes; else what the directory answers.
    pub async fn get(&self, room: &RoomId) -> Result<Option<Room>, Error> {
        let found = self.stored(room).await?;
        let Some(record) = &found.record else { return Ok(None) };
        let room = decode_room(room.clone(), record, found.owner(), found.mirror(), Vec::new());
        room.map(Some).map_err(|reason| Error::Unreadable { key: record.key.clone(), reason })
    }

    /// Who is banned from a room, in the parts that were written and say something. They are read one by one with the record:
    /// who does not own the room may find them of different moments.
    ///
    /// # Errors
    /// What the directory answers.
    pub async fn bans(&self, room: &RoomId) -> Result<Vec<BanPart>, Error> {
        let snapshot = self.read(&Range::prefix(&keys::bans(room))).await?;
        let part =
            |Entry { key, value, .. }: Entry| Some(BanPart { number: keys::ban_number(room, &key)?, value });
        Ok(snapshot.entries.into_iter().filter_map(part).collect())
    }

    /// All rooms as they are now, by name. One that cannot be read is left out, with a warning.
    ///
    /// # Errors
    /// What the directory answers.
    pub async fn list(&self) -> Result<Vec<Room>, Error> {
        let view = View::listed(&self.read(&Range::prefix(keys::ROOMS)).await?, &View::default(), false);
        Ok(view.rooms.values().map(|room| Room::clone(room)).collect())
    }

    /// Writes the record of a room that nobody owns, if it is still at revision `expected`.
    ///
    /// # Errors
    /// [`Error::Owned`], [`Error::Changed`], [`Error::UnknownRoom`], [`Error::TooLarge`], or what the directory answers.
    pub async fn update_unowned(
        &self,
        room: &RoomId,
        expected: Revision,
        record: impl Into<Bytes>,
    ) -> Result<Revision, Error> {
        let record = record.into();
        let decide = |found: &Stored, doubt: bool| {
            let (entry, epoch, before) = unowned(room, found)?;
            let value = checked_value(room, epoch, &record)?;
            if doubt && entry.revision != expected && before == record {
                return Ok(Step::Done(entry.revision, ()));
            }
            let checks = unowned_checks(room, entry, expected, found)?;
            Ok(Step::Try(Transaction { checks, then: vec![Op::put(keys::record(room), value)] }, ()))
        };
        Ok(self.settle(room, None, decide).await?.0)
    }

    /// Deletes a room that nobody owns, with its bans, if it is still at revision `expected`. Its epochs are forgotten with it: a room
    /// made again under the same name is heard only by those who have not heard the old one.
    ///
    /// # Errors
    /// [`Error::Owned`], [`Error::Changed`], [`Error::UnknownRoom`], or what the directory answers.
    pub async fn delete(&self, room: &RoomId, expected: Revision) -> Result<(), Error> {
        // Only an owner bans, and there is none.
        let bans = self.bans(room).await?;
        let decide = |found: &Stored, doubt: bool| {
            if doubt && found.record.is_none() {
                return Ok(Step::Done(found.revision, ()));
            }
            let (entry, ..) = unowned(room, found)?;
            let checks = unowned_checks(room, entry, expected, found)?;
            let bans = bans.iter().map(|part| Op::Delete(keys::ban_part(room, part.number)));
            let then = [Op::Delete(keys::record(room)), Op::Delete(keys::mirror(room))]
                .into_iter()
                .chain(bans)
                .collect();
            Ok(Step::Try(Transaction { checks, then }, ()))
        };
        self.settle(room, None, decide).await.map(drop)
    }

    async fn stored(&self, room: &RoomId) -> Result<Stored, Error> {
        let snapshot = self.read(&Range::prefix(&keys::room(room))).await?;
        let owner = match snapshot.entry(&keys::owner(room)) {
            None => None,
            Some(entry) => match decode_owner(entry) {
                Ok(owner) => Some((owner, entry.clone())),
                Err(reason) => return Err(Error::Unreadable { key: entry.key.clone(), reason }),
            },
        };
        Ok(Stored {
            revision: snapshot.revision,
            record: snapshot.entry(&keys::record(room)).cloned(),
            owner,
            mirror: snapshot.entry(&keys::mirror(room)).cloned(),
        })
    }

    /// Reads a room. In doubt about an earlier write it tries a little longer, as often only the connection was lost that
    /// the write went over, and whoever asked for the write should be told what became of it.
    async fn found(&self, room: &RoomId, doubt: bool) -> Result<Stored, Error> {
        let (mut backoff, give_up) = (Backoff::new(DOUBT_RETRY, DOUBT), Instant::now() + DOUBT);
        loop {
            match self.stored(room).await {
                Err(error) if doubt && error.is_unavailable() && Instant::now() < give_up => {
                    sleep(backoff.next(rand::random())).await;
                }
                answer => return answer,
            }
        }
    }

    /// Tries transactions until one takes effect: `first`, if given, then what `decide` makes of the room as it is found.
    /// `decide` is also told whether an earlier try may have taken effect.
    pub(crate) async fn settle<T>(
        &self,
        room: &RoomId,
        first: Option<(Transaction, T)>,
        decide: impl Fn(&Stored, bool) -> Result<Step<T>, Error>,
    ) -> Result<(Revision, T), Error> {
        let (mut first, mut doubt) = (first, None);
        for _ in 0..MAX_TRIES {
            let (transaction, value) = match first.take() {
                Some(step) => step,
                None => match decide(&self.found(room, doubt.is_some()).await?, doubt.is_some())? {
                    Step::Done(revision, value) => return Ok((revision, value)),
                    Step::Try(transaction, value) => (transaction, value),
                },
            };
            match self.transact(transaction.checks, transaction.then).await {
                Ok(Outcome::Applied(revision)) => return Ok((revision, value)),
                Ok(Outcome::Refused) => {}
                Err(error) if error.is_unavailable() => doubt = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(doubt.unwrap_or_else(|| Error::Unavailable {
            directory: "the directory".to_owned(),
            reason: format!("room {room} changed {MAX_TRIES} times while it was being written"),
        }))
    }
}

/// The value of a record's key, if the record is not too long.
pub(crate) fn checked_value(room: &RoomId, epoch: Epoch, record: &Bytes) -> Result<Bytes, Error> {
    if record.len() > MAX_RECORD_BYTES {
        return Err(Error::TooLarge { room: room.clone(), len: record.len() });
    }
    Ok(encode_record(epoch, record))
}

/// The record's entry, epoch and own bytes.
pub(crate) fn recorded<'a>(room: &RoomId, found: &'a Stored) -> Result<(&'a Entry, Epoch, Bytes), Error> {
    let entry = found.record.as_ref().ok_or_else(|| Error::UnknownRoom { room: room.clone() })?;
    let (epoch, record) =
        decode_record(&entry.value).map_err(|reason| Error::Unreadable { key: entry.key.clone(), reason })?;
    Ok((entry, epoch, record))
}

/// The same, of a room that nobody owns.
fn unowned<'a>(room: &RoomId, found: &'a Stored) -> Result<(&'a Entry, Epoch, Bytes), Error> {
    match found.owner() {
        Some(owner) => Err(Error::Owned { room: room.clone(), owner }),
        None => recorded(room, found),
    }
}

fn unowned_checks(
    room: &RoomId,
    entry: &Entry,
    expected: Revision,
    found: &Stored,
) -> Result<Vec<Check>, Error> {
    if entry.revision != expected {
        return Err(Error::Changed { room: room.clone(), expected });
    }
    Ok(vec![found.record_stays(room), found.owner_stays(room)])
}
