//! One HTTP listener: a socket, a place in its group's ring of pages, and what the socket has not taken yet.
//!
//! Invariants: a page is begun only when the one before it is wholly on its way, so a skip never cuts a page; memory for
//! one listener is bounded by one batch of pages, and is held only while its socket is full.

use std::{io::Write, time::Duration};

use bytes::{Buf, Bytes};
use stentor_ids::{ParticipantId, RoomId};
use stentor_pace::Time;
use stentor_telemetry::Leave;

use super::{ring::Ring, wire::Wire};
use crate::{
    count::Held,
    ogg::{Cut, FIRST_AUDIO, Page},
};

/// Skips, each within [`SKIP_MEMORY`] of the one before, after which a listener is dropped: its link does not carry the
/// stream, and a player that reconnects can choose another.
const MAX_SKIPS: u8 = 8;
const SKIP_MEMORY: Duration = Duration::from_secs(60);
/// Bytes of pages written at once to a listener that has some to catch up on.
const BATCH_BYTES: usize = 16 * 1024;

/// How the stream is framed on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// HTTP/1.1 chunks (RFC 9112, section 7.1).
    Chunked,
    /// HTTP/1.0: bytes until the connection ends.
    Raw,
}

/// A listener on its way to a shard.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) wire: Wire,
    pub(crate) room: RoomId,
    pub(crate) cut: Cut,
    pub(crate) framing: Framing,
    /// The answer's head, which goes out before the stream.
    pub(crate) head: Bytes,
    /// Whose ticket it is, if there is one, and when it ends.
    pub(crate) participant: Option<ParticipantId>,
    pub(crate) until: Option<Time>,
    /// When the request came.
    pub(crate) since: Time,
    /// Counts it in its room and among the edge's connections.
    pub(crate) held: [Held; 2],
}

/// What writing to listeners came to, added up over a walk.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) bytes: u64,
    pub(super) slots: u64,
    /// In pages.
    pub(super) skipped: u64,
    /// How long those took to their first audio that got it now.
    pub(super) joined: Vec<Duration>,
}

/// A seated listener.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    framing: Framing,
    skips: u8,
    ending: Ending,
    participant: Option<ParticipantId>,
    until: Option<Time>,
    unsent: Bytes,
    /// The next page of the ring, and the number that it gets in this listener's stream.
    next: u64,
    sequence: u32,
    skipped_at: Time,
    /// When the socket last took something, or had nothing to take.
    progress: Time,
    since: Time,
    _held: [Held; 2],
}

/// Whether a stream is being brought to its end, and why.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Open,
    /// Behind the last page of the ring.
    Due(Leave),
    /// The end is part of `unsent`.
    Said(Leave),
}

/// Whether a listener stays, or why it goes.
pub(super) type Fate = Result<(), Leave>;

impl Newcomer {
    /// Says this instead of a stream, as far as the socket takes it at once.
    ///
    /// # Errors
    /// The socket failed.
    pub(crate) fn turn_away(&mut self, answer: &[u8]) -> std::io::Result<()> {
        self.wire.write(answer)?;
        self.wire.finish();
        Ok(())
    }
}

impl Session {
    /// Seats a newcomer at the newest page of a ring, or at the first one that will come.
    pub(super) fn new(newcomer: Newcomer, ring: &Ring, now: Time) -> Self {
        let mut out = Vec::from(newcomer.head);
        newcomer.framing.put(ring.headers().iter().zip(0..), &mut out);
        Self {
            wire: newcomer.wire,
            framing: newcomer.framing,
            skips: 0,
            ending: Ending::Open,
            participant: newcomer.participant,
            until: newcomer.until,
            unsent: out.into(),
            next: ring.end().saturating_sub(1).max(ring.start()),
            sequence: FIRST_AUDIO,
            skipped_at: now,
            progress: now,
            since: newcomer.since,
            _held: newcomer.held,
        }
    }

    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    pub(super) fn is(&self, participant: &ParticipantId) -> bool {
        self.participant.as_ref() == Some(participant)
    }

    /// Writes what the socket takes of what there is. `scratch` is anybody's buffer.
    pub(super) fn advance(
        &mut self,
        ring: &Ring,
        now: Time,
        scratch: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Fate {
        loop {
            if !self.send_unsent(now, tally)? {
                return Ok(());
            }
            if let Ending::Said(leave) = self.ending {
                if !self.flushed(now)? {
                    return Ok(());
                }
                self.wire.finish();
                return Err(leave);
            }
            if self.next >= ring.end() {
                let Ending::Due(leave) = self.ending else { return self.flushed(now).map(drop) };
                self.say_end(ring, leave);
                continue;
            }
            self.skip_to(ring, now, tally)?;
            self.send_pages(ring, now, scratch, tally)?;
        }
    }

    /// From now on the stream goes to its end, behind the pages that are there.
    pub(super) fn end(&mut self, leave: Leave) {
        if matches!(self.ending, Ending::Open) {
            self.ending = Ending::Due(leave);
        }
    }

    /// The stream ends at once, behind the page under way.
    pub(super) fn cut(&mut self, ring: &Ring, leave: Leave) {
        self.next = ring.end();
        self.end(leave);
    }

    /// Whether its ticket has ended.
    pub(super) fn is_over(&self, now: Time) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// How long it has taken nothing of what waits for it.
    pub(super) fn waits(&self, now: Time) -> Duration {
        now.since(self.progress)
    }

    /// Whether nothing waits any more.
    fn send_unsent(&mut self, now: Time, tally: &mut Tally) -> Result<bool, Leave> {
        while !self.unsent.is_empty() {
            let sent = self.wire.write(&self.unsent).map_err(|_| Leave::Left)?;
            if sent == 0 {
                return Ok(false);
            }
            self.unsent.advance(sent);
            self.progress = now;
            tally.bytes += sent as u64;
        }
        Ok(true)
    }

    fn flushed(&mut self, now: Time) -> Result<bool, Leave> {
        let flushed = self.wire.flush().map_err(|_| Leave::Left)?;
        if flushed {
            self.progress = now;
        }
        Ok(flushed)
    }

    fn say_end(&mut self, ring: &Ring, leave: Leave) {
        let mut out = Vec::new();
        self.framing.put([(ring.last(), self.sequence)].into_iter(), &mut out);
        self.framing.end(&mut out);
        self.unsent = out.into();
        self.ending = Ending::Said(leave);
    }

    /// Goes forward to the newest page if the next one is gone.
    fn skip_to(&mut self, ring: &Ring, now: Time, tally: &mut Tally) -> Fate {
        if self.next >= ring.start() {
            return Ok(());
        }
        let newest = ring.end() - 1;
        tally.skipped += newest - self.next;
        self.next = newest;
        self.skips = if now.since(self.skipped_at) > SKIP_MEMORY { 1 } else { self.skips + 1 };
        self.skipped_at = now;
        if self.skips > MAX_SKIPS { Err(Leave::Slow) } else { Ok(()) }
    }

    fn send_pages(&mut self, ring: &Ring, now: Time, scratch: &mut Vec<u8>, tally: &mut Tally) -> Fate {
        if self.sequence == FIRST_AUDIO {
            tally.joined.push(now.since(self.since));
        }
        scratch.clear();
        while scratch.len() < BATCH_BYTES
            && let Some(page) = ring.get(self.next)
        {
            self.framing.put([(page, self.sequence)].into_iter(), scratch);
            self.next += 1;
            self.sequence = self.sequence.wrapping_add(1);
            tally.slots += u64::from(page.packets());
        }
        let sent = self.wire.write(scratch).map_err(|_| Leave::Left)?;
        if sent > 0 {
            self.progress = now;
            tally.bytes += sent as u64;
        }
        if sent < scratch.len() {
            self.unsent = Bytes::copy_from_slice(&scratch[sent..]);
        }
        Ok(())
    }
}

impl Framing {
    /// Appends pages with their numbers, as one chunk.
    fn put<'a>(self, pages: impl Iterator<Item = (&'a Page, u32)> + Clone, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            let length: usize = pages.clone().map(|(page, _)| page.len()).sum();
            // Writing to a vector does not fail.
            drop(write!(out, "{length:x}\r\n"));
        }
        pages.for_each(|(page, sequence)| page.write(sequence, out));
        if self == Self::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends the end of the body.
    fn end(self, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}
