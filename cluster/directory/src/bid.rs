//! Bids for a room whose owner is contested: what a node says that it reaches.
//!
//! A node has one bid for a room at most; it hangs on the node's own lease. It gives no right and fences nobody: what follows from
//! bids is for those to say who make and read them.

use stentor_ids::{Epoch, NodeId, RoomId};

use crate::{
    Directory, Error, Revision, Session, keys,
    store::{Op, Outcome},
    stored::encode_bid,
};

impl Directory {
    /// Writes what the session's node reaches of a room whose owner of this epoch is contested, in place of its bid of before.
    ///
    /// # Errors
    /// [`Error::LeaseGone`] while the session holds no lease, or what the directory answers. After [`Error::Unavailable`] the
    /// bid may still be written.
    pub async fn bid(
        &self,
        session: &Session,
        room: &RoomId,
        epoch: Epoch,
        (listeners, children): (u64, u32),
    ) -> Result<Revision, Error> {
        let value = encode_bid(epoch, listeners, children);
        let put = Op::put_leased(keys::bid(room, session.node()), value, session.lease()?);
        match self.transact(Vec::new(), vec![put]).await? {
            Outcome::Applied(revision) => Ok(revision),
            // It names nothing that could be otherwise.
            Outcome::Refused => Err(Error::LeaseGone),
        }
    }

    /// Withdraws a node's bid, if there is one.
    ///
    /// # Errors
    /// What the directory answers.
    pub async fn withdraw_bid(&self, room: &RoomId, node: &NodeId) -> Result<(), Error> {
        self.transact(Vec::new(), vec![Op::Delete(keys::bid(room, node))]).await.map(drop)
    }
}
