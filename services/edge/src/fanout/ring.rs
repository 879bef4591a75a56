//! The last two seconds of pages of a group, from which its listeners are served.

use std::collections::VecDeque;

use stentor_ids::SLOTS_PER_SECOND;

use crate::ogg::{Cut, FIRST_AUDIO, Page, header_pages, last_page};

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

impl Ring {
    pub(super) fn new(serial: u32, cut: Cut) -> Self {
        // One page more than the audio, so that the longest pages leave time to take one.
        let bound = (RING_SLOTS / cut.page.slots()) as usize + 1;
        let (headers, last) = (header_pages(serial), last_page(serial));
        Self { pages: VecDeque::with_capacity(bound), start: 0, bound, headers, last }
    }

    pub(super) fn push(&mut self, page: Page) {
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
