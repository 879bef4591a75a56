//! A node that leaves: its rooms are offered to others, what it mirrors it steps aside from.

use stentor_ids::Fault;
use stentor_ownership::{Event, Successor};
use stentor_placement::{rank_apart, readers};

use super::{directory::RoomIx, message::Note, net::NodeIx, running::Asker, world::World};

/// How long between two offers of a room, in milliseconds.
const OFFER_AGAIN_MS: u64 = 200;

impl World {
    /// Hands over what a node owns, and steps aside from what it mirrors.
    pub(super) fn drain(&mut self, n: NodeIx) {
        let now = self.now;
        let rooms: Vec<_> = self.nodes[n].control.rooms.keys().copied().collect();
        for room in rooms {
            let control = &mut self.nodes[n].control;
            let Some(running) = control.rooms.get(&room) else { continue };
            if running.tenure.is_mirror() {
                self.tell_room(n, room, Event::StepAside);
            } else if control.offers.get(&room).is_none_or(|again| again.is_some_and(|at| at <= now)) {
                control.offers.insert(room, None);
                let ranked = self.heirs(n, room);
                self.tell_room(n, room, Event::Transfer { to: None, ranked, asker: Asker::Drain });
            }
        }
    }

    /// The other origins that could take a room, the best first.
    pub(super) fn heirs(&self, n: NodeIx, room: RoomIx) -> Vec<stentor_ids::NodeId> {
        let origins = self.candidates(n, |node| node.roles.origin);
        let mut ranked =
            rank_apart(&self.rooms[room], &readers(&origins, self.dir.schema[room]), self.nodes[n].zone);
        ranked.retain(|node| *node != self.nodes[n].id);
        ranked
    }

    /// What came of an offer.
    pub(super) fn offered(&mut self, n: NodeIx, room: RoomIx, outcome: &Result<Successor, Fault>) {
        let again = self.now + OFFER_AGAIN_MS;
        self.note(Note::Transfers { room, node: n, goes: outcome.is_ok() });
        if outcome.is_err() {
            self.nodes[n].control.offers.insert(room, Some(again));
        }
    }
}
