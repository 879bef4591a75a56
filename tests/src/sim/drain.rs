//! A node that leaves: `ownership::Drain` says which rooms it offers when, and which it steps aside from.

use stentor_ids::Fault;
use stentor_ownership::{DrainAct, Event, Successor, refusal::restarting};
use stentor_placement::heirs;

use super::{directory::RoomIx, message::Note, net::NodeIx, running::Asker, world::World};

impl World {
    /// Tells a node's drain what runs there, and does what it asks for.
    pub(super) fn drain(&mut self, n: NodeIx) {
        let (now, control) = (self.time(), &mut self.nodes[n].control);
        let running = control.rooms.iter().map(|(room, running)| (*room, running.published.is_owner()));
        control.drain.shown(running);
        while let Some(act) = self.nodes[n].control.drain.poll(now) {
            match act {
                DrainAct::Offer(room) => {
                    let ranked = self.heirs(n, room);
                    self.tell_room(n, room, Event::Transfer { to: None, ranked, asker: Asker::Drain });
                }
                DrainAct::StepAside(room) => self.tell_room(n, room, Event::StepAside),
            }
        }
    }

    /// The other origins that could take a room, the best first.
    pub(super) fn heirs(&self, n: NodeIx, room: RoomIx) -> Vec<stentor_ids::NodeId> {
        let origins = self.candidates(n, |node| node.roles.origin);
        heirs(&self.rooms[room], &origins, self.dir.schema[room], &self.nodes[n].id)
    }

    /// What came of an offer.
    pub(super) fn offered(&mut self, n: NodeIx, room: RoomIx, outcome: Result<Successor, Fault>) {
        self.note(Note::Transfers { room, node: n, goes: outcome.is_ok() });
        let now = self.time();
        self.nodes[n].control.drain.offered(now, &room, outcome.map(drop));
    }

    /// A mirror was told to step aside.
    pub(super) fn stepped_aside(&mut self, n: NodeIx, room: RoomIx) {
        let now = self.time();
        self.nodes[n].control.drain.stepped_aside(now, &room);
    }

    /// A room's actor has failed, and what it was asked with it.
    pub(super) fn unanswered(&mut self, n: NodeIx, room: RoomIx) {
        let (now, fault) = (self.time(), restarting(&self.rooms[room]));
        let drain = &mut self.nodes[n].control.drain;
        drain.offered(now, &room, Err(fault));
        drain.stepped_aside(now, &room);
    }
}
