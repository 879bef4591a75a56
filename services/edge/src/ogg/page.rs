//! Ogg pages (RFC 3533, section 6). It knows nothing of what the packets hold.
//!
//! Every page holds whole packets: a packet of a room is far shorter than the 65,025 bytes that one page can take, so
//! none is ever continued on a next page.
//!
//! A page is built once for everyone with the sequence number 0, and gets a listener's own number when it is sent: an Ogg
//! reader takes a stream for damaged that does not begin at 0 and count on from there. The checksum is linear, so a new
//! number changes it by an amount that depends on nothing but the number and the page's length.

use std::ops::Range;

use bytes::Bytes;

/// Most entries of a page's segment table.
pub(super) const MAX_SEGMENTS: usize = 255;
/// Bytes of a page before its segment table.
const FIXED_BYTES: usize = 27;
/// Where in a page its sequence number stands.
const SEQUENCE: Range<usize> = 18..22;
/// Where in a page its checksum stands.
const CHECKSUM: Range<usize> = 22..26;
/// The generator polynomial of the checksum, which starts at 0 and reflects nothing.
const POLYNOMIAL: u32 = 0x04c1_1db7;

/// What a page is in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Begins the stream.
    First,
    /// Any other.
    Middle,
    /// Ends the stream.
    Last,
}

/// Entries of the segment table that a packet of so many bytes takes.
pub(super) const fn segments(bytes: usize) -> usize {
    bytes / 255 + 1
}

/// The packets that will make up one page.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    count: u8,
    lacing: Vec<u8>,
    body: Vec<u8>,
}

impl Packets {
    /// Adds a packet if the page still has room for it, and says whether it did.
    pub(crate) fn push(&mut self, packet: &[u8]) -> bool {
        let segments = segments(packet.len());
        if self.lacing.len() + segments > MAX_SEGMENTS {
            return false;
        }
        self.lacing.resize(self.lacing.len() + segments - 1, 255);
        self.lacing.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
        self.count += 1;
        true
    }

    /// Whether no packet has been added.
    pub(crate) fn is_empty(&self) -> bool {
        self.lacing.is_empty()
    }

    /// Makes the page of what was added and starts the next one. `granule` is the position at the end of its last packet.
    pub(crate) fn page(&mut self, kind: Kind, granule: u64, serial: u32) -> Page {
        let mut page = Vec::with_capacity(FIXED_BYTES + self.lacing.len() + self.body.len());
        page.extend_from_slice(b"OggS\0");
        page.push(match kind {
            Kind::Middle => 0,
            Kind::First => 2,
            Kind::Last => 4,
        });
        page.extend_from_slice(&granule.to_le_bytes());
        page.extend_from_slice(&serial.to_le_bytes());
        page.extend_from_slice(&[0; SEQUENCE.end - SEQUENCE.start + CHECKSUM.end - CHECKSUM.start]);
        page.push(self.lacing.len() as u8);
        page.append(&mut self.lacing);
        page.append(&mut self.body);
        let sum = checksum(&page);
        page[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        let bits_after = 8 * (page.len() - SEQUENCE.end) as u32;
        let packets = std::mem::take(&mut self.count);
        Page { bytes: page.into(), packets, sum, weight: power_of_x(u32::BITS + bits_after) }
    }
}

/// A finished page, but for its sequence number.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    bytes: Bytes,
    packets: u8,
    sum: u32,
    /// What the checksum changes by when the lowest bit of the sequence number, read big-endian, does.
    weight: u32,
}

impl Page {
    /// Appends the page with a sequence number to `out`.
    pub(crate) fn write(&self, sequence: u32, out: &mut Vec<u8>) {
        let sum = self.sum ^ product(sequence.swap_bytes(), self.weight);
        out.extend_from_slice(&self.bytes[..SEQUENCE.start]);
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(&self.bytes[CHECKSUM.end..]);
    }

    /// How many packets it holds.
    pub(crate) fn packets(&self) -> u8 {
        self.packets
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The checksum of `bytes` as Ogg reckons it.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)])
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = times_x(sum);
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

/// A polynomial over GF(2) times x, modulo the generator; bit `i` is the coefficient of `x^i`.
const fn times_x(polynomial: u32) -> u32 {
    (polynomial << 1) ^ (if polynomial >> 31 == 1 { POLYNOMIAL } else { 0 })
}

/// The product of two polynomials, modulo the generator.
fn product(left: u32, right: u32) -> u32 {
    (0..u32::BITS).rev().fold(0, |sum, bit| times_x(sum) ^ (left & 0_u32.wrapping_sub(right >> bit & 1)))
}

/// `x^exponent`, modulo the generator.
fn power_of_x(exponent: u32) -> u32 {
    (0..u32::BITS).rev().fold(1, |power, bit| {
        let square = product(power, power);
        if exponent >> bit & 1 == 1 { times_x(square) } else { square }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_generator_polynomial() {
        // CRC-32 with this polynomial, start 0 and no reflection, of the usual check string.
        assert_eq!(checksum(b"123456789"), 0x89a1_897f);
    }

    #[test]
    fn a_page_renumbered_has_the_checksum_of_its_bytes() {
        for length in [0, 1, 80, 254, 5000] {
            let mut packets = Packets::default();
            packets.push(&vec![0x5a; length]);
            let page = packets.page(Kind::Middle, 960, 77);
            for sequence in [0, 1, 2, 255, 256, 0x0102_0304, u32::MAX] {
                let mut bytes = Vec::new();
                page.write(sequence, &mut bytes);
                assert_eq!(bytes[SEQUENCE], sequence.to_le_bytes());
                let told = u32::from_le_bytes(bytes[CHECKSUM].try_into().unwrap());
                bytes[CHECKSUM].fill(0);
                assert_eq!(told, checksum(&bytes), "{length} bytes, number {sequence}");
            }
        }
    }

    #[test]
    fn a_packet_that_fills_its_last_segment_is_closed_by_an_empty_one() {
        let mut packets = Packets::default();
        assert!(packets.push(&[7; 255]) && packets.push(&[]) && packets.push(&[8; 256]));
        let mut page = Vec::new();
        packets.page(Kind::Middle, 960, 0x0403_0201).write(9, &mut page);
        assert_eq!(&page[..6], b"OggS\0\0");
        assert_eq!(&page[14..22], [1, 2, 3, 4, 9, 0, 0, 0]);
        assert_eq!(&page[26..32], [5, 255, 0, 0, 255, 1]);
        assert_eq!(page.len(), 27 + 5 + 511);
        assert!(packets.is_empty());
    }

    #[test]
    fn a_page_takes_no_more_than_255_segments() {
        let mut packets = Packets::default();
        let taken = (0..100).take_while(|_| packets.push(&[0; 1500])).count();
        assert_eq!(taken, 255 / 6);
    }
}
