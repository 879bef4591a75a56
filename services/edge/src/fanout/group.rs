//! The listeners of one room on one shard who take it cut the same way, and the last two seconds of pages that they are served from.

use std::collections::VecDeque;

use slab::Slab;
use stentor_ids::{RoomId, SLOTS_PER_SECOND};
use stentor_relay::Output;
use stentor_telemetry::Leave;

use super::session::{Fate, Session};
use crate::ogg::{Cut, FIRST_AUDIO, Page, Pager, checksum, header_pages, last_page};

/// Audio that a ring holds: what a listener may fall behind before it is skipped forward. The kernel's socket buffer
/// holds some more.
const RING_SLOTS: u64 = 2 * SLOTS_PER_SECOND;

/// The newest pages of a group, numbered from 0 as they came, and those that every stream begins and ends with. Beyond its
/// bound the oldest goes.
#[derive(Debug)]
pub(super) struct Ring {
    pages: VecDeque<Page>,
    start: u64,
    bound: usize,
    headers: [Page; FIRST_AUDIO as usize],
    last: Page,
}

/// One room's listeners who take it cut the same way.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) room: RoomId,
    pub(super) cut: Cut,
    pub(super) sessions: Slab<Session>,
    ring: Ring,
    pager: Pager,
}

impl Ring {
    fn new(serial: u32, cut: Cut) -> Self {
        // One page more than the audio, so that the longest pages leave time to take one.
        let bound = (RING_SLOTS / cut.page.slots()) as usize + 1;
        let (headers, last) = (header_pages(serial), last_page(serial));
        Self { pages: VecDeque::with_capacity(bound), start: 0, bound, headers, last }
    }

    fn push(&mut self, page: Page) {
        if self.pages.len() == self.bound {
            self.pages.pop_front();
            self.start += 1;
        }
        self.pages.push_back(page);
    }

    /// Number of the oldest page held.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Number that the next page will have.
    pub(super) fn end(&self) -> u64 {
        self.start + self.pages.len() as u64
    }

    pub(super) fn get(&self, number: u64) -> Option<&Page> {
        self.pages.get(usize::try_from(number.checked_sub(self.start)?).ok()?)
    }

    /// The pages that every stream begins with.
    pub(super) fn headers(&self) -> &[Page] {
        &self.headers
    }

    /// The page that every stream ends with.
    pub(super) fn last(&self) -> &Page {
        &self.last
    }
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
