//! What a speaker says: Opus packets out of an Ogg/Opus or WAV file, or of a pipe. The kind is told by the first bytes,
//! not by the name.
//!
//! Reading blocks, so a source is read on a thread of its own. Invariant: every packet is one that a room takes.

mod error;
mod ogg;
mod wav;

use std::{
    fs::File,
    io::{BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use stentor_mix::Packet;

pub use self::error::SourceError;
use self::{
    error::{Bytes, bad},
    ogg::OggPackets,
    wav::WavPackets,
};

/// A source of Opus packets.
pub struct Source {
    name: String,
    origin: Origin,
    format: Format,
    repeated: bool,
    /// Packets since the source was last opened.
    number: u64,
}

/// Where a source can be had again.
enum Origin {
    File(PathBuf),
    Memory(&'static [u8]),
    Pipe,
}

enum Format {
    Ogg(OggPackets),
    Wav(Box<WavPackets>),
}

impl Source {
    /// An Ogg/Opus or WAV file. Its head is read at once.
    ///
    /// # Errors
    /// [`SourceError`] names the file and what is wrong with it.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        Self::open(path.display().to_string(), Origin::File(path.to_owned()))
    }

    /// The same, bundled with the program; `name` is how errors call it.
    ///
    /// # Errors
    /// As [`Source::file`].
    pub fn bundled(name: &str, bytes: &'static [u8]) -> Result<Self, SourceError> {
        Self::open(name.to_owned(), Origin::Memory(bytes))
    }

    /// The same out of a pipe. Blocks until its head is there.
    ///
    /// # Errors
    /// As [`Source::file`].
    pub fn reader(name: &str, reader: impl Read + Send + 'static) -> Result<Self, SourceError> {
        let format = Format::open(name, Box::new(BufReader::new(reader)))?;
        Ok(Self { name: name.to_owned(), origin: Origin::Pipe, format, repeated: false, number: 0 })
    }

    /// The same source, starting over at its end.
    ///
    /// # Errors
    /// [`SourceError::NotRepeatable`] for a pipe.
    pub fn repeated(self) -> Result<Self, SourceError> {
        match self.origin {
            Origin::Pipe => Err(SourceError::NotRepeatable { name: self.name }),
            Origin::File(_) | Origin::Memory(_) => Ok(Self { repeated: true, ..self }),
        }
    }

    fn open(name: String, origin: Origin) -> Result<Self, SourceError> {
        let format = Format::again(&name, &origin)?;
        Ok(Self { name, origin, format, repeated: false, number: 0 })
    }

    /// The next packet; none at the end. Blocks.
    ///
    /// # Errors
    /// [`SourceError`] says where and what.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, SourceError> {
        loop {
            let next = match &mut self.format {
                Format::Ogg(packets) => packets.next(&self.name)?,
                Format::Wav(packets) => packets.next(&self.name)?,
            };
            if let Some(bytes) = next {
                self.number += 1;
                let (name, number) = (&self.name, self.number);
                let told = |error| SourceError::Packet { name: name.clone(), number, error };
                return Packet::parse(bytes).map(Some).map_err(told);
            }
            if self.number == 0 {
                return Err(bad(&self.name, "it holds no audio"));
            }
            if !self.repeated {
                return Ok(None);
            }
            self.format = Format::again(&self.name, &self.origin)?;
            self.number = 0;
        }
    }
}

impl Format {
    fn again(name: &str, origin: &Origin) -> Result<Self, SourceError> {
        match origin {
            Origin::File(path) => {
                let file =
                    File::open(path).map_err(|error| SourceError::Io { name: name.to_owned(), error })?;
                Self::open(name, Box::new(BufReader::new(file)))
            }
            Origin::Memory(bytes) => Self::open(name, Box::new(*bytes)),
            Origin::Pipe => Err(SourceError::NotRepeatable { name: name.to_owned() }),
        }
    }

    fn open(name: &str, mut bytes: Bytes) -> Result<Self, SourceError> {
        let mut start = Vec::new();
        let read = bytes.by_ref().take(4).read_to_end(&mut start);
        read.map_err(|error| SourceError::Io { name: name.to_owned(), error })?;
        let whole: Bytes = Box::new(Cursor::new(start.clone()).chain(bytes));
        match start.as_slice() {
            b"OggS" => OggPackets::open(name, whole).map(Self::Ogg),
            b"RIFF" => WavPackets::open(name, whole).map(Box::new).map(Self::Wav),
            b"" => Err(bad(name, "it is empty")),
            _ => {
                let start = String::from_utf8_lossy(&start).into_owned();
                Err(SourceError::Unknown { name: name.to_owned(), start })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &'static [u8]) -> String {
        Source::reader("pipe", bytes).err().expect("refused").to_string()
    }

    #[test]
    fn what_is_no_audio_is_refused_by_its_first_bytes() {
        assert_eq!(refusal(b""), "pipe: it is empty");
        assert!(
            refusal(b"ID3\x04 an mp3").contains("starts with \"ID3\\u{4}\""),
            "{}",
            refusal(b"ID3\x04 mp3")
        );
        assert!(refusal(b"fLaC").contains("ffmpeg -i pipe"));
        assert!(refusal(b"RIFFgarbage").starts_with("pipe: "));
        assert!(refusal(b"OggSgarbage").starts_with("pipe: "));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Source::file("no/such/file.ogg").err().unwrap().to_string();
        assert!(error.starts_with("no/such/file.ogg: No such file"), "{error}");
    }

    #[test]
    fn a_pipe_cannot_be_repeated() {
        let error =
            Source::reader("stdin", wav::tests::tone(8000, 1, 800)).unwrap().repeated().err().unwrap();
        assert!(error.to_string().contains("stdin cannot be repeated"), "{error}");
    }

    #[test]
    fn a_repeated_file_starts_over_without_an_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = Vec::new();
        wav::tests::tone(8000, 1, 800).read_to_end(&mut bytes).unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut once = Source::file(file.path()).unwrap();
        let packets = std::iter::from_fn(|| once.next_packet().unwrap()).count();
        assert_eq!(packets, 5);
        let bytes: &'static [u8] = std::fs::read(file.path()).unwrap().leak();
        for source in [Source::file(file.path()), Source::bundled("tone", bytes)] {
            let mut looped = source.unwrap().repeated().unwrap();
            for _ in 0..3 * packets {
                assert_eq!(looped.next_packet().unwrap().unwrap().samples(), 960);
            }
        }
    }
}
