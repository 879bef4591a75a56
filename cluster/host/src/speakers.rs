//! The speakers of one room that are connected now, and the packets they have sent since the last slot. This is how audio
//! gets round the actor's mailbox: links push, the media loop drains.
//!
//! Each speaker has a lane of its own, so that one who floods drops only its own oldest packets. What a packet may do on
//! the stage is the mixer's business; here only the connection is checked: packets of a connection that a newer one
//! replaced, or that was never let in, go no further.
//!
//! Invariants (`Bounded`): at most [`MAX_SPEAKERS`] lanes of at most [`LANE_PACKETS`] packets.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use stentor_ids::ParticipantId;
use stentor_mix::SpeakerPacket;
use stentor_pace::{Time, WallTime};

/// Packets of one speaker between two slots: a second of 20 ms packets, which no delay that a room lets a speaker have
/// exceeds. Beyond it the oldest goes, and is counted.
pub(crate) const LANE_PACKETS: usize = 50;

/// Speakers connected at once: the largest stage, and as many again that reconnect or are about to be let go. One more is
/// refused.
pub(crate) const MAX_SPEAKERS: usize = 200;

/// The highest stream that a connection may bring: 8,900 years in milliseconds. Above what any clock shows, and far enough
/// from the end that no number of reconnections comes to it.
const HIGHEST_STREAM: u64 = 1 << 48;

/// What became of a packet at the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Laned {
    Taken,
    /// Taken, and the oldest of the lane dropped.
    Dropped,
    /// Of a connection that a newer one replaced.
    Stale,
    /// Of nobody that was let in.
    Unknown,
}

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    /// [`MAX_SPEAKERS`] are connected.
    Full,
    /// A newer connection of the participant is there.
    Replaced,
    /// Nobody gave it the stream that it says it had.
    Absurd,
}

/// A packet and when it came.
pub(crate) struct Arrival {
    pub(crate) at: Time,
    pub(crate) who: ParticipantId,
    pub(crate) packet: SpeakerPacket,
}

/// The connected speakers of one room. `L` is the way back to a speaker.
pub(crate) struct Speakers<L> {
    inner: Mutex<Inner<L>>,
}

struct Inner<L> {
    lanes: BTreeMap<ParticipantId, Lane<L>>,
    /// Grows when someone comes or goes, so that the media loop looks at its monitors again.
    version: u64,
    /// The highest stream of anybody, gone or not: a clock that steps back must not give numbers that a mixer has left
    /// behind.
    highest: u64,
}

struct Lane<L> {
    stream: u64,
    monitor: bool,
    link: L,
    packets: VecDeque<(Time, SpeakerPacket)>,
}

impl<L: Clone> Speakers<L> {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Inner { lanes: BTreeMap::new(), version: 0, highest: 0 }) }
    }

    /// Lets a connection in and gives it its stream number: the one it brings (`asked`) if it had one from an earlier owner,
    /// else one above every earlier one: of all that were here, and of the others as far as the wall clock tells.
    pub(crate) fn attach(
        &self,
        who: &ParticipantId,
        asked: u64,
        monitor: bool,
        link: L,
        wall: WallTime,
    ) -> Result<u64, Shut> {
        let mut inner = self.inner.lock();
        let before = inner.lanes.get(who).map(|lane| lane.stream);
        if before.is_none() && inner.lanes.len() >= MAX_SPEAKERS {
            return Err(Shut::Full);
        }
        let stream = match (asked, before) {
            (0, _) => wall.as_millis().min(HIGHEST_STREAM).max(inner.highest + 1),
            (asked, _) if asked > HIGHEST_STREAM => return Err(Shut::Absurd),
            (asked, Some(before)) if asked < before => return Err(Shut::Replaced),
            (asked, _) => asked,
        };
        inner.highest = inner.highest.max(stream);
        // The same connection by another way, as when its mirror becomes the owner: what it has sent is not lost.
        let packets = inner.lanes.remove(who).filter(|lane| lane.stream == stream).map(|lane| lane.packets);
        let packets = packets.unwrap_or_default();
        inner.lanes.insert(who.clone(), Lane { stream, monitor, link, packets });
        inner.version += 1;
        Ok(stream)
    }

    /// The connection is gone. Nothing happens if a newer one has replaced it; returns whether it was the newest.
    pub(crate) fn detach(&self, who: &ParticipantId, stream: u64) -> bool {
        let mut inner = self.inner.lock();
        let newest = inner.lanes.get(who).is_some_and(|lane| lane.stream == stream);
        if newest {
            inner.lanes.remove(who);
            inner.version += 1;
        }
        newest
    }

    /// Keeps those whose way back is wanted; the others are gone.
    pub(crate) fn retain(&self, wanted: impl Fn(&L) -> bool) {
        let mut inner = self.inner.lock();
        inner.lanes.retain(|_, lane| wanted(&lane.link));
        inner.version += 1;
    }

    /// Takes a packet that came at `now`.
    pub(crate) fn push(&self, now: Time, who: &ParticipantId, packet: SpeakerPacket) -> Laned {
        let mut inner = self.inner.lock();
        let Some(lane) = inner.lanes.get_mut(who) else { return Laned::Unknown };
        if packet.stream != lane.stream {
            return Laned::Stale;
        }
        let full = lane.packets.len() >= LANE_PACKETS;
        if full {
            lane.packets.pop_front();
        }
        lane.packets.push_back((now, packet));
        if full { Laned::Dropped } else { Laned::Taken }
    }

    /// Takes all packets that wait, of each speaker in the order in which they came.
    pub(crate) fn drain(&self, into: &mut Vec<Arrival>) {
        for (who, lane) in &mut self.inner.lock().lanes {
            into.extend(lane.packets.drain(..).map(|(at, packet)| Arrival { at, who: who.clone(), packet }));
        }
    }

    /// Grows when [`monitors`](Self::monitors) may have changed.
    pub(crate) fn version(&self) -> u64 {
        self.inner.lock().version
    }

    /// Who asked for the room without itself.
    pub(crate) fn monitors(&self) -> Vec<ParticipantId> {
        let inner = self.inner.lock();
        inner.lanes.iter().filter(|(_, lane)| lane.monitor).map(|(who, _)| who.clone()).collect()
    }

    pub(crate) fn is_connected(&self, who: &ParticipantId) -> bool {
        self.inner.lock().lanes.contains_key(who)
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.lock().lanes.len()
    }

    /// The way back to a speaker.
    pub(crate) fn link(&self, who: &ParticipantId) -> Option<L> {
        self.inner.lock().lanes.get(who).map(|lane| lane.link.clone())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stentor_mix::Packet;

    use super::*;

    const WALL: WallTime = WallTime::from_millis(5_000);

    fn ann() -> ParticipantId {
        ParticipantId::new("ann").unwrap()
    }

    fn packet(stream: u64, seq: u64) -> SpeakerPacket {
        let packet = Packet::parse(Bytes::from_static(&[0xf8, 0xff, 0xfe])).unwrap();
        SpeakerPacket { stream, seq, packet, captured: WALL }
    }

    fn connected() -> (Speakers<()>, u64) {
        let speakers = Speakers::new();
        let stream = speakers.attach(&ann(), 0, false, (), WALL).unwrap();
        (speakers, stream)
    }

    #[test]
    fn a_flood_keeps_the_lane_bounded_and_drops_the_oldest() {
        let (speakers, stream) = connected();
        let outcomes: Vec<_> = (0..1_000)
            .map(|seq| speakers.push(Time::from_millis(seq), &ann(), packet(stream, seq)))
            .collect();
        assert_eq!(
            outcomes.iter().filter(|outcome| **outcome == Laned::Dropped).count(),
            1_000 - LANE_PACKETS
        );
        let mut drained = Vec::new();
        speakers.drain(&mut drained);
        assert_eq!(
            drained.iter().map(|a| a.packet.seq).collect::<Vec<_>>(),
            (950..1_000).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_half_dead_connection_cannot_speak_over_the_new_one() {
        let (speakers, old) = connected();
        let new = speakers.attach(&ann(), 0, false, (), WALL).unwrap();
        assert!(new > old);
        assert_eq!(speakers.push(Time::default(), &ann(), packet(old, 1)), Laned::Stale);
        assert_eq!(speakers.push(Time::default(), &ann(), packet(new, 1)), Laned::Taken);
        assert!(!speakers.detach(&ann(), old), "the late end of the old one does not end the new one");
        assert!(speakers.is_connected(&ann()) && speakers.detach(&ann(), new));
        assert_eq!(speakers.push(Time::default(), &ann(), packet(new, 2)), Laned::Unknown);
    }

    #[test]
    fn a_connection_keeps_the_stream_that_an_earlier_owner_gave_it() {
        let speakers = Speakers::new();
        assert_eq!(speakers.attach(&ann(), 9_000, false, (), WALL), Ok(9_000));
        assert_eq!(speakers.attach(&ann(), 0, false, (), WALL), Ok(9_001));
        assert_eq!(speakers.attach(&ann(), 9_000, false, (), WALL), Err(Shut::Replaced));
    }

    #[test]
    fn a_clock_that_steps_back_gives_a_speaker_who_comes_again_a_higher_stream_all_the_same() {
        let (speakers, old) = connected();
        assert!(speakers.detach(&ann(), old));
        let new = speakers.attach(&ann(), 0, false, (), WallTime::default()).unwrap();
        assert!(new > old, "{new} after {old}");
        // Also where an owner whose clock is ahead gave the number, as a mirror sees it.
        let ahead = WALL.as_millis() + 660_000;
        assert_eq!(speakers.attach(&ann(), ahead, false, (), WALL), Ok(ahead));
        assert!(speakers.detach(&ann(), ahead));
        assert_eq!(speakers.attach(&ann(), 0, false, (), WALL), Ok(ahead + 1));
    }

    #[test]
    fn a_stream_that_nobody_can_have_given_is_refused_and_the_next_one_is_not() {
        let (speakers, stream) = connected();
        for absurd in [u64::MAX, HIGHEST_STREAM + 1] {
            assert_eq!(speakers.attach(&ann(), absurd, false, (), WALL), Err(Shut::Absurd));
        }
        assert_eq!(speakers.attach(&ann(), 0, false, (), WALL), Ok(stream + 1));
    }

    #[test]
    fn one_connection_too_many_is_refused_and_a_reconnect_is_not() {
        let speakers = Speakers::new();
        for i in 0..MAX_SPEAKERS {
            let who = ParticipantId::new(format!("p{i}")).unwrap();
            assert!(speakers.attach(&who, 0, i == 7, (), WALL).is_ok());
        }
        assert_eq!(speakers.attach(&ann(), 0, false, (), WALL), Err(Shut::Full));
        let p7 = ParticipantId::new("p7").unwrap();
        assert_eq!(speakers.monitors(), std::slice::from_ref(&p7));
        assert!(speakers.attach(&p7, 0, false, (), WALL).is_ok() && speakers.monitors().is_empty());
    }
}
