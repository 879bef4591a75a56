//! A directory that was away comes back: with all it had, without leases, empty, or as it was earlier.

use super::{Directory, Keys, LEASE_MS, Revision};

impl Directory {
    /// Comes back with all it had. A new leader gives every lease its full time.
    pub(in crate::sim) fn come_back(&mut self, now: u64) {
        self.up = true;
        self.leases.values_mut().for_each(|(_, ends)| *ends = now + LEASE_MS);
    }

    /// Comes back without any lease.
    pub(in crate::sim) fn come_back_without_leases(&mut self, now: u64) {
        self.come_back(now);
        self.end(|_| true);
    }

    /// Comes back empty.
    pub(in crate::sim) fn come_back_empty(&mut self, now: u64) {
        self.come_back_without_leases(now);
        self.forgot = true;
        for room in 0..self.rooms.len() {
            self.write(room, Keys::default());
        }
    }

    /// Comes back as it was at an earlier moment, and the leases of then end in their time.
    pub(in crate::sim) fn come_back_older(&mut self, now: u64, at: Revision) {
        self.come_back_without_leases(now);
        self.forgot = true;
        for room in 0..self.rooms.len() {
            let keys = self.room(room, at).clone();
            let leases = [
                keys.owner.map(|owner| (owner.lease, owner.node)),
                keys.mirror.map(|one| (one.lease, one.node)),
            ];
            let bids = keys.bids.iter().map(|(node, bid)| Some((bid.lease, *node)));
            for (lease, node) in leases.into_iter().chain(bids).flatten() {
                self.leases.insert(lease, (node, now + LEASE_MS));
            }
            self.write(room, keys);
        }
        for node in 0..self.members.len() {
            let member = self.member(node, at);
            if let Some(member) = member {
                self.leases.insert(member.lease, (node, now + LEASE_MS));
            }
            self.write_member(node, member);
        }
    }
}
