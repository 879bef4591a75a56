//! Packets of an Ogg/Opus stream (RFC 3533, RFC 7845), untouched. Links of a chained stream follow each other; other
//! streams multiplexed with the Opus one are left out.

use std::io::{self, Read, Seek, SeekFrom};

use ogg::PacketReader;

use super::error::{Bytes, SourceError, bad};

pub(super) struct OggPackets {
    reader: PacketReader<Pipe>,
    /// The Opus stream that is being read.
    serial: Option<u32>,
    /// Whether its comment header is still to come.
    comments_ahead: bool,
}

impl OggPackets {
    /// Reads up to the end of the first page.
    pub(super) fn open(name: &str, bytes: Bytes) -> Result<Self, SourceError> {
        let mut packets =
            Self { reader: PacketReader::new(Pipe(bytes)), serial: None, comments_ahead: false };
        while packets.serial.is_none() {
            let packet =
                packets.read(name)?.ok_or_else(|| bad(name, "it is Ogg, and holds no Opus stream"))?;
            packets.take_head(name, &packet)?;
        }
        Ok(packets)
    }

    pub(super) fn next(&mut self, name: &str) -> Result<Option<bytes::Bytes>, SourceError> {
        while let Some(packet) = self.read(name)? {
            if packet.first_in_stream() {
                self.take_head(name, &packet)?;
            } else if Some(packet.stream_serial()) == self.serial && !std::mem::take(&mut self.comments_ahead)
            {
                return Ok(Some(packet.data.into()));
            }
        }
        Ok(None)
    }

    fn read(&mut self, name: &str) -> Result<Option<ogg::Packet>, SourceError> {
        self.reader.read_packet().map_err(|error| bad(name, format!("it is not sound Ogg: {error}")))
    }

    /// The first packet of a logical stream (RFC 7845, section 5.1).
    fn take_head(&mut self, name: &str, packet: &ogg::Packet) -> Result<(), SourceError> {
        let Some(head) = packet.data.strip_prefix(b"OpusHead") else { return Ok(()) };
        match head {
            [version, channels @ 1..=2, _, _, _, _, _, _, _, _, 0, ..]
                if version >> 4 == 0 && *channels > 0 =>
            {
                (self.serial, self.comments_ahead) = (Some(packet.stream_serial()), true);
                Ok(())
            }
            _ => Err(bad(
                name,
                "its Opus stream is not plain mono or stereo; encode it again with one channel",
            )),
        }
    }
}

/// The Ogg reader asks for `Seek` and does not seek while it reads packets.
struct Pipe(Bytes);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for Pipe {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use ogg::{PacketWriteEndInfo, PacketWriter};
    use proptest::prelude::*;
    use stentor_mix::SILENCE;

    use super::super::Source;

    const HEAD: &[u8] = b"OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00";

    fn stream(out: &mut Vec<u8>, serial: u32, head: &[u8], packets: &[&[u8]]) {
        let mut writer = PacketWriter::new(out);
        let mut write =
            |packet: &[u8], end, at| writer.write_packet(packet.to_vec(), serial, end, at).unwrap();
        write(head, PacketWriteEndInfo::EndPage, 0);
        write(b"OpusTags\0\0\0\0\0\0\0\0", PacketWriteEndInfo::EndPage, 0);
        for (i, packet) in packets.iter().enumerate() {
            let last = i + 1 == packets.len();
            let end = if last { PacketWriteEndInfo::EndStream } else { PacketWriteEndInfo::NormalPacket };
            write(packet, end, 960 * (i as u64 + 1));
        }
    }

    fn packets(bytes: Vec<u8>) -> Result<usize, String> {
        let mut source =
            Source::reader("pipe", std::io::Cursor::new(bytes)).map_err(|error| error.to_string())?;
        let mut count = 0;
        while source.next_packet().map_err(|error| error.to_string())?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn chained_streams_are_read_one_after_the_other_without_their_headers() {
        let mut bytes = Vec::new();
        stream(&mut bytes, 1, HEAD, &[SILENCE; 3]);
        stream(&mut bytes, 2, b"\x80theora", &[b"video"]);
        stream(&mut bytes, 3, HEAD, &[SILENCE; 4]);
        assert_eq!(packets(bytes), Ok(7));
    }

    #[test]
    fn ogg_without_opus_and_opus_of_many_channels_are_refused() {
        let mut vorbis = Vec::new();
        stream(&mut vorbis, 1, b"\x01vorbis", &[b"x"]);
        assert!(packets(vorbis).unwrap_err().contains("holds no Opus stream"));
        let mut surround = Vec::new();
        stream(&mut surround, 1, b"OpusHead\x01\x06\x38\x01\x80\xbb\x00\x00\x00\x00\x01", &[SILENCE]);
        assert!(packets(surround).unwrap_err().contains("mono or stereo"));
    }

    #[test]
    fn a_packet_of_a_length_that_no_room_takes_is_named_by_its_number() {
        let mut bytes = Vec::new();
        // Configuration 28 is CELT of 2.5 ms.
        stream(&mut bytes, 1, HEAD, &[SILENCE, &[28 << 3, 0xff, 0xfe]]);
        let error = packets(bytes).unwrap_err();
        assert!(error.contains("packet 2") && error.contains("-frame_duration 20"), "{error}");
    }

    #[test]
    fn a_stream_that_breaks_off_is_spoken_as_far_as_it_goes_or_refused() {
        let mut bytes = Vec::new();
        stream(&mut bytes, 1, HEAD, &[SILENCE; 50]);
        for cut in [bytes.len() - 1, bytes.len() / 2, 60, 30] {
            let _ = packets(bytes[..cut].to_vec());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn garbage_never_panics(garbage: Vec<u8>, at in 0_usize..400, with: u8) {
            let mut bytes = Vec::new();
            stream(&mut bytes, 1, HEAD, &[SILENCE; 50]);
            let at = at % bytes.len();
            bytes[at] ^= with;
            let _ = packets(bytes);
            let _ = packets([b"OggS", garbage.as_slice()].concat());
            let _ = packets([b"RIFF", garbage.as_slice()].concat());
        }
    }
}
