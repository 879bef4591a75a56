//! Where what was heard goes: an Ogg/Opus file, PCM, or nowhere. A sink is given each slot at most once, in order.

use std::{
    io::{self, Write},
    time::Duration,
};

use bytes::Bytes;
use ogg::{PacketWriteEndInfo, PacketWriter};
use stentor_ids::{SLOT_SAMPLES, Slot};
use stentor_mix::{CodecError, Decoder, Packet, SILENCE};

/// Takes the audio of a room.
pub trait Sink: Send {
    /// The packet of a slot. Slots rise; those in between were not given.
    ///
    /// # Errors
    /// It cannot be written; the listener stops.
    fn frame(&mut self, slot: Slot, opus: &Bytes) -> io::Result<()>;

    /// Nothing follows.
    ///
    /// # Errors
    /// It cannot be written.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps nothing.
impl Sink for () {
    fn frame(&mut self, _: Slot, _: &Bytes) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Box<dyn Sink> {
    fn frame(&mut self, slot: Slot, opus: &Bytes) -> io::Result<()> {
        (**self).frame(slot, opus)
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }
}

/// The one logical stream of the file.
const SERIAL: u32 = 0x5354_4E54;
/// What a player throws away at the start: 80 ms, in which a decoder that joined in the middle settles (RFC 7845,
/// section 4.2).
const PRE_SKIP: u16 = 3840;
/// Slots of an Ogg page: a file that is being written is at most half a second behind.
const PAGE_SLOTS: u64 = 25;
/// Missing slots that are filled one by one, a minute. A longer gap is a jump of the granule position, so that a file
/// cannot grow without anybody speaking.
const FILLED_SLOTS: u64 = 3000;

/// An Ogg/Opus file (RFC 7845). Missing slots are filled with silence, so that every sound stands at its time.
pub struct OggSink<W: Write> {
    writer: PacketWriter<'static, W>,
    /// Slot and packet to be written next: the last one has to say that it is.
    held: Option<(Slot, Bytes)>,
    first: Option<Slot>,
}

impl<W: Write> OggSink<W> {
    /// Writes the two headers.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(writer: W) -> io::Result<Self> {
        let mut writer = PacketWriter::new(writer);
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend_from_slice(&PRE_SKIP.to_le_bytes());
        // Input rate 48 kHz, no gain, channel mapping family 0.
        head.extend_from_slice(&48_000_u32.to_le_bytes());
        head.extend_from_slice(&[0, 0, 0]);
        writer.write_packet(head, SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        let vendor = b"stentor";
        let mut tags = b"OpusTags".to_vec();
        tags.extend_from_slice(&(vendor.len() as u32).to_le_bytes());
        tags.extend_from_slice(vendor);
        tags.extend_from_slice(&0_u32.to_le_bytes());
        writer.write_packet(tags, SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        Ok(Self { writer, held: None, first: None })
    }

    /// The writer. What [`Sink::finish`] has not written is lost.
    pub fn into_inner(self) -> W {
        self.writer.into_inner()
    }

    fn write(&mut self, slot: Slot, opus: Bytes, last: bool) -> io::Result<()> {
        let first = *self.first.get_or_insert(slot);
        let end = match slot.since(first) {
            _ if last => PacketWriteEndInfo::EndStream,
            index if index % PAGE_SLOTS == PAGE_SLOTS - 1 => PacketWriteEndInfo::EndPage,
            _ => PacketWriteEndInfo::NormalPacket,
        };
        // Time from the first slot to the end of this packet, pre-skip counted in.
        let granule = (slot.since(first) + 1).saturating_mul(SLOT_SAMPLES as u64);
        self.writer.write_packet(Vec::from(opus), SERIAL, end, granule)
    }
}

impl<W: Write + Send> Sink for OggSink<W> {
    fn frame(&mut self, slot: Slot, opus: &Bytes) -> io::Result<()> {
        let fits = Packet::parse(opus.clone()).is_ok_and(|packet| packet.samples() == SLOT_SAMPLES);
        let opus = if fits { opus.clone() } else { Bytes::from_static(SILENCE) };
        if let Some((before, packet)) = self.held.replace((slot, opus)) {
            self.write(before, packet, false)?;
            let missing = slot.since(before.next());
            for offset in 0..missing.min(FILLED_SLOTS) {
                self.write(before.next().plus(offset), Bytes::from_static(SILENCE), false)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let (slot, opus) = self.held.take().unwrap_or((Slot(0), Bytes::from_static(SILENCE)));
        self.write(slot, opus, true)?;
        self.writer.inner_mut().flush()
    }
}

/// PCM in memory: mono at 48 kHz, full scale ±1. Missing slots are concealed as a player does it.
pub struct Pcm {
    decoder: Decoder,
    next: Option<Slot>,
    samples: Vec<f32>,
    limit: usize,
}

impl Pcm {
    /// Keeps the first `limit` of what it is given; a minute takes 11.5 MB.
    ///
    /// # Errors
    /// When libopus has no memory.
    pub fn new(limit: Duration) -> Result<Self, CodecError> {
        let limit = usize::try_from(limit.as_millis() * 48).unwrap_or(usize::MAX);
        Ok(Self { decoder: Decoder::new()?, next: None, samples: Vec::new(), limit })
    }

    /// The samples from the first slot on.
    #[must_use]
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }
}

impl Sink for Pcm {
    fn frame(&mut self, slot: Slot, opus: &Bytes) -> io::Result<()> {
        let missing = self.next.map_or(0, |next| slot.since(next));
        self.next = Some(slot.next());
        for _ in 0..missing {
            if self.samples.len() >= self.limit {
                return Ok(());
            }
            self.decoder.conceal(SLOT_SAMPLES, &mut self.samples).map_err(io::Error::other)?;
        }
        if self.samples.len() < self.limit {
            let packet = Packet::parse(opus.clone()).map_err(io::Error::other)?;
            self.decoder.decode(&packet, &mut self.samples).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stentor_mix::{Encoder, EncoderConfig};

    use super::*;
    use crate::Source;

    fn tone(slots: usize) -> Vec<Bytes> {
        let mut encoder = Encoder::new(EncoderConfig::default()).unwrap();
        let sample = |i: usize| 0.3 * (i as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin();
        let pcm: Vec<f32> = (0..slots * SLOT_SAMPLES).map(sample).collect();
        pcm.chunks(SLOT_SAMPLES).map(|pcm| encoder.encode(pcm).unwrap()).collect()
    }

    fn file(slots: &[u64]) -> Vec<u8> {
        let mut sink = OggSink::new(Vec::new()).unwrap();
        for (opus, slot) in tone(slots.len()).iter().zip(slots) {
            sink.frame(Slot(*slot), opus).unwrap();
        }
        sink.finish().unwrap();
        sink.into_inner()
    }

    fn granules(bytes: &[u8]) -> Vec<u64> {
        let mut reader = ogg::PacketReader::new(io::Cursor::new(bytes));
        let mut granules = Vec::new();
        while let Some(packet) = reader.read_packet().unwrap() {
            granules.push(packet.absgp_page());
        }
        granules
    }

    #[test]
    fn a_file_is_read_back_packet_by_packet() {
        let bytes = file(&(700..760).collect::<Vec<_>>());
        let mut source = Source::reader("memory", io::Cursor::new(bytes.clone())).unwrap();
        let heard: Vec<Bytes> =
            std::iter::from_fn(|| source.next_packet().unwrap()).map(Packet::into_bytes).collect();
        assert_eq!(heard, tone(60));
        assert_eq!(granules(&bytes).last(), Some(&(60 * 960)));
    }

    #[test]
    fn a_gap_is_filled_with_silence_so_that_time_stays_true() {
        let bytes = file(&[5, 6, 9, 10]);
        let mut source = Source::reader("memory", io::Cursor::new(bytes.clone())).unwrap();
        let silent: Vec<bool> = std::iter::from_fn(|| source.next_packet().unwrap())
            .map(|packet| packet.bytes() == SILENCE)
            .collect();
        assert_eq!(silent, [false, false, true, true, false, false]);
        assert_eq!(granules(&bytes).last(), Some(&(6 * 960)));
    }

    #[test]
    fn an_hour_without_audio_is_a_jump_in_time_and_not_an_hour_of_silence() {
        let bytes = file(&[0, 180_000, 180_001]);
        assert!(bytes.len() < 40_000, "{} bytes", bytes.len());
        assert_eq!(granules(&bytes).last(), Some(&(180_002 * 960)));
    }

    #[test]
    fn a_file_without_a_frame_is_still_a_file() {
        let bytes = file(&[]);
        assert_eq!(granules(&bytes).len(), 3);
    }

    #[test]
    fn a_packet_of_another_length_than_a_slot_is_replaced_by_silence() {
        let mut sink = OggSink::new(Vec::new()).unwrap();
        for (slot, opus) in [&b""[..], &[0xff; 9], &[3 << 3, 0], SILENCE].into_iter().enumerate() {
            sink.frame(Slot(slot as u64), &Bytes::from_static(opus)).unwrap();
        }
        sink.finish().unwrap();
        assert_eq!(granules(&sink.into_inner()).last(), Some(&(4 * 960)));
    }

    #[test]
    fn pcm_is_as_long_as_the_slots_it_spans_and_no_longer_than_its_limit() {
        let mut pcm = Pcm::new(Duration::from_millis(200)).unwrap();
        for (opus, slot) in tone(6).iter().zip([0, 1, 2, 5, 6, 7]) {
            pcm.frame(Slot(slot), opus).unwrap();
        }
        let samples = pcm.into_samples();
        assert_eq!(samples.len(), 8 * SLOT_SAMPLES);
        assert!(samples.iter().any(|sample| *sample > 0.2));
        let mut short = Pcm::new(Duration::from_millis(200)).unwrap();
        short.frame(Slot(0), &tone(1)[0]).unwrap();
        short.frame(Slot(u64::MAX), &tone(1)[0]).unwrap();
        assert_eq!(short.into_samples().len(), 10 * SLOT_SAMPLES);
    }
}
