//! The packets of one speaker that wait to be decoded: put in order, each once, of the newest stream only.
//!
//! Invariants: what is queued lies after everything that was taken or given up; it never lasts longer than
//! its bound (oldest dropped first). The queue decides nothing about time.

use std::collections::BTreeMap;

use stentor_pace::{Time, WallTime};

use crate::packet::Packet;

/// How many packets back a repeat is told from a late one. At 10 ms a packet this is more than half a second,
/// and longer than any packet is waited for.
const REMEMBERED: u64 = 64;

/// A packet of a speaker as its ingest edge stamped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeakerPacket {
    /// Grows with each connection of the speaker; the highest wins.
    pub stream: u64,
    /// Grows by one with each packet of the stream.
    pub seq: u64,
    /// The audio.
    pub packet: Packet,
    /// When the ingest edge got it; 0 if that is not known.
    pub captured: WallTime,
}

/// What became of a pushed packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Push {
    /// It waits for its slot.
    Queued,
    /// It waits for its slot, and older ones were dropped for it: more audio was held back than allowed.
    Full,
    /// Its place has passed: it was concealed already.
    Late,
    /// It is here, or was used, already.
    Duplicate,
    /// It belongs to a connection that a newer one has replaced.
    OldStream,
    /// The speaker is muted.
    Muted,
    /// The speaker is not on the stage.
    NotOnStage,
}

impl Push {
    /// Every outcome there is.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Full,
        Self::Late,
        Self::Duplicate,
        Self::OldStream,
        Self::Muted,
        Self::NotOnStage,
    ];

    /// The outcome's name, for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Full => "full",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::OldStream => "old_stream",
            Self::Muted => "muted",
            Self::NotOnStage => "not_on_stage",
        }
    }
}

/// A packet and when it came.
pub(crate) struct Waiting {
    pub(crate) packet: Packet,
    pub(crate) captured: WallTime,
    pub(crate) at: Time,
}

pub(crate) struct Queue {
    stream: u64,
    /// The seq that comes next; unknown until the first packet of the stream is taken.
    next: Option<u64>,
    /// Bit n: `next - 1 - n` was taken.
    taken: u64,
    packets: BTreeMap<u64, Waiting>,
    samples: usize,
    max_samples: usize,
}

impl Queue {
    pub(crate) fn new(max_samples: usize) -> Self {
        Self { stream: 0, next: None, taken: 0, packets: BTreeMap::new(), samples: 0, max_samples }
    }

    pub(crate) fn stream(&self) -> u64 {
        self.stream
    }

    /// Where the next packet is expected; `None` at the start of a stream.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next
    }

    /// Audio that waits, in samples.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// How many samples of the queue lie before `seq`, counting `each` for those that are not there. Negative
    /// for a seq that has passed; `None` where the number is so far off that it tells nothing about time.
    pub(crate) fn ahead(&self, seq: u64, each: usize) -> Option<i64> {
        let next = self.next?;
        let far = u16::try_from(seq.abs_diff(next)).ok()?;
        let samples = i64::from(far) * each as i64;
        Some(if seq >= next { samples } else { -samples })
    }

    /// Takes a packet in. A newer stream displaces all that waits.
    pub(crate) fn push(&mut self, now: Time, packet: SpeakerPacket) -> Push {
        let SpeakerPacket { stream, seq, packet, captured } = packet;
        if stream < self.stream {
            return Push::OldStream;
        }
        if stream > self.stream {
            self.clear();
            (self.stream, self.next, self.taken) = (stream, None, 0);
        }
        if let Some(passed) = self.next.and_then(|next| next.checked_sub(seq)).filter(|passed| *passed > 0) {
            let known = passed <= REMEMBERED && self.taken >> (passed - 1) & 1 == 1;
            return if known { Push::Duplicate } else { Push::Late };
        }
        if self.packets.contains_key(&seq) {
            return Push::Duplicate;
        }
        self.samples += packet.samples();
        self.packets.insert(seq, Waiting { packet, captured, at: now });
        Push::Queued
    }

    /// Drops the oldest until the bound holds; gives how many samples that were.
    pub(crate) fn shed(&mut self) -> usize {
        let before = self.samples;
        while self.samples > self.max_samples {
            let Some((seq, waiting)) = self.packets.pop_first() else { break };
            self.samples -= waiting.packet.samples();
            self.give_up_to(seq.saturating_add(1));
        }
        before - self.samples
    }

    /// The oldest packet that waits.
    pub(crate) fn front(&self) -> Option<(u64, &Waiting)> {
        self.packets.first_key_value().map(|(seq, waiting)| (*seq, waiting))
    }

    /// Takes the oldest packet out; what lies before it is given up.
    pub(crate) fn take(&mut self) -> Option<(u64, Waiting)> {
        let (seq, waiting) = self.packets.pop_first()?;
        self.samples -= waiting.packet.samples();
        self.give_up_to(seq);
        self.give_up_to(seq.saturating_add(1));
        self.taken |= 1;
        Some((seq, waiting))
    }

    /// Nothing before `seq` is waited for any more.
    pub(crate) fn give_up_to(&mut self, seq: u64) {
        let passed = self.next.map_or(REMEMBERED, |next| seq.saturating_sub(next));
        self.taken =
            u32::try_from(passed).ok().and_then(|passed| self.taken.checked_shl(passed)).unwrap_or(0);
        self.next = Some(self.next.unwrap_or(0).max(seq));
    }

    /// Goes on right after `seq` of `stream`, as if it had been taken.
    pub(crate) fn resume_after(&mut self, stream: u64, seq: u64) {
        self.clear();
        (self.stream, self.next, self.taken) = (stream, Some(seq.saturating_add(1)), 1);
    }

    /// Drops all that waits.
    pub(crate) fn clear(&mut self) {
        if let Some((seq, _)) = self.packets.last_key_value() {
            self.give_up_to(seq.saturating_add(1));
        }
        self.packets.clear();
        self.samples = 0;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn push(queue: &mut Queue, stream: u64, seq: u64) -> Push {
        let packet = Packet::parse(Bytes::from_static(&[0xf8, 0xff, 0xfe])).unwrap();
        queue.push(Time::default(), SpeakerPacket { stream, seq, packet, captured: WallTime::default() })
    }

    fn taken(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.take()).map(|(seq, _)| seq).collect()
    }

    #[test]
    fn packets_come_out_in_order_and_once() {
        let mut queue = Queue::new(9600);
        for seq in [7, 5, 6, 5, 8] {
            push(&mut queue, 1, seq);
        }
        assert_eq!(push(&mut queue, 1, 7), Push::Duplicate);
        assert_eq!(taken(&mut queue), [5, 6, 7, 8]);
        assert_eq!(push(&mut queue, 1, 6), Push::Duplicate);
        assert_eq!(push(&mut queue, 1, 4), Push::Late);
    }

    #[test]
    fn what_was_given_up_is_late_and_what_was_taken_is_a_duplicate() {
        let mut queue = Queue::new(9600);
        push(&mut queue, 1, 10);
        queue.take();
        queue.give_up_to(12);
        push(&mut queue, 1, 12);
        queue.take();
        assert_eq!(
            [10, 11, 12].map(|seq| push(&mut queue, 1, seq)),
            [Push::Duplicate, Push::Late, Push::Duplicate]
        );
        assert_eq!(queue.ahead(15, 960), Some(1920));
        assert_eq!(queue.ahead(11, 960), Some(-1920));
        assert_eq!(queue.ahead(u64::MAX, 960), None);
    }

    #[test]
    fn a_newer_stream_displaces_an_older_one() {
        let mut queue = Queue::new(9600);
        push(&mut queue, 3, 500);
        assert_eq!(push(&mut queue, 4, 0), Push::Queued);
        assert_eq!(push(&mut queue, 3, 501), Push::OldStream);
        assert_eq!(taken(&mut queue), [0]);
    }

    #[test]
    fn the_oldest_are_dropped_at_the_bound() {
        let mut queue = Queue::new(9600);
        for seq in 0..12 {
            push(&mut queue, 1, seq);
        }
        assert_eq!((queue.shed(), queue.samples()), (1920, 9600));
        assert_eq!(push(&mut queue, 1, 1), Push::Late);
        assert_eq!(taken(&mut queue), (2..12).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_numbers_there_are_do_not_wrap() {
        let mut queue = Queue::new(9600);
        push(&mut queue, u64::MAX, u64::MAX);
        assert_eq!(taken(&mut queue), [u64::MAX]);
        assert_eq!(push(&mut queue, u64::MAX, 0), Push::Late);
    }
}
