//! This node's bids for a room whose owner is contested, written and withdrawn in the order in which the tenure says so.

use stentor_ids::Epoch;
use stentor_ownership::{Effect, End, Errand, Reach};

use super::state::State;
use crate::{calls, driver::RoomDriver};

impl State {
    /// Does what the tenure says about a contested owner.
    pub(super) fn contest(&mut self, effect: Effect<RoomDriver>) {
        match effect {
            Effect::Bid(errand, epoch, reach) => self.bid(errand, epoch, reach),
            Effect::WithdrawBid => self.withdraw_bid(),
            Effect::Preempts => self.preemptions.lock().preempts(stentor_clock::now(), &self.hosted.id),
            _ => {}
        }
    }

    fn bid(&mut self, errand: Errand, epoch: Epoch, reach: Reach) {
        let (origin, room, mut turn) = (self.origin.clone(), self.hosted.id.clone(), self.bids.next());
        self.send(errand, async move {
            turn.come().await;
            End::Bid(calls::bid(&origin, &room, epoch, reach).await)
        });
    }

    fn withdraw_bid(&mut self) {
        let (origin, room, mut turn) = (self.origin.clone(), self.hosted.id.clone(), self.bids.next());
        tokio::spawn(async move {
            turn.come().await;
            calls::withdraw_bid(&origin, &room).await;
        });
    }
}
