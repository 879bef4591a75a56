//! How a stream is cut, as its listener may ask: how much audio a page holds, and how many bytes a packet has at least.

use stentor_ids::SLOTS_PER_SECOND;

use super::page::{MAX_SEGMENTS, segments};

/// How a stream is cut. Listeners who ask for the same share its pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Cut {
    pub(crate) page: PageTime,
    pub(crate) pad: Pad,
}

impl Cut {
    /// A cut whose pages each fit into one Ogg page.
    ///
    /// # Errors
    /// The longest page time that does.
    pub(crate) fn new(page: PageTime, pad: Pad) -> Result<Self, PageTime> {
        let longest = PageTime((MAX_SEGMENTS / segments(pad.bytes() + PAD_OVERSHOOT)).min(50) as u8);
        if page.0 > longest.0 { Err(longest) } else { Ok(Self { page, pad }) }
    }
}

/// Length of a page in slots: 1 to 50, which is 20 to 1000 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PageTime(u8);

impl Default for PageTime {
    /// 100 ms: fewest writes that still leave a listener less than half a second behind live.
    fn default() -> Self {
        Self(5)
    }
}

impl PageTime {
    /// From milliseconds; `None` unless it is a multiple of 20 between 20 and 1000.
    pub(crate) fn from_millis(millis: u32) -> Option<Self> {
        (millis.is_multiple_of(20) && (20..=1000).contains(&millis)).then_some(Self((millis / 20) as u8))
    }

    /// In milliseconds.
    pub(crate) fn millis(self) -> u32 {
        u32::from(self.0) * 20
    }

    /// In slots.
    pub(crate) fn slots(self) -> u64 {
        self.0.into()
    }
}

/// Least bit rate of a stream: shorter packets are padded up to it. For players that hand media on in large blocks and
/// would wait long for one to fill: Chromium's `<audio>` takes 32 KiB at a time, which is 8 s of speech at 32 kbit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pad(u16);

impl Pad {
    /// Bit rates that may be asked for, in kbit/s. Few, since each makes pages of its own; at the highest such a player
    /// starts within half a second.
    const KBPS: [u16; 4] = [128, 256, 512, 1024];

    /// From kbit/s; `None` for a bit rate that is not offered.
    pub(crate) fn from_kbps(kbps: u16) -> Option<Self> {
        Self::KBPS.contains(&kbps).then_some(Self(kbps))
    }

    /// Least bytes of a packet of 20 ms; 0 for no padding.
    fn bytes(self) -> usize {
        usize::from(self.0) * 1000 / 8 / SLOTS_PER_SECOND as usize
    }

    /// Puts the packet into `out`, with padding behind its frame where it is shorter (RFC 6716, section 3.2.5). Only packets
    /// of one frame are padded; a room has no others.
    pub(crate) fn write(self, packet: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let Some((&toc, frame)) = packet.split_first().filter(|(toc, _)| **toc & 3 == 0) else {
            return out.extend_from_slice(packet);
        };
        if packet.len() >= self.bytes() {
            return out.extend_from_slice(packet);
        }
        // Two more bytes say that there are a count and padding; its length takes one, and one more for each 254.
        let padding = self.bytes().saturating_sub(packet.len() + 2);
        let padding = padding - padding / 255;
        out.extend_from_slice(&[toc | 3, PADDED | 1]);
        out.extend(std::iter::repeat_n(255, padding / 254));
        out.push((padding % 254) as u8);
        out.extend_from_slice(frame);
        out.resize(out.len() + padding, 0);
    }
}

/// Bytes that a padded packet may be longer than asked for: what tells of the padding.
const PAD_OVERSHOOT: usize = 3;
/// In the frame count byte of a code 3 packet: padding follows the frames.
const PADDED: u8 = 0x40;

#[cfg(test)]
mod tests {
    use stentor_mix::{Decoder, Encoder, EncoderConfig, Packet, SILENCE};

    use super::*;

    fn padded(kbps: u16, packet: &[u8]) -> Vec<u8> {
        let mut out = vec![7];
        Pad::from_kbps(kbps).unwrap_or_default().write(packet, &mut out);
        out
    }

    #[test]
    fn a_padded_packet_has_the_bytes_asked_for_and_the_same_sound() {
        let mut encoder = Encoder::new(EncoderConfig::default()).unwrap();
        let (mut plain, mut long) = (Decoder::new().unwrap(), Decoder::new().unwrap());
        let (mut plain_pcm, mut long_pcm) = (Vec::new(), Vec::new());
        for slot in 0..50 {
            let pcm: Vec<f32> = (0..960).map(|i| 0.3 * ((slot * 960 + i) as f32 * 0.05).sin()).collect();
            let packet = encoder.encode(&pcm).unwrap();
            let bytes = padded(256, &packet);
            assert!((640..=640 + PAD_OVERSHOOT).contains(&bytes.len()), "{}", bytes.len());
            plain.decode(&Packet::parse(packet).unwrap(), &mut plain_pcm).unwrap();
            long.decode(&Packet::parse(bytes.into()).unwrap(), &mut long_pcm).unwrap();
        }
        assert_eq!(plain_pcm, long_pcm);
    }

    #[test]
    fn every_length_pads_soundly_to_about_the_length_asked_for() {
        for kbps in Pad::KBPS {
            let floor = usize::from(kbps) * 5 / 2;
            for length in (3..floor).step_by(7) {
                let packet = [&[0xf8], vec![1; length - 1].as_slice()].concat();
                let bytes = padded(kbps, &packet);
                assert!(
                    (floor..=floor + PAD_OVERSHOOT).contains(&bytes.len()),
                    "{length} to {floor}: {}",
                    bytes.len()
                );
                if bytes.len() <= stentor_mix::MAX_PACKET_BYTES && length <= 1275 {
                    assert_eq!(Packet::parse(bytes.into()).unwrap().samples(), 960);
                }
            }
        }
    }

    #[test]
    fn a_packet_that_needs_no_padding_or_takes_none_is_left_as_it_is() {
        assert_eq!(padded(0, SILENCE), SILENCE);
        assert_eq!(padded(128, &[0xf8; 400]), [0xf8; 400]);
        // Two frames of 10 ms.
        assert_eq!(padded(128, &[0xf1, 1, 2]), [0xf1, 1, 2]);
        assert!(padded(128, &[]).is_empty());
        assert_eq!((Pad::from_kbps(64), Pad::from_kbps(0)), (None, None));
    }

    #[test]
    fn a_cut_that_does_not_fit_into_an_ogg_page_is_none() {
        let cut = |ms, kbps| {
            let cut = Cut::new(PageTime::from_millis(ms).unwrap(), Pad::from_kbps(kbps).unwrap_or_default());
            cut.map(|cut| cut.page.millis()).map_err(PageTime::millis)
        };
        assert_eq!((cut(1000, 0), cut(1000, 128), cut(1000, 256)), (Ok(1000), Ok(1000), Ok(1000)));
        assert_eq!((cut(1000, 512), cut(840, 512), cut(860, 512)), (Err(840), Ok(840), Err(840)));
        assert_eq!((cut(480, 1024), cut(460, 1024), cut(100, 1024)), (Err(460), Ok(460), Ok(100)));
    }

    #[test]
    fn a_page_time_is_a_multiple_of_20_ms_between_20_and_1000() {
        let slots = |ms| PageTime::from_millis(ms).map(PageTime::slots);
        assert_eq!((slots(20), slots(100), slots(1000)), (Some(1), Some(5), Some(50)));
        assert_eq!((slots(0), slots(30), slots(1020)), (None, None, None));
    }
}
