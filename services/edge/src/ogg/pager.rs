//! Slots in, pages out: cuts a room's audio into pages, aligned to multiples of their length, so that every shard
//! and every edge cuts alike.
//!
//! Invariants: granule positions rise from page to page; a slot is in at most one page.

use stentor_ids::{SLOT_SAMPLES, Slot};
use stentor_mix::SILENCE;

use super::{
    cut::Cut,
    page::{Kind, Packets, Page},
};

/// Longest gap that is filled with silence, so that time stays true: half a second. After a longer one the granule
/// position jumps; filling it late would put every listener behind live by as much, for good.
pub(crate) const MAX_FILL: u64 = 25;
/// Samples a player throws away at the start: 80 ms, what a decoder needs to converge when it joins in the middle (RFC
/// 7845, section 4.6).
const PRE_SKIP: u16 = 3840;
/// The granule position of a page on which no packet ends (RFC 3533, section 6).
const NO_GRANULE: u64 = u64::MAX;

/// Who made the stream, in its tags.
const VENDOR: &[u8] = b"stentor";
/// Sequence number of a listener's first audio page: two header pages come before it.
pub(crate) const FIRST_AUDIO: u32 = 2;

/// Cuts one room's slots into pages, all in one way.
#[derive(Debug)]
pub(crate) struct Pager {
    serial: u32,
    cut: Cut,
    packets: Packets,
    /// A packet with its padding, on its way into a page.
    padded: Vec<u8>,
    /// The first slot that has not been taken.
    next: Option<Slot>,
}

impl Pager {
    /// A pager whose stream has this serial number.
    pub(crate) fn new(serial: u32, cut: Cut) -> Self {
        Self { serial, cut, packets: Packets::default(), padded: Vec::new(), next: None }
    }

    /// Takes the packet of a slot and hands finished pages to `out`. A slot that was passed already is left out; slots
    /// that were passed over are a gap.
    pub(crate) fn frame(&mut self, slot: Slot, opus: &[u8], out: &mut impl FnMut(Page)) {
        let next = self.next.unwrap_or(slot);
        if slot < next {
            return;
        }
        self.gap(next, slot.since(next), out);
        self.take(slot, opus, out);
    }

    /// Takes `count` slots from `slot` on that nobody has. Up to half a second becomes silence; a longer gap ends the
    /// page under way and becomes a jump of the granule position.
    pub(crate) fn gap(&mut self, slot: Slot, count: u64, out: &mut impl FnMut(Page)) {
        let end = slot.plus(count);
        // What lies between the last slot and this gap was not told, and is part of it.
        let start = self.next.unwrap_or(slot);
        if end.since(start) > MAX_FILL {
            self.flush(out);
            self.next = Some(end);
            return;
        }
        for slot in (start.0..end.0).map(Slot) {
            self.take(slot, SILENCE, out);
        }
    }

    /// Ends the page under way, however short.
    pub(crate) fn flush(&mut self, out: &mut impl FnMut(Page)) {
        let Some(next) = self.next.filter(|_| !self.packets.is_empty()) else { return };
        let granule = next.0.saturating_mul(SLOT_SAMPLES as u64);
        out(self.packets.page(Kind::Middle, granule, self.serial));
    }

    fn take(&mut self, slot: Slot, packet: &[u8], out: &mut impl FnMut(Page)) {
        self.cut.pad.write(packet, &mut self.padded);
        if !self.packets.push(&self.padded) {
            self.flush(out);
            // An empty page takes any packet that is an Opus packet; what is longer than a page is left out.
            self.packets.push(&self.padded);
        }
        self.next = Some(slot.next());
        if slot.next().0.is_multiple_of(self.cut.page.slots()) {
            self.flush(out);
        }
    }
}

/// The pages that a stream starts with, `OpusHead` and `OpusTags` (RFC 7845, section 5). Audio goes on with
/// [`FIRST_AUDIO`].
pub(crate) fn header_pages(serial: u32) -> [Page; FIRST_AUDIO as usize] {
    let mut head = Vec::from(*b"OpusHead");
    // Version 1, one channel.
    head.extend_from_slice(&[1, 1]);
    head.extend_from_slice(&PRE_SKIP.to_le_bytes());
    head.extend_from_slice(&48_000_u32.to_le_bytes());
    // No output gain, mapping family 0.
    head.extend_from_slice(&[0, 0, 0]);
    let mut tags = Vec::from(*b"OpusTags");
    tags.extend_from_slice(&(VENDOR.len() as u32).to_le_bytes());
    tags.extend_from_slice(VENDOR);
    tags.extend_from_slice(&0_u32.to_le_bytes());
    [(head, Kind::First), (tags, Kind::Middle)].map(|(packet, kind)| {
        let mut packets = Packets::default();
        packets.push(&packet);
        packets.page(kind, 0, serial)
    })
}

/// The page that ends a stream. It holds no packet, so that it fits behind any page.
pub(crate) fn last_page(serial: u32) -> Page {
    Packets::default().page(Kind::Last, NO_GRANULE, serial)
}
