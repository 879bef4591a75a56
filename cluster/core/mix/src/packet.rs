//! An Opus packet that has been checked at the door: its framing is sound (RFC 6716, section 3) and it lasts
//! 10, 20, 40 or 60 ms.
//!
//! Only the framing is read. What the frames hold is the decoder's business; an Opus decoder gives *some*
//! audio for any bytes inside sound framing, so that a `Packet` never makes one fail.

use std::time::Duration;

use bytes::Bytes;

/// Longest packet taken from anybody. 60 ms at the highest bit rate of a room (96 kbit/s) is 720 bytes and
/// the longest Opus frame is 1275; 1500 is also what fits into one Ethernet frame, so nothing that came over
/// UDP is longer.
pub const MAX_PACKET_BYTES: usize = 1500;

/// Longest single frame (RFC 6716, section 3.4, R2).
const MAX_FRAME_BYTES: usize = 1275;
/// 120 ms at 48 kHz: longest packet that Opus allows (R5).
const MAX_PACKET_SAMPLES: usize = 5760;
/// 10, 20, 40 and 60 ms at 48 kHz: what encoders for speech send. Shorter packets cost more to carry than
/// they save in delay, longer ones hold speech back.
const TAKEN_SAMPLES: [usize; 4] = [480, 960, 1920, 2880];

/// A checked Opus packet. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    bytes: Bytes,
    samples: u16,
    frames: u8,
    longest_frame: u16,
}

/// Why bytes are not an Opus packet that a room takes. The rule numbers are those of RFC 6716, section 3.4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPacket {
    /// No bytes at all (R1).
    #[error("the Opus packet is empty")]
    Empty,
    /// More than [`MAX_PACKET_BYTES`].
    #[error("the Opus packet has {0} bytes; at most {MAX_PACKET_BYTES} are taken")]
    TooLong(usize),
    /// A frame has more than 1275 bytes (R2).
    #[error("a frame of the Opus packet has {0} bytes; at most {MAX_FRAME_BYTES} are allowed")]
    FrameTooLong(usize),
    /// Frame lengths, padding and packet length do not fit together (R3, R4, R6, R7).
    #[error("the Opus packet's frames do not fill it: {0}")]
    Framing(&'static str),
    /// Sound, but not 10, 20, 40 or 60 ms long (or longer than 120 ms: R5).
    #[error("the Opus packet lasts {:?}; 10, 20, 40 and 60 ms are taken", to_duration(*.0))]
    Duration(usize),
}

impl Packet {
    /// Checks the framing of `bytes`.
    ///
    /// # Errors
    /// [`InvalidPacket`] says which rule is broken. A packet of a duration that no room takes is refused as
    /// well.
    pub fn parse(bytes: Bytes) -> Result<Self, InvalidPacket> {
        if bytes.len() > MAX_PACKET_BYTES {
            return Err(InvalidPacket::TooLong(bytes.len()));
        }
        let (&toc, body) = bytes.split_first().ok_or(InvalidPacket::Empty)?;
        let (frames, longest) = match toc & 3 {
            0 => (1, body.len()),
            1 => two_equal_frames(body)?,
            2 => two_frames(body)?,
            _ => counted_frames(toc, body)?,
        };
        if longest > MAX_FRAME_BYTES {
            return Err(InvalidPacket::FrameTooLong(longest));
        }
        let samples = frames * frame_samples(toc);
        if !TAKEN_SAMPLES.contains(&samples) {
            return Err(InvalidPacket::Duration(samples));
        }
        // The bounds checked above are far below those of the narrower integers.
        Ok(Self { samples: samples as u16, frames: frames as u8, longest_frame: longest as u16, bytes })
    }

    /// Length in samples at 48 kHz: 480, 960, 1920 or 2880.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples.into()
    }

    /// Length in time: 10, 20, 40 or 60 ms.
    #[must_use]
    pub fn duration(&self) -> Duration {
        to_duration(self.samples())
    }

    /// How many Opus frames it holds, 1 to 6.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames.into()
    }

    /// Whether it was encoded in two channels. Decoding mixes them down.
    #[must_use]
    pub fn is_stereo(&self) -> bool {
        self.bytes[0] & 4 != 0
    }

    /// Whether it says "nothing to hear": an encoder in DTX (discontinuous transmission) sends frames of at
    /// most one byte, and decoders treat such frames as lost ones (RFC 6716, section 2.1.9).
    #[must_use]
    pub fn is_dtx(&self) -> bool {
        self.longest_frame <= 1
    }

    /// The packet as it travels.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The packet as it travels.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packet({:?}, {} bytes)", self.duration(), self.bytes.len())
    }
}

impl TryFrom<Bytes> for Packet {
    type Error = InvalidPacket;
    fn try_from(bytes: Bytes) -> Result<Self, InvalidPacket> {
        Self::parse(bytes)
    }
}

/// Time that `samples` at 48 kHz take.
pub(crate) fn to_duration(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 1_000 / 48)
}

/// Samples at 48 kHz in each frame of a packet with this TOC byte (section 3.1, table 2).
fn frame_samples(toc: u8) -> usize {
    let config = usize::from(toc >> 3);
    match config {
        0..=11 => [480, 960, 1920, 2880][config % 4],
        12..=15 => [480, 960][config % 2],
        _ => [120, 240, 480, 960][config % 4],
    }
}

type Frames = (usize, usize);

/// Code 1: two frames of one length (section 3.2.3). Gives the number of frames and the longest, as the
/// others do.
fn two_equal_frames(body: &[u8]) -> Result<Frames, InvalidPacket> {
    if body.len() % 2 == 1 {
        return Err(InvalidPacket::Framing("two equal frames need an even number of bytes"));
    }
    Ok((2, body.len() / 2))
}

/// Code 2: two frames, the first with its length (section 3.2.4).
fn two_frames(body: &[u8]) -> Result<Frames, InvalidPacket> {
    let (first, rest) = frame_length(body)?;
    let second =
        rest.len().checked_sub(first).ok_or(InvalidPacket::Framing("the first frame overruns the packet"))?;
    Ok((2, first.max(second)))
}

/// Code 3: a frame count, optional padding, frames of one length or each with its own (section 3.2.5).
fn counted_frames(toc: u8, body: &[u8]) -> Result<Frames, InvalidPacket> {
    let (&head, body) = body.split_first().ok_or(InvalidPacket::Framing("the frame count is missing"))?;
    let (own_lengths, padded, frames) = (head & 0x80 != 0, head & 0x40 != 0, usize::from(head & 0x3f));
    if frames == 0 {
        return Err(InvalidPacket::Framing("the frame count is 0"));
    }
    if frames * frame_samples(toc) > MAX_PACKET_SAMPLES {
        return Err(InvalidPacket::Duration(frames * frame_samples(toc)));
    }
    let mut body = if padded { without_padding(body)? } else { body };
    if !own_lengths {
        if body.len() % frames != 0 {
            return Err(InvalidPacket::Framing("equal frames do not divide the packet"));
        }
        return Ok((frames, body.len() / frames));
    }
    let (mut total, mut longest) = (0, 0);
    for _ in 1..frames {
        let (length, rest) = frame_length(body)?;
        (total, longest, body) = (total + length, longest.max(length), rest);
    }
    let last =
        body.len().checked_sub(total).ok_or(InvalidPacket::Framing("the frames overrun the packet"))?;
    Ok((frames, longest.max(last)))
}

/// Reads the padding length and cuts the padding off the end.
fn without_padding(mut body: &[u8]) -> Result<&[u8], InvalidPacket> {
    let mut padding = 0;
    loop {
        let (&byte, rest) =
            body.split_first().ok_or(InvalidPacket::Framing("the padding length is cut off"))?;
        body = rest;
        // 255 stands for 254 bytes of padding and a further length byte.
        padding += usize::from(byte.min(254));
        if byte < 255 {
            break;
        }
    }
    let frames =
        body.len().checked_sub(padding).ok_or(InvalidPacket::Framing("the padding overruns the packet"))?;
    Ok(&body[..frames])
}

/// Reads a frame length of one or two bytes (section 3.2.1) and gives what follows.
fn frame_length(body: &[u8]) -> Result<(usize, &[u8]), InvalidPacket> {
    match *body {
        [length @ 0..=251, ref rest @ ..] => Ok((length.into(), rest)),
        [low, high, ref rest @ ..] => Ok((usize::from(high) * 4 + usize::from(low), rest)),
        _ => Err(InvalidPacket::Framing("a frame length is cut off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        match Packet::parse(Bytes::copy_from_slice(bytes)) {
            Ok(packet) => format!("{packet:?} in {}", packet.frames()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_packet_is_taken_or_refused_with_a_reason() {
        let long = [&[0x78][..], &[0; 1276]].concat();
        let cases: [(&[u8], &str); 13] = [
            (&[0xf8, 0xff, 0xfe], "Packet(20ms, 3 bytes) in 1"),
            (&[0x79, 1, 2, 3, 4], "Packet(40ms, 5 bytes) in 2"),
            (&[0x7b, 0x03, 1, 2, 3], "Packet(60ms, 5 bytes) in 3"),
            (&[0x70, 9], "Packet(10ms, 2 bytes) in 1"),
            (&[], "the Opus packet is empty"),
            (&[0; 1501], "the Opus packet has 1501 bytes; at most 1500 are taken"),
            (&long, "a frame of the Opus packet has 1276 bytes; at most 1275 are allowed"),
            (&[0xe0, 9], "the Opus packet lasts 2.5ms; 10, 20, 40 and 60 ms are taken"),
            (&[0x7b, 0x04, 1, 2, 3, 4], "the Opus packet lasts 80ms; 10, 20, 40 and 60 ms are taken"),
            (
                &[0x79, 1, 2, 3],
                "the Opus packet's frames do not fill it: two equal frames need an even number of bytes",
            ),
            (&[0x7a, 9, 1], "the Opus packet's frames do not fill it: the first frame overruns the packet"),
            (&[0x7b], "the Opus packet's frames do not fill it: the frame count is missing"),
            (&[0x7b, 0x41, 255], "the Opus packet's frames do not fill it: the padding length is cut off"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(told(bytes), expected);
        }
    }

    #[test]
    fn channels_and_pauses_are_told() {
        let packet = |bytes: &'static [u8]| Packet::parse(Bytes::from_static(bytes)).unwrap();
        assert!(packet(&[0xfc, 0xff, 0xfe]).is_stereo() && !packet(&[0xf8, 0xff, 0xfe]).is_stereo());
        assert!(
            packet(&[0x78]).is_dtx()
                && packet(&[0x79, 0, 0]).is_dtx()
                && !packet(&[0xf8, 0xff, 0xfe]).is_dtx()
        );
    }
}
