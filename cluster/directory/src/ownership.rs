//! Owning a room: claim, commit, reassert, release.
//!
//! Invariants: a claim raises the epoch above every epoch that the record or the claimant knows of, also from before the
//! directory lost its data or went back; a commit takes effect only while the owner key is the one that its claim wrote
//! (`OneWriter`), and commits of one owner in the order in which they were asked for.

use bytes::Bytes;
use stentor_ids::{Epoch, NodeId, RoomId, Slot};

use crate::{
    BanPart, Directory, Error, LeaseId, Owner, Ownership, Revision, Session, keys,
    rooms::{Step, Stored, Transaction, checked_value, recorded},
    store::{Check, Op},
    stored::{decode_record, encode_owner, encode_record},
};

/// Longest parts of bans in one transaction, in bytes: with the longest record well below what etcd takes in one request by
/// default (1.5 MiB).
const BATCH_BYTES: usize = 512 * 1024;

impl Directory {
    /// Makes the session's node the owner of a room that nobody owns, or whose owner key is still at the revision
    /// `preempt`. The new epoch is one more than the highest of the record's, of all that the view ever showed, and of
    /// `seen`, which is the highest that the claimant or any of its children has seen; it is written to the owner key and
    /// to the record in one transaction. If the node was the room's mirror, it is that no longer by the same transaction.
    ///
    /// When this fails with [`Error::Unavailable`], the claim may still take effect; then the view shows the node itself
    /// as the owner, and the node claims again, naming that revision.
    ///
    /// # Errors
    /// [`Error::Lost`] naming the owner if somebody else was faster, [`Error::UnknownRoom`], [`Error::LeaseGone`] while
    /// the session holds no lease, or what the directory answers.
    pub async fn claim(
        &self,
        session: &Session,
        room: &RoomId,
        seen: Epoch,
        preempt: Option<Revision>,
        from_slot: Slot,
    ) -> Result<Ownership, Error> {
        let (lease, history) = (session.lease()?, self.history());
        let seen = seen.max(self.highest_seen(room));
        let owned = |epoch| encode_owner(session.node(), epoch, from_slot);
        let decide = |found: &Stored, doubt: bool| {
            let (_, epoch, record) = recorded(room, found)?;
            match &found.owner {
                Some((_, entry)) if preempt == Some(entry.revision) => {}
                Some((_, entry)) if doubt && entry.written_as(&owned(epoch), lease) => {
                    return Ok(Step::Done(entry.revision, epoch));
                }
                Some((owner, _)) => return Err(Error::Lost { room: room.clone(), owner: owner.clone() }),
                None => {}
            }
            let owners = found.owner.as_ref().map_or(Epoch(0), |(owner, _)| owner.epoch);
            let epoch = epoch.max(owners).max(seen).next();
            let record = encode_record(epoch, &record);
            Ok(Step::Try(take(session.node(), room, found, record, owned(epoch), lease), epoch))
        };
        let (revision, epoch) = self.settle(room, None, decide).await?;
        let owner = Owner { node: session.node().clone(), epoch, from_slot, revision };
        Ok(Ownership::new(room.clone(), owner, history))
    }

    /// Writes an owned room's record.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the owner key is no longer the one that the claim wrote, [`Error::TooLarge`], or what the
    /// directory answers. After [`Error::Unavailable`] the record may still be written, but never over a later commit's.
    pub async fn commit(&self, ownership: &Ownership, record: impl Into<Bytes>) -> Result<Revision, Error> {
        self.commit_with_bans(ownership, record, Vec::new()).await
    }

    /// The same with parts of the room's bans; a part that is empty is deleted. Record and parts are one transaction, but for
    /// parts that are too long for one: then the record is written with each of several, which come in their order.
    ///
    /// # Errors
    /// As [`Directory::commit`]; some of several may have been written.
    pub async fn commit_with_bans(
        &self,
        ownership: &Ownership,
        record: impl Into<Bytes>,
        bans: Vec<BanPart>,
    ) -> Result<Revision, Error> {
        let (room, epoch) = (&ownership.room, ownership.owner.epoch);
        let value = checked_value(room, epoch, &record.into())?;
        let mut last = ownership.record_revision.lock().await;
        for bans in batches(bans) {
            let transaction = |record: Check| {
                let owner = Check::Unchanged(keys::owner(room), ownership.owner.revision);
                let same = Check::Holds(keys::owner(room), ownership.value());
                let mut then = vec![Op::put(keys::record(room), value.clone())];
                then.extend(bans.iter().map(|part| part.op(room)));
                Transaction { checks: vec![owner, same, record], then }
            };
            let first = transaction(Check::Unchanged(keys::record(room), *last));
            let decide = |found: &Stored, doubt: bool| {
                if found.owner().as_ref() != Some(&ownership.owner) {
                    return Err(Error::Fenced { room: room.clone(), epoch, owner: found.owner() });
                }
                match &found.record {
                    // A record that is as it is to be says nothing of the bans beside it: these are written again.
                    Some(entry) if doubt && bans.is_empty() && entry.value == value => {
                        Ok(Step::Done(entry.revision, ()))
                    }
                    _ => Ok(Step::Try(transaction(found.record_stays(room)), ())),
                }
            };
            *last = self.settle(room, Some((first, ())), decide).await?.0;
        }
        Ok(*last)
    }

    /// Puts the owner key back at the ownership's own epoch, on the session's lease of now, together with the record:
    /// for an owner whose key is gone with its old lease, or whose directory came back empty or with an older state.
    /// The ownership it replaces is fenced from then on.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the room was claimed since, [`Error::LeaseGone`] while the session holds no lease,
    /// [`Error::TooLarge`], or what the directory answers.
    pub async fn reassert(
        &self,
        session: &Session,
        ownership: &Ownership,
        record: impl Into<Bytes>,
    ) -> Result<Ownership, Error> {
        let (lease, history) = (session.lease()?, self.history());
        let (room, own) = (&ownership.room, &ownership.owner);
        let value = checked_value(room, own.epoch, &record.into())?;
        let owned = ownership.value();
        let decide = |found: &Stored, doubt: bool| {
            // A record that cannot be read counts as lost: this writes it anew.
            let readable = found.record.as_ref().and_then(|entry| decode_record(&entry.value).ok());
            let claimed = readable.map_or(Epoch(0), |(epoch, _)| epoch);
            let superseded = |owner: &Owner| {
                (owner.epoch, &owner.node) != (own.epoch, &own.node) && owner.epoch >= own.epoch
            };
            if claimed > own.epoch || found.owner().as_ref().is_some_and(superseded) {
                return Err(Error::Fenced { room: room.clone(), epoch: own.epoch, owner: found.owner() });
            }
            let recorded = found.record.as_ref().is_some_and(|entry| entry.value == value);
            match &found.owner {
                Some((_, entry)) if doubt && recorded && entry.written_as(&owned, lease) => {
                    return Ok(Step::Done(entry.revision, ()));
                }
                _ => {}
            }
            Ok(Step::Try(take(&own.node, room, found, value.clone(), owned.clone(), lease), ()))
        };
        let (revision, ()) = self.settle(room, None, decide).await?;
        Ok(Ownership::new(room.clone(), Owner { revision, ..own.clone() }, history))
    }

    /// Gives a room up: nobody owns it then. No error if the ownership has ended already.
    ///
    /// # Errors
    /// What the directory answers.
    pub async fn release(&self, ownership: Ownership) -> Result<(), Error> {
        let room = &ownership.room;
        let decide = |found: &Stored, _doubt: bool| {
            if found.owner().as_ref() != Some(&ownership.owner) {
                return Ok(Step::Done(found.revision, ()));
            }
            let checks = vec![found.owner_stays(room)];
            Ok(Step::Try(Transaction { checks, then: vec![Op::Delete(keys::owner(room))] }, ()))
        };
        self.settle(room, None, decide).await.map(drop)
    }
}

/// Parts of bans as they are written, one transaction each; one of no parts if there are none.
fn batches(parts: Vec<BanPart>) -> Vec<Vec<BanPart>> {
    let (mut batches, mut bytes) = (vec![Vec::new()], 0);
    for part in parts {
        bytes += part.value.len();
        let last = batches.len() - 1;
        if bytes > BATCH_BYTES && !batches[last].is_empty() {
            bytes = part.value.len();
            batches.push(vec![part]);
        } else {
            batches[last].push(part);
        }
    }
    batches
}

/// Writes record and owner key, if the room is as it was found. The mirror key goes if it names the new owner, and must not
/// come to name it in the meantime.
fn take(
    node: &NodeId,
    room: &RoomId,
    found: &Stored,
    record: Bytes,
    owned: Bytes,
    lease: LeaseId,
) -> Transaction {
    let checks = vec![found.record_stays(room), found.owner_stays(room), found.mirror_stays(room)];
    let mut then = vec![Op::put(keys::record(room), record), Op::put_leased(keys::owner(room), owned, lease)];
    if found.mirror().is_some_and(|mirror| mirror.node == *node) {
        then.push(Op::Delete(keys::mirror(room)));
    }
    Transaction { checks, then }
}
