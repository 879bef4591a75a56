//! Mirroring a room: who holds its second office.
//!
//! The mirror's key is apart from the owner's, so that another mirror touches no epoch and fences nobody; it hangs on the
//! mirror's own lease. Holding it gives no right to write.
//!
//! Invariant: no node is owner and mirror of one room. The key is written only while the owner key stays another's, and
//! whoever claims or reasserts a room gives its mirror key up in the same transaction (`ownership`).

use stentor_ids::RoomId;

use crate::{
    Directory, Error, Mirror, MirrorKey, Revision, Session, keys,
    rooms::{Step, Stored, Transaction, recorded},
    store::{Check, Op},
    stored::{decode_mirror, encode_mirror},
};

impl Directory {
    /// Makes the session's node the mirror of a room that has none, or whose mirror key is still at the revision `preempt`.
    ///
    /// When this fails with [`Error::Unavailable`], the key may still be written; then the view shows the node itself
    /// as the mirror, and the node claims the office again, naming that revision.
    ///
    /// # Errors
    /// [`Error::Mirrored`] naming the mirror if there is one, [`Error::OwnMirror`] if the node owns the room,
    /// [`Error::UnknownRoom`], [`Error::LeaseGone`] while the session holds no lease, or what the directory answers.
    pub async fn mirror(
        &self,
        session: &Session,
        room: &RoomId,
        preempt: Option<Revision>,
    ) -> Result<MirrorKey, Error> {
        let (lease, history) = (session.lease()?, self.history());
        let value = encode_mirror(session.node());
        let decide = |found: &Stored, doubt: bool| {
            recorded(room, found)?;
            if found.owner().is_some_and(|owner| owner.node == *session.node()) {
                return Err(Error::OwnMirror { room: room.clone(), node: session.node().clone() });
            }
            if let Some(entry) = &found.mirror {
                if doubt && entry.written_as(&value, lease) && preempt != Some(entry.revision) {
                    return Ok(Step::Done(entry.revision, ()));
                }
                match decode_mirror(entry) {
                    Ok(mirror) if preempt != Some(entry.revision) => {
                        return Err(Error::Mirrored { room: room.clone(), mirror });
                    }
                    // A key that cannot be read is nobody's.
                    _ => {}
                }
            }
            let then = vec![Op::put_leased(keys::mirror(room), value.clone(), lease)];
            Ok(Step::Try(Transaction { checks: office_stays(room, found), then }, ()))
        };
        let (revision, ()) = self.settle(room, None, decide).await?;
        let mirror = Mirror { node: session.node().clone(), revision };
        Ok(MirrorKey { room: room.clone(), mirror, history })
    }

    /// Gives the office up: nobody mirrors the room then. No error if the office was lost already.
    ///
    /// # Errors
    /// What the directory answers.
    pub async fn release_mirror(&self, key: MirrorKey) -> Result<(), Error> {
        let room = &key.room;
        let decide = |found: &Stored, _doubt: bool| {
            if found.mirror().as_ref() != Some(&key.mirror) {
                return Ok(Step::Done(found.revision, ()));
            }
            let checks = vec![found.mirror_stays(room)];
            Ok(Step::Try(Transaction { checks, then: vec![Op::Delete(keys::mirror(room))] }, ()))
        };
        self.settle(room, None, decide).await.map(drop)
    }
}

/// The checks that the room stays, and who holds its offices. A record with an owner is written by that owner and not
/// deleted; its commits are not in the way.
fn office_stays(room: &RoomId, found: &Stored) -> Vec<Check> {
    let mut checks = vec![found.owner_stays(room), found.mirror_stays(room)];
    if found.owner.is_none() {
        checks.push(found.record_stays(room));
    }
    checks
}
