//! What a subscriber learns from the view of the cluster: who its parents are to be, claims, and the room's record.

use std::sync::Arc;

use stentor_proto::v1;
use stentor_telemetry::Tier;
use tokio::sync::watch;

use super::Subscriber;
use crate::{Closed, tree::Place};

impl Subscriber {
    /// Ranks the parents anew. A relay also learns of claims, and of a room that nobody owns.
    pub(super) fn look_at_topology(&mut self, changed: &mut watch::Receiver<u64>) {
        changed.borrow_and_update();
        if let Some(record) = self.carrier.topology().status(self.feed.room())
            && self.feed.is_other(record.incarnation)
        {
            return self.carrier.end_of(&self.feed);
        }
        let edge = self.carrier.config().tier == Tier::Edge;
        let peers = self.carrier.topology().peers();
        // An edge's parents follow from the nodes alone, and most changes are of rooms.
        if !edge || !Arc::ptr_eq(&peers, &self.peers) {
            let mut ranked = self.carrier.above(self.feed.room(), &peers);
            self.peers = peers;
            if !edge {
                self.look_at_owner(&mut ranked);
            }
            self.parents.rank(ranked);
        }
    }

    /// Learns of claims. An owner whose key is gone may run the room all the same, so it stays the last choice until there is
    /// another.
    fn look_at_owner(&mut self, ranked: &mut Vec<Arc<Place>>) {
        let Some(owner) = self.carrier.topology().owner(self.feed.room()) else {
            let last = self.owner.clone().map(|owner| Arc::new(Place::from(owner)));
            if let Some(last) = last.filter(|last| !ranked.contains(last)) {
                ranked.push(last);
            }
            return self.look_at_record();
        };
        self.learn(owner.epoch, owner.from_slot);
        if self.owner.as_ref().is_none_or(|last| last.epoch < owner.epoch) {
            self.parents.revive(&Arc::new(Place::from(owner.clone())));
        }
        self.owner = Some(owner);
    }

    /// While nobody owns the room, its record says how it is.
    fn look_at_record(&mut self) {
        if let Some(mut status) = self.carrier.topology().status(self.feed.room())
            && status.lifecycle() != v1::Lifecycle::Ended
        {
            let known = self.feed.status();
            let known_version = known.as_ref().map_or(0, |known| known.stage_version);
            status.owner.clear();
            status.epoch = status.epoch.max(self.epoch.0);
            status.stage_version = status.stage_version.max(known_version);
            if known.is_none_or(|known| known.lifecycle <= status.lifecycle) {
                self.adopt(status);
            }
        }
        self.end_if_record_says_so();
    }

    /// A room whose record says that it has ended, and that no parent has anything more of, is over. While a parent still
    /// sends, its last frames come first.
    pub(super) fn end_if_record_says_so(&mut self) {
        let relay = self.carrier.config().tier == Tier::Relay;
        if !relay || self.parents.links() > 0 || self.feed.closed().is_some() {
            return;
        }
        let record = self.carrier.topology().status(self.feed.room());
        if let Some(record) = record.filter(|status| status.lifecycle() == v1::Lifecycle::Ended) {
            self.adopt(record);
            self.feed.close(Closed::Ended);
        }
    }
}
