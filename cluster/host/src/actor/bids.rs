//! This node's bids for a room whose owner is contested, written and withdrawn in the order in which the tenure says so.

use stentor_ids::Epoch;
use stentor_ownership::{End, Errand, Reach};

use super::state::State;
use crate::calls;

impl State {
    /// Writes a bid.
    pub(super) fn bid(&mut self, errand: Errand, epoch: Epoch, reach: Reach) {
        let (origin, room, mut turn) = (self.origin.clone(), self.hosted.id.clone(), self.bids.next());
        self.send(errand, async move {
            turn.come().await;
            End::Bid(calls::bid(&origin, &room, epoch, reach).await)
        });
    }

    /// Withdraws it.
    pub(super) fn withdraw_bid(&mut self) {
        let (origin, room, mut turn) = (self.origin.clone(), self.hosted.id.clone(), self.bids.next());
        tokio::spawn(async move {
            turn.come().await;
            calls::withdraw_bid(&origin, &room).await;
        });
    }

    /// Remembers beside the offices that the room is claimed though its owner's key stands.
    pub(super) fn preempts(&self) {
        self.preemptions.lock().preempts(stentor_clock::now(), &self.hosted.id);
    }
}
