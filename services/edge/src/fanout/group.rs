//! The listeners of one room on one shard who take it cut the same way, and the ring that they are served from.

use slab::Slab;
use stentor_ids::RoomId;
use stentor_relay::Output;
use stentor_telemetry::Leave;

use super::{
    ring::Ring,
    session::{Fate, Session},
};
use crate::ogg::{Cut, Pager, checksum};

/// One room's listeners who take it cut the same way.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) room: RoomId,
    pub(super) cut: Cut,
    pub(super) sessions: Slab<Session>,
    ring: Ring,
    pager: Pager,
}

impl Group {
    pub(super) fn new(room: RoomId, cut: Cut) -> Self {
        // One serial number for a room wherever it is heard, so that its stream at another edge looks the same.
        let serial = checksum(room.as_str().as_bytes());
        let (ring, pager) = (Ring::new(serial, cut), Pager::new(serial, cut));
        Self { room, cut, sessions: Slab::new(), ring, pager }
    }

    /// Takes what is played next, and says whether a page came of it.
    pub(super) fn play(&mut self, output: &Output) -> bool {
        let Self { ring, pager, .. } = self;
        let before = ring.end();
        match output {
            Output::Play(frame) => pager.frame(frame.slot, &frame.opus, &mut |page| ring.push(page)),
            Output::Gap { slot, count } => pager.gap(*slot, *count, &mut |page| ring.push(page)),
        }
        ring.end() > before
    }

    /// The room plays no more: what is left becomes a page.
    pub(super) fn flush(&mut self) {
        let Self { ring, pager, .. } = self;
        pager.flush(&mut |page| ring.push(page));
    }

    /// Where its listeners are served from.
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Visits every listener; those that go are told to `left`, and gone.
    pub(super) fn walk(
        &mut self,
        mut visit: impl FnMut(&mut Session, &Ring) -> Fate,
        mut left: impl FnMut(Leave),
    ) {
        let Self { ring, sessions, .. } = self;
        sessions.retain(|_, session| match visit(session, ring) {
            Ok(()) => true,
            Err(leave) => {
                left(leave);
                false
            }
        });
    }
}
