//! A room's audio as an endless Ogg/Opus stream (RFC 3533, RFC 7845): pages that are the same for every listener, and
//! the two header pages that each listener starts with. It knows no sockets and no HTTP.
//!
//! Positions are those of the room: the granule position after slot `s` is `(s + 1) × 960`, whenever and at whichever
//! edge a listener joins. Sequence numbers are each listener's own, from 0, and are written when a page is sent.

mod cut;
mod page;
mod pager;
#[cfg(test)]
mod tests;

pub(crate) use cut::{Cut, Pad, PageTime};
pub(crate) use page::{Page, checksum};
pub(crate) use pager::{FIRST_AUDIO, Pager, header_pages, last_page};
