//! What happens when something goes wrong, and when it is over.

use std::rc::Rc;

use stentor_pace::{Pulse, check::OwnerSettles};

use super::{
    fault::{Back, DRAIN_MS, Fault, Who},
    message::{Message, Note},
    net::{DIRECTORY, NodeIx, RESENT_MS, millis},
    node::Node,
    world::World,
};

/// From when all is well until every edge hears the owner again: a lease, a claim, parents that are tried again.
const SETTLE_MS: u64 = 9_000;

impl World {
    /// Lets something go wrong.
    pub(super) fn strike(&mut self, fault: Fault) {
        self.note(Note::Strike(fault));
        if self.single {
            self.judge_moves();
        }
        self.split = None;
        self.only_directory &= matches!(fault, Fault::Outage { .. } | Fault::NoDirectory { .. });
        self.stats.struck(fault.name());
        self.net.heal(self.now);
        let until = self.now + fault.lasts_ms();
        self.trouble_until = self.trouble_until.max(until + RESENT_MS);
        self.disturb(fault, until + RESENT_MS);
        if !matches!(fault, Fault::CutOrigins { .. }) {
            self.unwell_until = self.unwell_until.max(until + SETTLE_MS);
        }
        match fault {
            Fault::Kill { who, told, ms } => self.kill(who, told, ms),
            Fault::Pause { who, ms } => {
                if let Some(n) = self.find(who) {
                    let node = &mut self.nodes[n];
                    node.paused_until = until;
                    // A shorter one passes for a busy machine.
                    node.stood = if ms > millis(Pulse::STILL) { until } else { node.stood };
                }
            }
            Fault::Isolate { who, .. } => {
                if let Some(n) = self.find(who) {
                    self.net.cut(Some(n), None, until);
                    self.net.cut(None, Some(n), until);
                }
            }
            Fault::OneWay { from, to, .. } => self.part(from, to, until, false),
            Fault::Cut { from, to, .. } => self.part(from, to, until, true),
            Fault::CutOrigins { room, .. } => self.part(Who::Owner(room), Who::Mirror(room), until, true),
            Fault::Slow { from, to, by_ms, .. } => {
                if let (Some(from), Some(to)) = (self.find(from), self.find(to)) {
                    self.net.slow(from, to, until, by_ms);
                }
            }
            Fault::SplitZones { .. } => self.split_zones(until),
            Fault::NoDirectory { who, .. } => {
                if let Some(n) = self.find(who) {
                    self.net.cut(Some(n), Some(DIRECTORY), until);
                    self.net.cut(Some(DIRECTORY), Some(n), until);
                }
            }
            Fault::Outage { ms, back } => self.outage(ms, back),
            Fault::Odd { ms, .. } | Fault::Barred { ms, .. } | Fault::LoseClaim { ms, .. } => {
                self.perform_act(fault, self.now + ms);
            }
            Fault::Move { .. }
            | Fault::Aside { .. }
            | Fault::Restart { .. }
            | Fault::End { .. }
            | Fault::Lag { .. }
            | Fault::Newer { .. } => self.perform_act(fault, until),
            Fault::Drain { who, .. } => {
                if let Some(n) = self.find(who) {
                    self.nodes[n].draining = true;
                    self.nodes[n].renew_at = 0;
                    self.resume_in(DRAIN_MS, n);
                }
            }
        }
    }

    /// Nothing comes from one to the other until then, nor back if it is cut both ways.
    fn part(&mut self, from: Who, to: Who, until: u64, both: bool) {
        let (Some(from), Some(to)) = (self.find(from), self.find(to)) else { return };
        self.net.cut(Some(from), Some(to), until);
        if both {
            self.net.cut(Some(to), Some(from), until);
        }
    }

    /// Cuts the zones from each other, or two halves where all nodes are in one. Rooms whose owner changes are judged by it until
    /// something else goes wrong.
    fn split_zones(&mut self, until: u64) {
        let first = self.nodes[0].zone;
        let alike = self.nodes.iter().all(|node| node.zone == first);
        let side = |(n, node): (NodeIx, &Node)| if alike { n.is_multiple_of(2) } else { node.zone == first };
        let sides: Rc<[bool]> = self.nodes.iter().enumerate().map(side).collect();
        self.net.split(sides, until);
        self.split = Some(vec![OwnerSettles::default(); self.rooms.len()]);
    }

    pub(super) fn find(&self, who: Who) -> Option<NodeIx> {
        let found = match who {
            Who::Node(n) => Some(n),
            Who::Owner(room) => self.dir.now(room).owner.map(|owner| owner.node),
            Who::Mirror(room) => self.dir.now(room).mirror.map(|mirror| mirror.node),
            Who::Relay(room, place) => self.audio[room].relay(place),
        };
        found.filter(|n| self.nodes[*n].up)
    }

    fn kill(&mut self, who: Who, told: bool, ms: u64) {
        if let Some(n) = self.find(who) {
            self.end(n, told);
            self.resume_in(ms, n);
        }
    }

    /// A process ends.
    pub(super) fn end(&mut self, n: NodeIx, told: bool) {
        (self.nodes[n].up, self.nodes[n].refuses) = (false, told);
        for audio in &mut self.audio {
            audio.forget(n);
        }
        if told {
            self.tell_gone(n);
        }
    }

    /// Every connection to the process breaks.
    fn tell_gone(&mut self, n: NodeIx) {
        let peer = (n, self.nodes[n].life);
        for other in 0..self.nodes.len() {
            if other != n && self.nodes[other].up {
                self.tell(n, other, Message::Gone { peer });
            }
        }
    }

    /// A node comes back, or has drained.
    pub(super) fn resume(&mut self, n: NodeIx) {
        if self.nodes[n].up && self.nodes[n].draining {
            let owned = self.nodes[n].control.rooms.values().any(|room| room.tenure.is_owner());
            if owned && self.single {
                self.stats.drains_given_up += 1;
            }
            self.end(n, true);
            self.resume_in(2_000, n);
            return;
        }
        if self.nodes[n].up {
            return;
        }
        self.note(Note::Resume(n));
        self.tell_gone(n);
        self.nodes[n].restart();
        for audio in &mut self.audio {
            audio.arrive(n, self.nodes[n].roles);
        }
    }

    fn outage(&mut self, ms: u64, back: Back) {
        self.dir.up = false;
        let revision = self.revision_at.iter().rev().find(|(at, _)| match back {
            Back::Older(by) => at + by <= self.now,
            _ => true,
        });
        self.dir_back = Some((self.now + ms, back, revision.map_or(0, |(_, revision)| *revision)));
        self.owners_before =
            (0..self.dir.rooms()).map(|room| self.dir.now(room).owner.map(|one| one.node)).collect();
    }

    /// Brings the directory back when its time has come.
    pub(super) fn restore(&mut self) {
        let Some((_, back, revision)) = self.dir_back.take_if(|(at, ..)| *at <= self.now) else { return };
        match back {
            Back::Same => self.dir.come_back(self.now),
            Back::NoLeases => self.dir.come_back_without_leases(self.now),
            Back::Empty => self.dir.come_back_empty(self.now),
            Back::Older(_) => self.dir.come_back_older(self.now, revision),
        }
    }
}
